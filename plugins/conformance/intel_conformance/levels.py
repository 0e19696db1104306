"""How thorough is a check of a mapping to be? One of three levels."""

from __future__ import annotations

from typing import Literal, get_args

from intel_core.errors import SpecError, did_you_mean

__all__ = ["LEVELS", "Level", "level_of"]

Level = Literal["quick", "standard", "deep"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the shortest to the longest; each has the checks of those before it, on more draws."""


def level_of(text: str) -> Level:
    """A level by its name.

    Raises:
        SpecError: if there is no such level.

    >>> level_of("deep")
    'deep'
    """
    for level in LEVELS:
        if level == text:
            return level
    raise SpecError(f"no level is called {text!r}{did_you_mean(text, LEVELS, say='levels')}")
