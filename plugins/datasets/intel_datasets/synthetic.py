"""What are the synthetic sets, and how far is a point from one? Samples and exact distances.

The paper's low-dimensional experiments use ``circle`` (which it calls 'sphere'), ``square``, ``star``, ``infinity`` and
``mixture``, all in the plane; their sizes are those of its authors' notebooks. ``sphere``, which has three dimensions,
and ``three_loops`` are not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError, did_you_mean

__all__ = [
    "BETTI",
    "CURVES",
    "LOOP_CENTRES",
    "LOOP_RADIUS",
    "SHAPES",
    "along_manifold",
    "corners",
    "distance_to_manifold",
    "load",
    "sample",
]

RADIUS = 2.0
LOOP_RADIUS = 2.0 / 3.0
LOOP_CENTRES = (-4.0 / 3.0, 0.0, 4.0 / 3.0)
_MIXTURE_STD = 0.3
_CHUNK = 8192  # how many 8x8 complex matrices are made at a time; they take 8 MB

Array = np.ndarray[Any, Any]


def corners(name: str) -> Array:
    """Corners ``(k, 2)`` of ``square`` or ``star``, counter-clockwise.

    Square: (±√2, ±√2). Star: ten corners at the angles ``-π/10 + kπ/5``, at radius 2/3 for even k and 2 for
    odd k.

    Raises:
        DataError: for another name.

    >>> corners("star").shape
    (10, 2)
    """
    if name == "square":
        return math.sqrt(2.0) * np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    if name == "star":
        k = np.arange(10)
        angle = -math.pi / 10 + k * math.pi / 5
        radius = np.where(k % 2 == 0, RADIUS / 3, RADIUS)
        tips: Array = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return tips
    raise DataError(f"{name!r} is not a polygon{did_you_mean(name, ['square', 'star'])}")


# --- samples ------------------------------------------------------------------------------------------------


def _uniform(n: int, generator: torch.Generator, top: float = 1.0) -> Tensor:
    return top * torch.rand(n, generator=generator, dtype=torch.float64)


def _on_circle(t: Tensor, radius: float) -> Tensor:
    return radius * torch.stack([torch.cos(t), torch.sin(t)], dim=1)


def _circle(n: int, generator: torch.Generator) -> Tensor:
    return _on_circle(_uniform(n, generator, 2 * math.pi), RADIUS)


def _polygon(name: str) -> Callable[[int, torch.Generator], Tensor]:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        start = torch.from_numpy(corners(name))
        side = start.roll(-1, 0) - start
        length = side.norm(dim=1)
        ends = length.cumsum(0)
        at = _uniform(n, generator, float(ends[-1]))
        which = torch.searchsorted(ends, at).clamp_(max=len(start) - 1)
        part = 1 - (ends[which] - at) / length[which]
        points: Tensor = start[which] + part[:, None] * side[which]
        return points

    return draw


def _infinity(n: int, generator: torch.Generator) -> Tensor:
    t = _uniform(n, generator, 2 * math.pi)
    return RADIUS * torch.stack([torch.cos(t), torch.sin(t) * torch.cos(t)], dim=1)


def _mixture(n: int, generator: torch.Generator) -> Tensor:
    points = _MIXTURE_STD * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    points[:, 0] += RADIUS * (2 * _components(n) - 1)
    return points


def _components(n: int) -> Tensor:
    """0 (left) and 1 (right) by turns, so that exactly half are on either side, in any first part as well."""
    return torch.arange(n) % 2


def _sphere(n: int, generator: torch.Generator) -> Tensor:
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    on_sphere: Tensor = RADIUS * points / points.norm(dim=1, keepdim=True)
    return on_sphere


def _three_loops(n: int, generator: torch.Generator) -> Tensor:
    loop = torch.randint(len(LOOP_CENTRES), (n,), generator=generator)
    points = _on_circle(_uniform(n, generator, 2 * math.pi), LOOP_RADIUS)
    points[:, 0] += torch.tensor(LOOP_CENTRES, dtype=torch.float64)[loop]
    return points


SHAPES: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "circle": _circle,
    "square": _polygon("square"),
    "star": _polygon("star"),
    "infinity": _infinity,
    "mixture": _mixture,
    "sphere": _sphere,
    "three_loops": _three_loops,
}
"""For each name, a function that draws ``(n, d)`` float64 points."""

CURVES = tuple(name for name in SHAPES if name != "mixture")
"""The sets that are a curve or surface, so that points have a distance to them."""

BETTI = {
    "circle": (1, 1),
    "square": (1, 1),
    "star": (1, 1),
    "infinity": (1, 2),
    "mixture": (2,),
    "sphere": (1, 0, 1),
    "three_loops": (1, 3),
}
"""Betti numbers of each set; the mixture counts as two pieces, though thin tails join them."""


def sample(name: str, n: int, generator: torch.Generator) -> Tensor:
    """Independent points of a synthetic set, without noise.

    ===============  ===================================================================================================
    ``circle``       2(cos t, sin t), t uniform on [0, 2π)
    ``square``       uniform on the outline through `corners`
    ``star``         uniform on the outline through `corners`
    ``infinity``     2(cos t, sin t cos t), t uniform on [0, 2π), so not uniform in length
    ``mixture``      points with even numbers from N((-2, 0), 0.3² I), with odd ones from N((2, 0), 0.3² I)
    ``sphere``       2 w/‖w‖ with w ~ N(0, I₃)
    ``three_loops``  uniform on three circles of radius 2/3 around (-4/3, 0), (0, 0), (4/3, 0); they touch at (±2/3, 0)
    ===============  ===================================================================================================

    Args:
        name: one of `SHAPES`.
        n: number of points.
        generator: a random generator on the CPU.

    Returns:
        float32 points ``(n, 2)``, for ``sphere`` ``(n, 3)``.

    Raises:
        DataError: for an unknown name.

    >>> points = sample("circle", 5, torch.Generator().manual_seed(0))
    >>> points.shape, bool((points.norm(dim=1) - 2).abs().max() < 1e-6)
    (torch.Size([5, 2]), True)
    """
    if name not in SHAPES:
        raise DataError(f"no synthetic set is called {name!r}{did_you_mean(name, SHAPES, say='sets')}")
    return SHAPES[name](n, generator).to(torch.float32)


def load(name: str, n: int, noise: float = 0.0, seed: int = 0, standardize: bool = False) -> Dataset:
    """A synthetic set: n points for training, n // 5 for validation and n // 5 for testing, all independent.

    Args:
        name: one of `SHAPES`.
        n: number of training points.
        noise: standard deviation of isotropic Gaussian noise that is added.
        seed: of the points and the noise.
        standardize: scale each coordinate to mean 0 and variance 1; `Dataset.scaling` keeps the old mean and standard
            deviation.

    Raises:
        DataError: for an unknown name.

    >>> data = load("mixture", 100)
    >>> data.x_shape, len(data.test), data.class_names
    ((2,), 20, ('left', 'right'))
    """
    generator = torch.Generator().manual_seed(seed)
    labelled = name == "mixture"

    def draw(size: int) -> Split:
        x = sample(name, size, generator)
        if noise > 0:
            x = x + noise * torch.randn(x.shape, generator=generator)
        return Split(x, _components(size) if labelled else None)

    train, validation, test = draw(n), draw(n // 5), draw(n // 5)
    scaling = None
    if standardize:
        std, mean = torch.std_mean(train.x.double(), dim=0, correction=0)
        scaling = (tuple(mean.tolist()), tuple(std.tolist()))
        train, validation, test = (
            Split(((split.x - mean) / std).float(), split.labels) for split in (train, validation, test)
        )
    names = ("left", "right") if labelled else ()
    return Dataset(name, train, validation, test, support="real", class_names=names, scaling=scaling)


# --- even points ---------------------------------------------------------------------------------------------


def along_manifold(name: str, n: int) -> Array:
    """Points spread evenly over a curve's length or a surface's area.

    A curve is cut into n arcs of equal length, and the points are their middles; ``three_loops`` is taken as one curve
    that follows its three circles one after another. The length of ``infinity`` is that of a polygon with 2^16 sides,
    with an error of 1e-8 of the length. On ``sphere`` the points are a Fibonacci lattice: heights at the middles of n
    equal parts, and longitudes a golden angle apart.

    Args:
        name: one of `CURVES`; the mixture is not supported on a curve.
        n: how many, at least 1.

    Returns:
        float64 points ``(n, 2)``, for ``sphere`` ``(n, 3)``.

    Raises:
        DataError: for another name or number.

    >>> along_manifold("circle", 2).round(6).tolist()
    [[0.0, 2.0], [-0.0, -2.0]]
    """
    if name not in CURVES:
        raise DataError(f"{name!r} has no manifold to go along{did_you_mean(name, CURVES, say='sets')}")
    if n < 1:
        raise DataError(f"{n} points were asked for; at least 1 is needed")
    part = (np.arange(n) + 0.5) / n
    if name == "sphere":
        height = 1 - 2 * part
        longitude = math.pi * (3 - math.sqrt(5)) * np.arange(n)
        radius = np.sqrt(1 - height**2)
        return RADIUS * np.stack([radius * np.cos(longitude), radius * np.sin(longitude), height], axis=1)
    if name == "three_loops":
        loop = (part * len(LOOP_CENTRES)).astype(int)
        points = LOOP_RADIUS * _unit_circle(2 * math.pi * part * len(LOOP_CENTRES))
        points[:, 0] += np.asarray(LOOP_CENTRES)[loop]
        return points
    if name == "circle":
        return RADIUS * _unit_circle(2 * math.pi * part)
    if name == "infinity":
        t = np.linspace(0, 2 * math.pi, 2**16 + 1)
        outline = RADIUS * np.stack([np.cos(t), np.sin(t) * np.cos(t)], axis=1)
    else:
        outline = np.concatenate([corners(name), corners(name)[:1]])
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(outline, axis=0), axis=1).cumsum()])
    return np.stack([np.interp(part * length[-1], length, column) for column in outline.T], axis=1)


def _unit_circle(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


# --- distances ----------------------------------------------------------------------------------------------


def distance_to_manifold(name: str, points: Any) -> Array:
    """Euclidean distance ``min_{s ∈ S} ‖x - s‖`` of points to the curve or surface S.

    All distances have closed forms: ``|‖x‖ - 2|`` for circle and sphere, the least of three such for the loops, and
    the distance to the nearest side for the polygons. For ``infinity``, half the derivative of the squared distance to
    2(cos t, sin t cos t) is ``sin 4t - 2 sin 2t + 2x sin t - 2y cos 2t``. In ``z = e^{it}`` that is a polynomial of
    degree 8, whose roots include every stationary point; the nearest of these is the nearest point of the curve.

    Args:
        name: one of `CURVES`; the mixture is not supported on a curve.
        points: array or tensor ``(n, 2)``, for ``sphere`` ``(n, 3)``.

    Returns:
        float64 distances ``(n,)``.

    Raises:
        DataError: for another name, a wrong shape, or values that are not finite.

    >>> distance_to_manifold("circle", [[0.0, 0.0], [3.0, 0.0]]).tolist()
    [2.0, 1.0]
    """
    if name not in CURVES:
        reason = "a mixture fills the plane" if name == "mixture" else "no such set"
        raise DataError(f"no distance to {name!r}, {reason}{did_you_mean(name, CURVES, say='sets')}")
    array = points.detach().cpu().numpy() if isinstance(points, Tensor) else np.asarray(points)
    array = array.astype(np.float64)
    dimensions = 3 if name == "sphere" else 2
    if array.ndim != 2 or array.shape[1] != dimensions:
        raise DataError(f"distance to {name}: points of shape {array.shape}, expected (n, {dimensions})")
    if not np.isfinite(array).all():
        raise DataError(f"distance to {name}: the points hold NaN or infinity")
    if name in ("circle", "sphere"):
        return _from_circle(array, RADIUS)
    if name == "three_loops":
        loops = [_from_circle(array - np.array([centre, 0.0]), LOOP_RADIUS) for centre in LOOP_CENTRES]
        nearest: Array = np.min(loops, axis=0)
        return nearest
    if name == "infinity":
        chunks = [_from_infinity(array[i : i + _CHUNK]) for i in range(0, len(array), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.empty(0)
    return _from_polygon(array, corners(name))


def _from_circle(points: Array, radius: float) -> Array:
    gap: Array = np.abs(np.linalg.norm(points, axis=1) - radius)
    return gap


def _from_polygon(points: Array, start: Array) -> Array:
    nearest = np.full(len(points), np.inf)
    for a, b in zip(start, np.roll(start, -1, axis=0), strict=True):
        part = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(points - a - part[:, None] * (b - a), axis=1))
    return nearest


def _from_infinity(points: Array) -> Array:
    x, y = points[:, 0], points[:, 1]
    # The derivative above times 2i z^4 is monic, z^8 + c7 z^7 + … + c0; its roots are the eigenvalues of its
    # companion matrix.
    companion = np.zeros((len(points), 8, 8), dtype=np.complex128)
    companion[:, np.arange(1, 8), np.arange(7)] = 1.0
    coefficients: dict[int, Any] = {6: -2 - 2j * y, 5: 2 * x, 3: -2 * x, 2: 2 - 2j * y, 0: -1.0}
    for power, value in coefficients.items():
        companion[:, power, 7] = -value
    # Roots off the unit circle also give points on the curve, so they do no harm.
    t = np.angle(np.linalg.eigvals(companion))
    gap = np.hypot(2 * np.cos(t) - x[:, None], np.sin(2 * t) - y[:, None])
    nearest: Array = gap.min(axis=1)
    return nearest
