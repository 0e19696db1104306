"""What does a model do with a mapping that is a part of it? It converts and loads it itself.

``to``, ``load_state_dict`` and other methods that a mapping may override are those of a whole model, and torch calls
none of them on its parts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from intel_conformance.outcomes import Broken

__all__ = ["as_part_converted", "as_part_loaded"]


def as_part_converted(mapping: nn.Module, device: torch.device | str, dtype: torch.dtype | None = None) -> None:
    """Move the mapping to a device, and convert it, as ``model.to(device, dtype)`` does with a part.

    >>> layer = nn.Linear(1, 1)
    >>> as_part_converted(layer, "cpu", torch.float64)
    >>> layer.weight.dtype
    torch.float64
    """
    nn.ModuleList([mapping]).to(device=device, dtype=dtype)


def as_part_loaded(mapping: nn.Module, state: dict[str, Any]) -> None:
    """Load a state into the mapping, as ``model.load_state_dict(state)`` does with that of a part.

    Raises:
        Broken: if it cannot be loaded.

    >>> one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> as_part_loaded(other, one.state_dict())
    >>> torch.equal(one.weight, other.weight)
    True
    """
    try:
        nn.ModuleList([mapping]).load_state_dict({f"0.{name}": value for name, value in state.items()})
    except Exception as error:
        said = str(error).strip().replace("\n", " ")[:200]
        raise Broken(
            f"load_state_dict raised {type(error).__name__}: {said}", likely="state that is created on first use"
        ) from error
