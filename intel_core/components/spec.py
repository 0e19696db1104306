"""What exactly is to be built? The base of all specs, and their text form ``name:key=value,key=value``.

Grammar, the same for mappings, data, likelihoods, networks, objectives and schedules::

    spec   = [distribution "/"] name [":" body]
    body   = "@" path-of-a-YAML-or-JSON-file | JSON object | pair {"," pair}
    pair   = key "=" value
    value  = JSON, where it begins with one of [ { "    | bareword up to the next comma

A bareword goes to pydantic as a string (``null`` as None), so that a shell needs no quotes. `parse_spec` is
total: any text gives a spec or a `SpecError`; and ``parse_spec(kind, format_spec(spec)) == spec``.
Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from intel_core.components.loading import load, name_of
from intel_core.components.settings_file import read_settings
from intel_core.components.wording import caret, clip, describe_errors, one_line, refuse_truths
from intel_core.errors import IntelError, PluginError, SpecError, did_you_mean

__all__ = ["ComponentSpec", "format_spec", "parse_spec", "short_text", "texts_as_data", "validate", "write_value"]

_MAX_TEXT = 100_000
_may_name_files = ContextVar("may_name_files", default=True)


class ComponentSpec(BaseModel):
    """Base of every component's spec: immutable, without unknown keys, and importable without torch.

    Give each field a type, a default, bounds and a description; the command's help, the JSON Schema and the
    error messages are made from them. The first line of the class's docstring is its summary.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: ClassVar[str] = ""

    def __str__(self) -> str:
        try:
            return format_spec(self)
        except ValueError:  # registered under no name, or with a value that has no text form
            return repr(self)


# --- reading ---------------------------------------------------------------------------------------------------


def parse_spec(kind: str, text: str) -> ComponentSpec:
    """The spec that a text describes.

    Args:
        kind: ``"mappings"``, ``"datasets"``, ``"likelihoods"``, ``"networks"``, ``"objectives"``, ``"schedules"``,
            ``"metrics"`` or another that is installed (singular forms are understood).
        text: e.g. ``"cluster:k=3,learnable=true"``, ``"mnist:classes=[0,1]"``, ``"iwae:particles=16"``.

    Raises:
        SpecError: for anything else; the message names the component, the key, what is accepted and the
            nearest spelling. `PluginError`, a `SpecError`, if the component is unknown, broken or disabled.

    >>> parse_spec("objectives", "iwae:particles=16").particles
    16
    >>> parse_spec("objectives", "iwae:particle=16")
    Traceback (most recent call last):
    intel_core.errors.SpecError: iwae has no key 'particle'; did you mean 'particles'? (keys: particles)
    """
    if not isinstance(text, str):
        raise SpecError(f"a {kind} spec is a text such as 'name:key=value', not {type(text).__name__}")
    if len(text) > _MAX_TEXT:
        raise SpecError(f"a spec of {len(text)} characters is too long; use name:@file.yaml")
    text = text.strip()
    head, colon, body = text.partition(":")
    name = head.strip()
    if not name:
        raise SpecError(f"{clip(text)} names no component; write name or name:key=value")
    spec_class = cast("type[ComponentSpec]", load(kind, name))
    values = _read_body(name, body) if colon else {}
    return validate(spec_class, name, values)


@contextlib.contextmanager
def texts_as_data() -> Iterator[None]:
    """A block in which ``name:@FILE`` is refused and nothing is read: the texts come from a run directory."""
    token = _may_name_files.set(False)
    try:
        yield
    finally:
        _may_name_files.reset(token)


def validate(spec_class: type[ComponentSpec], name: str, values: Dictionary[str, Any]) -> ComponentSpec:
    """A spec from keys and values, with errors worded for whoever typed them.

    Raises:
        SpecError: naming the component and the offending key.
        PluginError: if the spec's own code raises anything but what a validator may raise.
    """
    unknown = [key for key in values if key not in spec_class.model_fields]
    if unknown:
        key = unknown[0]
        raise SpecError(f"{name} has no key {clip(key)}{did_you_mean(key, spec_class.model_fields, say='keys')}")
    refuse_truths(spec_class, values, name)
    try:
        return _validate_words(spec_class, dict(values))
    except ValidationError as error:
        raise SpecError(f"{name}: {describe_errors(error)}") from None
    except IntelError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name}: its spec raised {type(error).__name__}: {one_line(str(error))}") from error


def _validate_words(spec_class: type[ComponentSpec], values: dict[str, Any]) -> ComponentSpec:
    """Validate; a word that is refused by a `Literal` of numbers, where pydantic converts nothing, is tried as one."""
    try:
        return spec_class.model_validate(values)
    except ValidationError as error:
        refused = {
            str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["type"] == "literal_error"
        }
        words = {key: values[key] for key in sorted(refused) if isinstance(values.get(key), str)}
        numbers = {
            key: int(word) for key, word in words.items() if word.isdecimal() and word.isascii() and len(word) < 19
        }
        if not numbers:
            raise
        return spec_class.model_validate(values | numbers)


