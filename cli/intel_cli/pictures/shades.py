"""Which colour does a number have? Angles go round a perceptually uniform circle, levels from dark to bright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["by_angle", "by_direction", "by_level"]

_CHROMA = 0.125
# OKLab to linear sRGB, by way of cone responses: Ottosson, "A perceptual color space for image processing", 2020.
_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _srgb(lightness: Array, chroma: Array, hue: Array) -> Array:
    """Colours ``(n, 3)`` in [0, 1] of OKLCh coordinates ``(n,)``."""
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    linear = np.clip((lab @ _CONES.T) ** 3 @ _RGB.T, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def by_angle(pairs: Tensor) -> Array:
    """A colour for the angle of each point of a plane, ``(n, 2) -> (n, 3)``.

    Equal turns make equal steps of colour. Reds are darker than greens, so that the circle stays one for readers who
    do not tell these apart.
    """
    x, y = pairs.double().T.numpy()
    hue = np.arctan2(y, x) + np.deg2rad(30)
    return _srgb(0.68 - 0.07 * np.cos(hue), np.full_like(hue, _CHROMA), hue)


def by_direction(triples: Tensor) -> Array:
    """A colour for the direction of each point of space, ``(n, 3) -> (n, 3)``: dark below, bright above, hue around."""
    x, y, z = triples.double().T.numpy()
    height = np.arctan2(z, np.hypot(x, y)) / (np.pi / 2)
    return _srgb(0.64 + 0.15 * height, _CHROMA * (1 - 0.8 * height**2), np.arctan2(y, x) + np.deg2rad(30))


def by_level(values: Tensor) -> Array:
    """A colour for each draw of a normal coordinate, ``(n,) -> (n, 3)``, each as frequent as any other."""
    from torch.special import ndtr

    # The brightest end would be lost on white paper.
    return np.asarray(colormaps["viridis"](0.92 * ndtr(values.double()).numpy())[:, :3])
