"""How does rich draw what strangers have named? With its own control sequences, and none from a text."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from intel_cli.output.terminal import unfiltered, visible

__all__ = ["SafeConsole"]


class SafeConsole(Console):
    r"""A console on stdout or stderr that shows the control characters of texts written out, and makes no links.

    >>> import io
    >>> SafeConsole(file=(out := io.StringIO()), width=40).print("a\x1b[2Jb")
    >>> print(out.getvalue(), end="")
    a\x1b[2Jb
    """

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        stream = sys.stderr if stderr else sys.stdout
        settings.setdefault("file", None if stream is None else unfiltered(stream))
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """As rich does, so that what is written out has its place in the layout."""
        return super().render_str(visible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does; for texts that did not come as a string."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), _unlinked(segment.style))


def _unlinked(style: Style | None) -> Style | None:
    return style.update_link(None) if style is not None and style.link else style
