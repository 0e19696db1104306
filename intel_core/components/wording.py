"""How is an error put into words? pydantic's errors about settings, in one line for the person who typed them."""

from __future__ import annotations

import json
from collections.abc import Mapping as Dictionary
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from intel_core.errors import SpecError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


__all__ = ["describe_errors", "refuse_truths"]


def refuse_truths(spec_class: type[BaseModel], values: Dictionary[str, Any], name: str = "") -> None:
    """Refuse yes and no for a number: YAML reads them as truth values, and those would count as 1 and 0.

    Raises:
        SpecError: naming the key, after the `name` of the component.
    """
    for key, value in values.items():
        field = spec_class.model_fields.get(key)
        if not isinstance(value, bool) or field is None:
            continue
        kinds = _kinds(field.annotation)
        if kinds & {int, float} and not kinds & {bool, Any}:
            start = f"{name}: " if name else ""
            raise SpecError(
                f"{start}{key}={str(value).lower()}: expected a number; YAML reads yes and no as true and false"
            )


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation allows."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    return {annotation} if isinstance(annotation, type) or annotation is Any else set()


def clip(text: object, width: int = 60) -> str:
    shown = repr(text)
    return shown if len(shown) <= width else f"{shown[:width]}…{shown[0]}"


def one_line(text: str, width: int = 200) -> str:
    """A text on one line, printable and not too long, for a message."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text[: 2 * width].split()))
    return line if len(line) <= width else f"{line[:width]}…"


def caret(text: str, position: int, width: int = 70) -> str:
    """The line with a caret under the offending character."""
    start = max(0, position - width // 2)
    line = "".join(c if c.isprintable() else "?" for c in text[start : start + width])
    return f"    {line}\n    {' ' * min(position - start, len(line))}^"


def describe_errors(error: ValidationError) -> str:
    """A pydantic error in one line: the key, what was expected, what was given.

    >>> from intel_core.components.spec import parse_spec
    >>> parse_spec("objectives", "iwae:particles=0")
    Traceback (most recent call last):
    intel_core.errors.SpecError: iwae: particles=0: input should be greater than or equal to 1
    """
    details = error.errors(include_url=False)
    shown = [_describe(detail) for detail in details[:3]]
    more = f" (and {len(details) - 3} more)" if len(details) > 3 else ""
    return "; ".join(shown) + more


_EXPECTED = {"tuple_type": "a list such as [1,2]", "dict_type": "keys and values", "path_type": "a path"}
"""What is expected, for errors that pydantic words with names of Python types."""


def _describe(detail: ErrorDetails) -> str:
    where = one_line(".".join(str(part) for part in detail["loc"]), 60)
    cause = (detail.get("ctx") or {}).get("error")
    told = f"expected {_EXPECTED[detail['type']]}" if detail["type"] in _EXPECTED else detail["msg"]
    message = str(cause) if cause is not None else told
    message = one_line(message[:1].lower() + message[1:])
    if not where or detail["type"] == "missing":
        return f"{where} is required" if detail["type"] == "missing" else message
    return f"{where}={_shown(detail['input'])}: {message}"


def _shown(value: Any, width: int = 40) -> str:
    """The beginning of a value as JSON; only as much is written as is shown, since values can be nested deeply."""
    if isinstance(value, str):
        return one_line(value, width)
    text = ""
    try:
        for piece in json.JSONEncoder(ensure_ascii=False, default=repr).iterencode(value):
            text += piece
            if len(text) > width:
                break
    except (TypeError, ValueError, RecursionError):
        text += "…"
    return one_line(text, width)
