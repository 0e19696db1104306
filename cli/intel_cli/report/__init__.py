"""How does a trained run become one page that anybody can open? `intel report`."""

from __future__ import annotations

__all__: list[str] = []
