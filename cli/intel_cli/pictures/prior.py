"""What does g make of the prior? Draws of y, g in double precision, and the dimensions of z that belong to a plane."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from contourpy import contour_generator
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.helpers.own_prior import OwnPrior
    from intel_core.mappings.contract import Mapping

__all__ = ["DASHES", "RADII", "contours", "curve", "draws", "precise", "z_plane"]

RADII = (1.0, 2.0, 3.0)
"""Standard deviations of the prior at which a contour is drawn."""
DASHES: Any = (0, (4, 3))
_COUNTED = 200_000
_CELLS = 160


def draws(n: int, y_dim: int, seed: int, dtype: torch.dtype, prior: OwnPrior | None = None) -> Tensor:
    """`n` draws of y, the same in either precision up to rounding, ``(n, y_dim)``; of N(0, I) without a prior."""
    generator = torch.Generator().manual_seed(seed)
    if prior is not None:
        return prior.draws(n, generator).to(dtype)
    return torch.randn(n, y_dim, generator=generator).to(dtype)


def contours(prior: OwnPrior | None, plane: Sequence[int]) -> list[Tensor]:
    """Lines ``(n, 2)`` in a plane of y, inside which the prior is with the probabilities of 1, 2 and 3 deviations.

    They are circles for N(0, I); of any other prior the density in the plane is counted from draws, and the lines bound
    the sets of highest density: 39 %, 86 % and 99 %.
    """
    if prior is None:
        turn = torch.linspace(0, 2 * math.pi, 201, dtype=torch.float64)
        circle = torch.stack([turn.cos(), turn.sin()], -1)
        return [radius * circle for radius in RADII]
    y = draws(_COUNTED, 0, 0, torch.float64, prior)[:, list(plane)].numpy()
    low, high = np.quantile(y, 0.001, axis=0), np.quantile(y, 0.999, axis=0)
    room = 0.2 * (high - low) + 1e-6
    window = list(zip((low - room).tolist(), (high + room).tolist(), strict=True))
    found, *edges = np.histogram2d(y[:, 0], y[:, 1], bins=_CELLS, range=window)
    found = _smooth(_smooth(found, 0), 1)
    ranked = np.sort(found, axis=None)[::-1]
    held = ranked.cumsum() / ranked.sum()
    middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    drawn = contour_generator(x=middles[0], y=middles[1], z=found.T)
    levels = [ranked[np.searchsorted(held, -math.expm1(-radius * radius / 2))] for radius in RADII]
    return [torch.from_numpy(np.asarray(line)) for level in levels for line in drawn.lines(level)]


def curve(prior: OwnPrior | None, dim: int = 0) -> tuple[Any, Any]:
    """Places on a line and the prior's density there, counted from draws where it is not N(0, 1)."""
    if prior is None:
        line = np.linspace(-3.5, 3.5, 200)
        return line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi)
    y = draws(_COUNTED, 0, 0, torch.float64, prior)[:, dim].numpy()
    low, high = np.quantile(y, (0.0005, 0.9995))
    found, edges = np.histogram(y, bins=_CELLS, range=(low - 0.1 * (high - low), high + 0.1 * (high - low)))
    width = edges[1] - edges[0]
    return (edges[1:] + edges[:-1]) / 2, _smooth(found.astype(float), 0) / (len(y) * width)


def _smooth(counts: Any, axis: int) -> Any:
    """Counts, each spread over its neighbours by a Gaussian of two cells."""
    kernel = np.exp(-(np.arange(-6, 7) ** 2) / 8)
    return np.apply_along_axis(np.convolve, axis, counts, kernel / kernel.sum(), mode="same")


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
