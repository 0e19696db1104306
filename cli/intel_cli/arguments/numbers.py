"""Which numbers does an option accept, and what is the message for any other?"""

from __future__ import annotations

import click

__all__ = ["Integer"]


class Integer(click.IntRange):
    """An integer between two bounds; click itself would say of other text that it is "not a valid integer range"."""

    name = "integer"
