"""What must a checkpoint hold so that training goes on as if it had not stopped?

The weights, the optimiser's state and the noise generator's state; the trainer adds the state of its own parts.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary

import torch
from torch import Tensor, nn

__all__ = ["load_tensors", "tensors_of"]


def tensors_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, noise: torch.Generator
) -> dict[str, dict[str, Tensor]]:
    """Tensors by file and name: ``model`` holds weights and buffers, ``training`` the rest."""
    training = {"noise": noise.get_state()}
    for index, values in optimizer.state_dict()["state"].items():
        training |= {f"optimizer/{index}/{key}": value for key, value in values.items()}
    return {"model": dict(model.state_dict()), "training": training}


def load_tensors(
    tensors: Dictionary[str, Dictionary[str, Tensor]],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    noise: torch.Generator,
) -> None:
    """Put back what `tensors_of` returned.

    Raises:
        RuntimeError, KeyError, ValueError: if it belongs to another model.
    """
    model.load_state_dict(tensors["model"])
    current = optimizer.state_dict()
    remembered: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors["training"].items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            remembered.setdefault(int(index), {})[key] = value
    current["state"] = remembered
    optimizer.load_state_dict(current)
    noise.set_state(tensors["training"]["noise"])
