"""What does the model do under a pointer? A local page on which y is dragged, `intel explore`."""

from __future__ import annotations

__all__: list[str] = []
