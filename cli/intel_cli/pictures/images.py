"""How are images shown? As a grid, and as originals above their reconstructions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intel_cli.pictures.style import figure, plain_axes, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

__all__ = ["image_grid", "image_pairs", "tile"]

_WIDTH = 6.5
_PER_ROW = 12
_LABEL = 1.0
_GAP = 0.06


def tile(images: np.ndarray[Any, Any], columns: int) -> np.ndarray[Any, Any]:
    """Images ``(n, H, W, 3)`` in [0, 1] as one picture, thin white lines between them.

    >>> tile(np.zeros((6, 8, 8, 3)), columns=3).shape
    (17, 26, 3)
    """
    n, height, width, _ = images.shape
    rows, gap = math.ceil(n / columns), max(1, round(min(height, width) / 16))
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, 3))
    for index, image in enumerate(images):
        top, left = divmod(index, columns)
        sheet[top * (height + gap) :, left * (width + gap) :][:height, :width] = image
    return sheet


def _to_rgb(x: Tensor, limits: tuple[float, float]) -> np.ndarray[Any, Any]:
    """``(n, C, H, W)`` as ``(n, H, W, 3)`` in [0, 1]; other than 1 or 3 channels are averaged."""
    low, high = limits
    images = ((x.float() - low) / max(high - low, 1e-12)).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    if images.shape[-1] != 3:
        images = images.mean(-1, keepdims=True).repeat(3, axis=-1)
    return np.asarray(images)


def _limits(x: Tensor, support: str) -> tuple[float, float]:
    """The values of black and white: 0 and 1, or for real data a range that contains nearly all values."""
    if support != "real":
        return 0.0, 1.0
    low, high = np.quantile(x.numpy(), [0.005, 0.995])
    return float(low), float(high)


def image_grid(x: Tensor, support: str) -> Figure:
    """Images ``(n, C, H, W)`` in a grid that is about as wide as high."""
    with styled():
        height, width = x.shape[2:]
        columns = max(1, min(len(x), round(math.sqrt(len(x) * height / width))))
        sheet = tile(_to_rgb(x, _limits(x, support)), columns)
        made = figure(4.0, 4.0 * sheet.shape[0] / sheet.shape[1], arranged=False)
        axes = made.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.imshow(sheet, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        return made


def image_pairs(originals: Tensor, decoded: Tensor, support: str) -> Figure:
    """Rows of originals, each above the row of their reconstructions."""
    with styled():
        columns = min(_PER_ROW, len(originals))
        limits = _limits(originals, support)
        blocks = math.ceil(len(originals) / columns)
        sheets = []
        for part in (originals, decoded):
            images = _to_rgb(part, limits)
            sheets.append([tile(images[i * columns : (i + 1) * columns], columns) for i in range(blocks)])
        height, width = sheets[0][0].shape[:2]
        row = (_WIDTH - _LABEL) * height / width
        total = blocks * (2 * row + _GAP) + (blocks - 1) * 2 * _GAP
        made = figure(_WIDTH, total, arranged=False)
        top = total
        for block in range(blocks):
            for offset, name in enumerate(("original", "reconstruction")):
                top -= row
                place = (_LABEL / _WIDTH, top / total, 1 - _LABEL / _WIDTH, row / total)
                axes = made.add_axes(place)
                axes.imshow(sheets[offset][block], interpolation="nearest", aspect="auto")
                plain_axes(axes)
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
                top -= _GAP if offset == 0 else 2 * _GAP
        return made
