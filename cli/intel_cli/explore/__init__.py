"""How does what a model decodes change with y? A local page on which y can be dragged, `intel explore`."""

from __future__ import annotations

__all__: list[str] = []
