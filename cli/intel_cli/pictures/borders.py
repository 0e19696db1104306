"""How are clusters drawn? Their borders in y and in z, and each one's share of the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from intel_cli.pictures.points import MOST_CLASSES
from intel_cli.pictures.seams import Regions, label_places, regions, seams
from intel_cli.pictures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from intel_core.mappings.contract import Clustering, Mapping

__all__ = ["draw_borders", "draw_cuts", "shares_in"]

_DRAWS = 50_000


def draw_borders(
    left: Axes,
    right: Axes | None,
    mapping: Mapping,
    clustering: Clustering,
    dims: tuple[int, ...],
    plane: tuple[int, ...],
    z_plane: tuple[int, ...],
    dtype: torch.dtype,
    linewidth: float = 0.9,
) -> None:
    """Borders of the clusters in y with each one's share of the prior, and the borders' image in z.

    Args:
        left: the plane of y, its window already set.
        right: the plane of z, if there is one.
        mapping: g.
        clustering: who assigns.
        dims: the dimensions of y that it reads.
        plane: the dimensions of y on the left.
        z_plane: the dimensions of z on the right.
        dtype: the precision that g takes.
        linewidth: of the borders, in points.
    """
    reach = max(abs(edge) for edge in (*left.get_xlim(), *left.get_ylim()))
    areas = regions(clustering, dims, mapping.y_dim, plane, reach)
    for line in seams(areas):
        left.plot(*line[:, plane].T.numpy(), color=INK, linewidth=linewidth)
        if right is not None:
            right.plot(*mapping(line.to(dtype))[:, z_plane].T.numpy(), color=INK, linewidth=linewidth)
    shares = shares_in(areas)
    if len(shares) > MOST_CLASSES:
        return
    near = min(abs(edge) for edge in (*left.get_xlim(), *left.get_ylim()))
    for k, (x, y) in label_places(areas, near).items():
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        left.text(x, y, f"{shares[k]:.0%}", ha="center", va="center", fontsize=8, color=INK, bbox=box, clip_on=True)


def shares_in(areas: Regions) -> dict[int, float]:
    """The prior's mass over each cluster of the plane; of a product of cuts, what all that lies above comes to.

    With every other coordinate at 0 a plane meets some clusters only. The others' mass goes to the one below them,
    found from draws; where a cluster lies above several, the draws themselves are counted.
    """
    shares = areas.clustering.proportions().detach().double().cpu()
    met = sorted({int(k) for k in areas.cluster.flatten()})
    if len(met) == len(shares):
        return {k: float(shares[k]) for k in met}
    y = torch.randn(_DRAWS, areas.y_dim, generator=torch.Generator().manual_seed(0))
    above, below = areas.assign_rows(y), areas.assign(y[:, list(areas.plane)])
    pairs = set(zip(above.tolist(), below.tolist(), strict=True))
    if len(pairs) == len(shares) == len({a for a, _ in pairs}):
        return {k: sum(float(shares[a]) for a, b in pairs if b == k) for k in met}
    return {k: float((below == k).double().mean()) for k in met}


def draw_cuts(left: Axes, clustering: Clustering, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Where clusters end on a line, with each one's share of the prior above it; returns those places."""
    line = torch.linspace(-3.5, 3.5, 2001, dtype=dtype)
    cluster = clustering.assign(line.unsqueeze(-1))
    cuts = [line[cut : cut + 2].mean() for cut in torch.nonzero(cluster[1:] != cluster[:-1])[:, 0].tolist()]
    for cut in cuts:
        left.axvline(float(cut), color=INK, linewidth=0.9)
    for k, share in enumerate(clustering.proportions().tolist()):
        if bool((cluster == k).any()):
            place = float(line[cluster == k].mean())
            left.text(
                place, 1.0, f"{share:.0%}", transform=left.get_xaxis_transform(), ha="center", va="top", fontsize=8
            )
    return cuts
