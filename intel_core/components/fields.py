"""How does a setting hold a component? As its spec; it is read from a text, and written as one."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from intel_core.components.loading import base_of
from intel_core.components.spec import format_spec, parse_spec

__all__ = ["AS_TEXT", "expected", "from_text", "text_schema"]


def expected(kind: str) -> str:
    """The error for a value that is not a component of a kind.

    >>> expected("mappings")
    'expected a text such as name:key=value or name:@file.yaml, or a MappingSpec'
    """
    return f"expected a text such as name:key=value or name:@file.yaml, or a {base_of(kind).__name__}"


def from_text(kind: str) -> BeforeValidator:
    """Reads the text of a spec; a spec of that kind is taken as it is."""

    def read(value: object) -> object:
        if isinstance(value, str):
            return parse_spec(kind, value)
        if not isinstance(value, base_of(kind)):
            raise ValueError(expected(kind))
        return value

    return BeforeValidator(read)


def text_schema(kind: str) -> WithJsonSchema:
    """The JSON Schema of such a setting."""
    return WithJsonSchema({"type": "string", "description": f"one of the {kind}, as name:key=value,key=value"})


def _explicit(spec: Any) -> str:
    return format_spec(spec, explicit=True)


AS_TEXT = PlainSerializer(_explicit, return_type=str)
"""Writes a component as text, every field explicit, so that it means the same if a default changes."""
