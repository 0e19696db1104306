"""Which numbers does an option take, and what is said of one that it does not take?"""

from __future__ import annotations

import click

__all__ = ["Integer"]


class Integer(click.IntRange):
    """A whole number between bounds; click itself would call what is none "not a valid integer range"."""

    name = "integer"
