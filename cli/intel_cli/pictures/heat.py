"""Which coordinates are large? Magnitudes of some draws, a row each, before and after g."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.ticker import MaxNLocator

from intel_cli.pictures.style import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mapping import Mapping

__all__ = ["draw_heat", "hoyer"]

_ROWS = 40


def hoyer(x: Tensor) -> Tensor:
    """Hoyer's score of each row, ``(n, d) -> (n,)``: 0 where all magnitudes are alike, 1 where only one is not 0.

    >>> [round(score, 3) + 0.0 for score in hoyer(torch.tensor([[1.0, -1.0, 1.0, 1.0], [0.0, 3.0, 0.0, 0.0]])).tolist()]
    [0.0, 1.0]
    """
    root: float = x.shape[-1] ** 0.5
    ratio = x.abs().sum(-1) / x.norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
    score: Tensor = (root - ratio) / (root - 1)
    return score


def draw_heat(mapping: Mapping, y: Tensor) -> Figure:
    """Two heat maps on one scale, with the mean sparsity of all draws.

    Args:
        mapping: g.
        y: draws of the prior, ``(n, y_dim)``.
    """
    z = mapping(y)
    finite = torch.isfinite(z).all(-1)
    y, z = y[finite], z[finite]
    some = [("y", y[:_ROWS].abs()), ("z", z[:_ROWS].abs())]
    magnitudes = torch.cat([part.flatten() for _, part in some]).double()
    top = float(magnitudes.quantile(0.99)) if len(magnitudes) else 1.0
    made = figure(6.6, 3.3)
    panels = made.subplots(1, 2, sharey=True)
    for axes, (letter, part), every in zip(panels, some, (y, z), strict=True):
        width = part.shape[1]
        image = axes.imshow(
            part.double().numpy(),
            cmap="magma_r",
            vmin=0,
            vmax=top,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, width - 0.5, len(part) + 0.5, 0.5),
        )
        axes.set(xlabel=f"dimension of ${letter}$")
        score = f", mean Hoyer score {float(hoyer(every).mean()):.2f}" if width > 1 else ""
        axes.set_title(f"$|{letter}|${score}")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        for spine in axes.spines.values():
            spine.set_visible(True)
    panels[0].set_ylabel("draw")
    panels[0].yaxis.set_major_locator(MaxNLocator(5, integer=True))
    made.colorbar(image, ax=panels, label="magnitude", shrink=0.8, extend="max", pad=0.02)
    return made
