"""Which numbers does an option accept, and what is the message for any other?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Numbers = click.ParamType[tuple[int, ...]]
else:
    _Numbers = click.ParamType

__all__ = ["Integer", "Integers"]


class Integer(click.IntRange):
    """An integer between two bounds; click itself would say of other text that it is "not a valid integer range"."""

    name = "integer"


class Integers(_Numbers):
    """Integers between two bounds, separated by commas; none of them twice."""

    name = "integers"

    def __init__(self, least: int, most: int) -> None:
        self._one = Integer(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers in their order."""
        if isinstance(value, tuple):
            return value
        parts: list[Any] = [part.strip() for part in str(value).split(",")]
        found = tuple(self._one.convert(part, param, ctx) for part in parts)
        twice = [number for place, number in enumerate(found) if number in found[:place]]
        if twice:
            self.fail(f"{twice[0]} is named twice.", param, ctx)
        return found
