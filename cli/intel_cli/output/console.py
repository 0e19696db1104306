"""How wide is a table, and how is a number written in it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "four_digits", "number"]

_WIDE = 200


def console() -> Console:
    """A console on stdout; it is wide if stdout is no terminal, so that lines in a file are not wrapped."""
    from intel_cli.output.safe_console import SafeConsole

    out = SafeConsole()
    return out if out.is_terminal else SafeConsole(width=_WIDE)


def four_digits(value: float) -> str:
    """Four significant digits, and whole numbers as they are.

    >>> four_digits(-98.51234), four_digits(10.0), four_digits(0.00012)
    ('-98.51', '10', '0.00012')
    """
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def number(value: object) -> str:
    """A number, a list of numbers or anything else, short enough for a table.

    >>> number([0.51234, 2])
    '0.512, 2'
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.2f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
    if isinstance(value, list | tuple) and any(isinstance(item, list | tuple) for item in value):
        return "\n".join(number(item) for item in value)
    if isinstance(value, list | tuple):
        shown = ", ".join(number(item) for item in value[:12])
        return f"{shown}, … ({len(value)})" if len(value) > 12 else shown
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number(item)}" for key, item in value.items())
    return str(value)
