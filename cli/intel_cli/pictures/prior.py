"""What does g make of the prior? Draws of y, g in double precision, and the dimensions of z that belong to a plane."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["DASHES", "RADII", "draws", "precise", "z_plane"]

RADII = (1.0, 2.0, 3.0)
"""Standard deviations of the prior at which a contour is drawn."""
DASHES: Any = (0, (4, 3))


def draws(n: int, y_dim: int, seed: int, dtype: torch.dtype) -> Tensor:
    """`n` draws of y, the same in either precision up to rounding, ``(n, y_dim)``."""
    return torch.randn(n, y_dim, generator=torch.Generator().manual_seed(seed)).to(dtype)


def precise(mapping: Mapping, y: Tensor) -> tuple[Mapping, Tensor]:
    """A copy of the mapping on the CPU and the points, both in double precision if the mapping accepts it."""
    if isinstance(mapping, nn.Module):
        mapping = copy.deepcopy(mapping).cpu()
        doubled = cast("Mapping", copy.deepcopy(mapping).double())
    else:
        doubled = mapping
    try:
        doubled(y[:1].double())
    except RuntimeError:  # a tensor that is no buffer and stays in single precision
        return mapping, y
    return doubled, y.double()


def z_plane(mapping: Mapping, z: Tensor, plane: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of z that belong to a plane of y: the same ones if g keeps the number of dimensions."""
    if mapping.z_dim == mapping.y_dim:
        return plane
    if mapping.z_dim <= 2:
        return tuple(range(mapping.z_dim))
    return tuple(int(i) for i in z.var(0, correction=0).argsort(descending=True)[:2].sort().values)
