"""Which coordinates are large? Magnitudes of some draws, a row each, before and after g."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.ticker import MaxNLocator

from intel_cli.pictures.style import figure
from intel_core.helpers.hoyer import hoyer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["draw_heat"]

_ROWS = 40


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
