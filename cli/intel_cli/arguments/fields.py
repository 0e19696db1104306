"""Which fields does a spec have? The name, type, default and description of each, for help texts."""

from __future__ import annotations

import json
from collections.abc import Mapping as Dictionary
from typing import Any

from pydantic import BaseModel

from intel_core.components.spec import write_value

__all__ = ["field_lines"]


def field_lines(spec_class: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """Name, type, default and description of every field, for help texts.

    >>> from intel_core.components.loading import load
    >>> field_lines(load("objectives", "elbo"))[0][:3]
    ('beta', 'number >= 0', '1.0')
    """
    schema = spec_class.model_json_schema()
    lines = []
    for name, field in spec_class.model_fields.items():
        default = (
            "required" if field.is_required() else write_value(_plain(field.get_default(call_default_factory=True)))
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