def _read_body(name: str, body: str) -> dict[str, Any]:
    stripped = body.strip()
    if not stripped:
        raise SpecError(f"{name}: nothing after the colon; write {name} or {name}:key=value")
    if stripped.startswith("@"):
        if not _may_name_files.get():
            raise SpecError(f"{name}:@… names a file of settings, which the texts in a run directory must not")
        return read_settings(Path(stripped[1:]))
    if stripped.startswith("{"):
        value, end = _read_json(name, stripped, 0)
        if stripped[end:].strip():
            raise SpecError(f"{name}: unexpected text after the JSON object\n{caret(stripped, end)}")
        return value  # type: ignore[no-any-return]
    return _read_pairs(name, body)


def _read_pairs(name: str, body: str) -> dict[str, Any]:
    values, position = dict[str, Any](), 0
    while True:
        equals, comma = body.find("=", position), body.find(",", position)
        if equals < 0 or 0 <= comma < equals:
            word = body[position : comma if comma >= 0 else None]
            last, said = next(reversed(values.items()), ("", "."))
            hint = f"; a list is written {last}=[{said},{word}]" if word and f"{said}{word}".isidentifier() else ""
            raise SpecError(f"{name}: expected key=value, found {clip(word)}{hint}\n{caret(body, position)}")
        key = body[position:equals].strip()
        if not key or key in values:
            problem = f"key {clip(key)} is given twice" if key else "a key is missing before '='"
            raise SpecError(f"{name}: {problem}\n{caret(body, position)}")
        values[key], position = _read_value(name, body, equals + 1)
        if position >= len(body):
            return values
        position += 1  # the comma


def _read_value(name: str, body: str, start: int) -> tuple[Any, int]:
    """One value and the position of the comma behind it, or of the end."""
    while start < len(body) and body[start].isspace():
        start += 1
    if start < len(body) and body[start] in '[{"':
        value, end = _read_json(name, body, start)
        rest = len(body[end:]) - len(body[end:].lstrip())
        end += rest
        if end < len(body) and body[end] != ",":
            raise SpecError(f"{name}: expected a comma after the value\n{caret(body, end)}")
        return value, end
    comma = body.find(",", start)
    end = comma if comma >= 0 else len(body)
    word = body[start:end].strip()
    return (None if word == "null" else word), end


def _read_json(name: str, text: str, start: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        if bare := re.compile(r"\[\s*([^\W\d][\w .-]*(?:,\s*[^\W\d][\w .-]*)*)\]").match(text, start):
            return [word.strip() for word in bare[1].split(",")], bare.end()
        hint = "; inside brackets, words need double quotes" if text[start] == "[" else ""
        raise SpecError(f"{name}: not valid JSON ({error.msg}){hint}\n{caret(text, error.pos)}") from None
    except (RecursionError, ValueError):
        raise SpecError(f"{name}: JSON that is nested too deep or too large\n{caret(text, start)}") from None


# --- writing ---------------------------------------------------------------------------------------------------


def format_spec(spec: ComponentSpec, *, explicit: bool = False) -> str:
    """The text form of a spec; parsing it again gives the same spec.

    Args:
        spec: a spec whose class is registered (see `intel_core.register`).
        explicit: write every field, also those with their default value, so that the text keeps its meaning if a later
            version changes a default.

    >>> format_spec(parse_spec("objectives", "iwae:particles=16"))
    'iwae:particles=16'
    >>> format_spec(parse_spec("objectives", "elbo"), explicit=True)
    'elbo:beta=1.0'
    """
    name = name_of(type(spec).kind, type(spec))
    fields = type(spec).model_fields
    set_by_hand = [k for k in fields if k in spec.model_fields_set and getattr(spec, k) != fields[k].default]
    not_default = [k for k in fields if getattr(spec, k) != fields[k].get_default(call_default_factory=True)]
    dumped = spec.model_dump(mode="json")

    def is_needed(key: str) -> bool:
        """Whether the spec changes without this key: a validator may fill in missing ones."""
        return not _reads_back(spec, name, _write(name, {k: dumped[k] for k in set_by_hand if k != key}))

    needed = [] if explicit else [key for key in set_by_hand if is_needed(key)]
    choices = [list(fields)] if explicit else [needed, set_by_hand, not_default, list(fields)]
    for keys in choices:
        text = _write(name, {key: dumped[key] for key in keys})
        if _reads_back(spec, name, text):
            return text
    return f"{name}:{json.dumps(dumped, ensure_ascii=False)}"


def short_text(kind: str, text: str) -> str:
    """A spec's text without settings at their default; unchanged if no installed component can read it.

    >>> short_text("schedules", "linear:start=0.0,steps=9"), short_text("schedules", "unheard-of:a=1")
    ('linear:steps=9', 'unheard-of:a=1')
    """
    try:
        with texts_as_data():
            return format_spec(parse_spec(kind, text))
    except SpecError:
        return text


def _reads_back(spec: ComponentSpec, name: str, text: str) -> bool:
    try:
        _, colon, body = text.partition(":")
        return validate(type(spec), name, _read_body(name, body) if colon else {}) == spec
    except SpecError:
        return False


def _write(name: str, values: Dictionary[str, Any]) -> str:
    pairs = ",".join(f"{key}={write_value(value)}" for key, value in values.items())
    return f"{name}:{pairs}" if pairs else name


def write_value(value: Any) -> str:
    """A value as it is written in a spec's text.

    >>> write_value(None), write_value([1, 2]), write_value("a, b")
    ('null', '[1,2]', '"a, b"')
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        plain = value.strip() == value and value not in ("", "null") and value[0] not in '[{"' and "," not in value
        return value if plain and value.isprintable() else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
