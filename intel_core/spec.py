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

import json
import math
from collections.abc import Mapping as Dictionary
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from intel_core import plugins
from intel_core.errors import IntelError, PluginError, SpecError, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "ComponentSpec",
    "base_of",
    "describe_errors",
    "field_lines",
    "format_spec",
    "parse_spec",
    "read_settings",
    "refuse_truths",
    "short_text",
]

_MAX_TEXT = 100_000


class ComponentSpec(BaseModel):
    """Base of every component's spec: immutable, strict about names, silent about torch.

    Give each field a type, a default, bounds and a description; the command's help, the JSON Schema and the
    error messages are made from them. The first line of the class's docstring is its summary.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: ClassVar[str] = ""

    def __str__(self) -> str:
        try:
            return format_spec(self)
        except PluginError:  # registered under no name, so there is no text form
            return repr(self)


def base_of(kind: str) -> type[ComponentSpec]:
    """The class that every spec of a kind derives from."""
    from intel_core import data, mapping, metrics, parts, schedules

    bases: dict[str, type[ComponentSpec]] = {
        "mappings": mapping.MappingSpec,
        "datasets": data.DatasetSpec,
        "likelihoods": parts.LikelihoodSpec,
        "networks": parts.NetworkSpec,
        "objectives": parts.ObjectiveSpec,
        "schedules": schedules.ScheduleSpec,
        "metrics": metrics.MetricSpec,
    }
    return bases[plugins.canonical_kind(kind)]


# --- reading ---------------------------------------------------------------------------------------------------


def parse_spec(kind: str, text: str) -> ComponentSpec:
    """The spec that a text describes.

    Args:
        kind: ``"mappings"``, ``"datasets"``, ``"likelihoods"``, ``"networks"``, ``"objectives"``,
            ``"schedules"`` or ``"metrics"`` (singular forms are understood).
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
        raise SpecError(f"{_clip(text)} names no component; write name or name:key=value")
    spec_class = plugins.load(kind, name)
    values = _read_body(name, body) if colon else {}
    return validate(spec_class, name, values)


def validate(spec_class: type[ComponentSpec], name: str, values: Dictionary[str, Any]) -> ComponentSpec:
    """A spec from keys and values, with errors worded for whoever typed them.

    Raises:
        SpecError: naming the component and the offending key.
        PluginError: if the spec's own code raises anything but what a validator may raise.
    """
    unknown = [key for key in values if key not in spec_class.model_fields]
    if unknown:
        key = unknown[0]
        raise SpecError(f"{name} has no key {_clip(key)}{did_you_mean(key, spec_class.model_fields, say='keys')}")
    refuse_truths(spec_class, values, name)
    try:
        return _validate_words(spec_class, dict(values))
    except ValidationError as error:
        raise SpecError(f"{name}: {describe_errors(error)}") from None
    except IntelError:
        raise
    except Exception as error:
        raise PluginError(f"{name}: its spec raised {type(error).__name__}: {_one_line(str(error))}") from error


def _validate_words(spec_class: type[ComponentSpec], values: dict[str, Any]) -> ComponentSpec:
    """Validate; a bareword that a choice of numbers refuses, pydantic's one strict place, is tried as a number."""
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
        return read_settings(Path(stripped[1:]))
    if stripped.startswith("{"):
        value, end = _read_json(name, stripped, 0)
        if stripped[end:].strip():
            raise SpecError(f"{name}: unexpected text after the JSON object\n{_caret(stripped, end)}")
        return value  # type: ignore[no-any-return]
    return _read_pairs(name, body)


