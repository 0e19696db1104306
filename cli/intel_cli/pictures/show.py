"""What does a mapping do? The kind of picture depends on its dimensions and on what it declares."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import torch

from intel_cli.pictures.heat import draw_heat
from intel_cli.pictures.line import draw_line
from intel_cli.pictures.planes import draw_planes
from intel_cli.pictures.prior import draws, precise
from intel_cli.pictures.space import draw_space
from intel_cli.pictures.style import styled
from intel_core.helpers.parts_of_mapping import elements, planes_of
from intel_core.mappings.compose import properties_of
from intel_core.mappings.contract import Levelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intel_core.mappings.contract import Mapping

__all__ = ["MOST_ROWS", "Shown", "mapping_figure"]

MOST_ROWS = 4
"""More planes than this do not fit into one picture."""


class Shown(NamedTuple):
    """A picture, and what did not fit into it."""

    figure: Figure
    left_out: list[tuple[int, int]]


@torch.no_grad()
def mapping_figure(mapping: Mapping, points: int, seed: int) -> Shown:
    """Draw what g makes of the prior.

    One dimension: densities and the graph. Levels: each lower level beside the one above. A promise of sparsity in
    more than 3 dimensions: magnitudes of some draws. A bounded image in space: the space. Else planes.

    Args:
        mapping: g; it is copied, not changed.
        points: how many draws of y.
        seed: of the draws.
    """
    mapping, y = precise(mapping, draws(points, mapping.y_dim, seed, torch.float32))
    if y.dtype == torch.float64:
        y = draws(points, mapping.y_dim, seed, torch.float64)
    with styled():
        if mapping.y_dim == 1:
            return Shown(draw_line(mapping, y.dtype), [])
        planes = _levels_of(mapping)
        if not planes:
            for part in elements(mapping):
                if part.reads_y and part.properties.sparsity is not None and len(part.dims) > 3:
                    return Shown(draw_heat(mapping, y), [])
            if mapping.y_dim == mapping.z_dim == 3 and properties_of(mapping).norm_bound is not None:
                return Shown(draw_space(mapping, y), [])
        chosen = planes or _planes_of(mapping)
        shown = draw_planes(mapping, y, chosen[:MOST_ROWS], levelled=bool(planes))
        return Shown(shown, chosen[MOST_ROWS:])


def _levels_of(mapping: Mapping) -> list[tuple[int, int]]:
    """Pairs of the first dimensions of two levels that follow each other, the upper one first."""
    for part in elements(mapping):
        if part.keeps and isinstance(part.mapping, Levelled):
            firsts = [part.dims[level[0]] for level in part.mapping.levels if level]
            return list(itertools.pairwise(firsts))
    return []


def _planes_of(mapping: Mapping) -> list[tuple[int, int]]:
    """Planes in which the mapping acts; if none is known, all pairs of up to 3 dimensions, else the first two."""
    return planes_of(mapping) or list(itertools.combinations(range(mapping.y_dim if mapping.y_dim <= 3 else 2), 2))
