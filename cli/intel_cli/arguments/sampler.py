"""Where are draws of y from? The option --from of commands that generate examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from intel_cli.arguments.completion import ComponentName

__all__ = ["sampler_option"]


def sampler_option(said: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --from with the help text of a command; its value is ``prior`` or a sampler's text."""
    return click.option(
        "--from",
        "sampler",
        type=ComponentName("samplers"),
        metavar="prior|SPEC",
        default="prior",
        show_default=True,
        help=said,
    )
