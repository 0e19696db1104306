"""Where does randomness come from? From named streams, each with a seed of its own derived from the run's seed."""

from __future__ import annotations

import hashlib

__all__ = ["stream"]


def stream(seed: int, name: str) -> int:
    """The seed of one named random stream of a run, independent of all others.

    >>> stream(0, "noise") != stream(0, "order") != stream(1, "order")
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1