def _read_pairs(name: str, body: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    position = 0
    while True:
        equals, comma = body.find("=", position), body.find(",", position)
        if equals < 0 or 0 <= comma < equals:
            word = body[position : comma if comma >= 0 else None]
            raise SpecError(f"{name}: expected key=value, found {_clip(word)}\n{_caret(body, position)}")
        key = body[position:equals].strip()
        if not key or key in values:
            problem = f"key {_clip(key)} is given twice" if key else "a key is missing before '='"
            raise SpecError(f"{name}: {problem}\n{_caret(body, position)}")
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
            raise SpecError(f"{name}: expected a comma after the value\n{_caret(body, end)}")
        return value, end
    comma = body.find(",", start)
    end = comma if comma >= 0 else len(body)
    word = body[start:end].strip()
    return (None if word == "null" else word), end


def _read_json(name: str, text: str, start: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        hint = "; inside brackets, words need double quotes" if text[start] == "[" else ""
        raise SpecError(f"{name}: not valid JSON ({error.msg}){hint}\n{_caret(text, error.pos)}") from None
    except (RecursionError, ValueError):
        raise SpecError(f"{name}: JSON that is nested too deep or too large\n{_caret(text, start)}") from None


class _OnceEach(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's loader would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    raise ValueError(f"{_clip(key.value)} is given twice, in lines {lines[key.value]} and {line}")
                lines[key.value] = line
        return super().construct_mapping(node, deep)


def read_settings(path: Path) -> dict[str, Any]:
    """Keys and values from a YAML or JSON file.

    Raises:
        SpecError: if there is no such file, or it does not hold a mapping from keys to values.
    """
    shown = _clip(str(path), 200)
    try:
        path = path.expanduser()
        if not path.is_file():
            raise SpecError(f"{shown} is no file" if path.exists() else f"no file {shown}")
        content = _OnceEach(path.read_text(encoding="utf-8")).get_single_data()
    except SpecError:
        raise
    except Exception as error:  # yaml raises AttributeError, IndexError and KeyError too, for values like !!int ""
        problem = error.strerror if isinstance(error, OSError) else _one_line(str(error))
        raise SpecError(f"{shown} cannot be read: {problem or type(error).__name__}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SpecError(f"{shown} does not hold keys and values, but {type(content).__name__}")
    for key in content:
        if not isinstance(key, str):
            raise SpecError(f"{shown}: key {_clip(key)} is no word; write it in quotes")
    return content


def refuse_truths(spec_class: type[BaseModel], values: Dictionary[str, Any], name: str = "") -> None:
    """Refuse yes and no where a number is wanted: YAML reads them as truth values, and those would count as 1 and 0.

    Args:
        spec_class: whose fields the values are for.
        values: keys and values as they were read.
        name: of the component, for the message.

    Raises:
        SpecError: naming the key.
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
    """The types between which an annotation leaves the choice."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    return {annotation} if isinstance(annotation, type) or annotation is Any else set()


def _clip(text: object, width: int = 60) -> str:
    shown = repr(text)
    return shown if len(shown) <= width else f"{shown[:width]}…{shown[0]}"


def _one_line(text: str, width: int = 200) -> str:
    """A text on one line, printable and not too long, for a message."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text[: 2 * width].split()))
    return line if len(line) <= width else f"{line[:width]}…"


def _caret(text: str, position: int, width: int = 70) -> str:
    """The line with a caret under the offending character."""
    start = max(0, position - width // 2)
    line = "".join(c if c.isprintable() else "?" for c in text[start : start + width])
    return f"    {line}\n    {' ' * min(position - start, len(line))}^"


def describe_errors(error: ValidationError) -> str:
    """A pydantic error in one line: the key, what was expected, what was given.

    >>> parse_spec("objectives", "iwae:particles=0")
    Traceback (most recent call last):
    intel_core.errors.SpecError: iwae: particles=0: input should be greater than or equal to 1
    """
    details = error.errors(include_url=False)
    shown = [_describe(detail) for detail in details[:3]]
    more = f" (and {len(details) - 3} more)" if len(details) > 3 else ""
    return "; ".join(shown) + more


_EXPECTED = {"tuple_type": "expected a list such as [1,2]", "dict_type": "expected keys and values"}
"""What pydantic calls by names that are Python's."""


def _describe(detail: ErrorDetails) -> str:
    where = _one_line(".".join(str(part) for part in detail["loc"]), 60)
    cause = (detail.get("ctx") or {}).get("error")
    message = str(cause) if cause is not None else _EXPECTED.get(detail["type"], detail["msg"])
    message = _one_line(message[:1].lower() + message[1:])
    given = detail["input"]
    if not where or detail["type"] == "missing":
        return f"{where} is required" if detail["type"] == "missing" else message
    return f"{where}={_shown(given)}: {message}"


def _shown(value: Any, width: int = 40) -> str:
    """The beginning of a value as JSON; no more of it is written than is shown, as a file can nest without end."""
    if isinstance(value, str):
        return _one_line(value, width)
    text = ""
    try:
        for piece in json.JSONEncoder(ensure_ascii=False, default=repr).iterencode(value):
            text += piece
            if len(text) > width:
                break
    except (TypeError, ValueError, RecursionError):
        text += "…"
    return _one_line(text, width)


# --- writing ---------------------------------------------------------------------------------------------------


def format_spec(spec: ComponentSpec, *, explicit: bool = False) -> str:
    """The text form of a spec; parsing it again gives the same spec.

    Args:
        spec: a spec whose class is registered (see `intel_core.register`).
        explicit: write every field, also those that have their default value, so that the text means the
            same if a later version changes a default.

    >>> format_spec(parse_spec("objectives", "iwae:particles=16"))
    'iwae:particles=16'
    >>> format_spec(parse_spec("objectives", "elbo"), explicit=True)
    'elbo:beta=1.0'
    """
    name = plugins.name_of(type(spec).kind, type(spec))
    fields = type(spec).model_fields
    set_by_hand = [k for k in fields if k in spec.model_fields_set and getattr(spec, k) != fields[k].default]
    not_default = [k for k in fields if getattr(spec, k) != fields[k].get_default(call_default_factory=True)]
    dumped = spec.model_dump(mode="json")

    def is_needed(key: str) -> bool:
        """Whether the others alone give another spec: a validator may fill in what is not said."""
        return not _reads_back(spec, name, _write(name, {k: dumped[k] for k in set_by_hand if k != key}))

    needed = [] if explicit else [key for key in set_by_hand if is_needed(key)]
    choices = [list(fields)] if explicit else [needed, set_by_hand, not_default, list(fields)]
    for keys in choices:
        text = _write(name, {key: dumped[key] for key in keys})
        if text is not None and _reads_back(spec, name, text):
            return text
    return f"{name}:{json.dumps(dumped, ensure_ascii=False)}"


def short_text(kind: str, text: str) -> str:
    """A spec's text with the settings that differ from their default; as it is where nothing installed reads it.

    >>> short_text("schedules", "linear:start=0.0,steps=9"), short_text("schedules", "unheard-of:a=1")
    ('linear:steps=9', 'unheard-of:a=1')
    """
    try:
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
    pairs = ",".join(f"{key}={_write_value(value)}" for key, value in values.items())
    return f"{name}:{pairs}" if pairs else name


def _write_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        plain = value.strip() == value and value not in ("", "null") and value[0] not in '[{"' and "," not in value
        return value if plain and value.isprintable() else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def field_lines(spec_class: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """Name, type, default and description of every field, for help texts.

    >>> field_lines(plugins.load("objectives", "elbo"))[0][:3]
    ('beta', 'number >= 0', '1.0')
    """
    schema = spec_class.model_json_schema()
    lines = []
    for name, field in spec_class.model_fields.items():
        default = (
            "required" if field.is_required() else _write_value(_plain(field.get_default(call_default_factory=True)))
        )
        kind = _type_name(schema["properties"].get(field.alias or name, {}), schema.get("$defs", {}))
        lines.append((name, kind, default, field.description or ""))
    return lines


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _type_name(schema: Dictionary[str, Any], defs: Dictionary[str, Any]) -> str:
    if "$ref" in schema:
        return _type_name(defs.get(schema["$ref"].rpartition("/")[2], {}), defs)
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "|".join(str(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type_name(choice, defs) for choice in schema["anyOf"] if choice.get("type") != "null")
    kind = str(schema.get("type", "any"))
    if kind == "array":
        kind = f"[{_type_name(schema.get('items', {}), defs)}, …]"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()
