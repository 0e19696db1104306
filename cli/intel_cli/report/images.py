"""How does an image get into a page? As a data address of a PNG or a WebP, many in one sheet."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["address", "limits_of", "sheet"]

_LARGE = 32 * 32
"""Tiles of more pixels are photographs more often than not, which WebP makes a tenth as large."""


def limits_of(x: Tensor, support: str) -> tuple[float, float]:
    """The values of black and white: 0 and 1, or for real data a range that contains nearly all values."""
    if support != "real" or x.numel() == 0:
        return 0.0, 1.0
    low, high = np.quantile(x.float().numpy(), [0.005, 0.995])
    return float(low), float(high)


def to_bytes(x: Tensor, limits: tuple[float, float]) -> Array:
    """``(n, C, H, W)`` as bytes ``(n, H, W)``, or ``(n, H, W, 3)`` for three channels; other numbers are averaged."""
    low, high = limits
    scaled = ((x.float() - low) / max(high - low, 1e-12)).nan_to_num(0.0).clamp(0, 1)
    if scaled.shape[1] != 3:
        scaled = scaled.mean(1, keepdim=True)
    array = (scaled.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return array if array.shape[-1] == 3 else array[..., 0]


def sheet(x: Tensor, columns: int, limits: tuple[float, float], *, gap: int = 0) -> Array:
    """Images in rows of a given length, with white between them.

    >>> import torch
    >>> sheet(torch.zeros(6, 1, 8, 8), 3, (0.0, 1.0), gap=1).shape
    (17, 26)
    """
    tiles = to_bytes(x, limits)
    height, width = tiles.shape[1:3]
    rows = math.ceil(len(tiles) / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:])
    whole = np.full(shape, 255, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = divmod(index, columns)
        whole[top * (height + gap) :, left * (width + gap) :][:height, :width] = tile
    return whole


def address(pixels: Array, tile: int) -> str:
    """A ``data:`` address of an image made of tiles with the given number of pixels."""
    from PIL import Image

    made, content = Image.fromarray(pixels), io.BytesIO()
    if tile > _LARGE:
        made.convert("RGB").save(content, "WEBP", quality=82, method=4)
        kind = "webp"
    else:
        made.save(content, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
