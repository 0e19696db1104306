r"""How dense are the directions of a Gaussian? The density of y / |y| for a diagonal Gaussian y, in any dimension.

All that is not elementary in it is one function of one number, :math:`\log I_d(D)`; see `log_radial_integral`. It is
read from a table of polynomials, which is made from integrals in float64 when a dimension is first needed: each
recursion for it cancels on one side of zero, and would take a small network longer than its own step. The gradients
are in closed form, and use the same table.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from intel_core.helpers.geometry import widened

__all__ = ["RadialTable", "direction_log_prob", "log_radial_integral", "log_sphere_area", "radial_table"]

FARTHEST = 1e15
"""Means at more standard deviations than this count as so many: the squares of such numbers are finite in float32."""
WIDTHS = {torch.float32: 1 / 32, torch.float64: 1 / 16}
"""Widths of the table's intervals, in asinh(D / (2 sqrt(d)))."""
DEGREES = {torch.float32: 3, torch.float64: 7}
"""Degrees of its polynomials; with these their errors are those of rounding."""
NODES = 140
"""Of the trapezoidal rule, whose errors are those of rounding from 135 nodes on."""


def direction_log_prob(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Log density of the direction :math:`u = y / \|y\|` of :math:`Y \sim N(m, diag(s^2))`, the projected normal.

    The density is with respect to the area of the unit sphere; that of the uniform distribution is minus
    `log_sphere_area`. With :math:`A = \sum_i u_i^2 / s_i^2`, :math:`D = \sum_i u_i m_i / s_i^2 / \sqrt A` and
    :math:`Q = \sum_i (u_i D / \sqrt A - m_i)^2 / s_i^2`,

    .. math:: \log p(u) = -\tfrac{d-1}{2} \log 2\pi - \sum_i \log s_i - \tfrac d2 \log A - \tfrac Q2 + \log I_d(D),

    where :math:`I_d` is that of `log_radial_integral`. The length of y does not matter, nor does a common factor of
    m and s.

    Twice differentiable. Values and gradients are finite for y up to 1e36, any m, and s between 1e-15 and 1e15. Where y
    is 0, the direction is that of (1, ..., 1). Half precision is computed in float32, also under `torch.autocast`.

    Args:
        y: vectors in the directions wanted, such as draws of Y, ``(..., n, d)``, d >= 2.
        mean: m, broadcast against y.
        log_variance: :math:`\log s^2`, broadcast against y.

    Returns:
        Nats for each vector, ``(..., n)``, in float64 if an argument is, else in float32.

    Raises:
        ValueError: if d < 2.

    Source: Pukkila and Rao, Information Sciences 45, 1988; Hernandez-Stumpfhauser, Breidt and van der Woerd, The
    general projected normal distribution of arbitrary dimension, Bayesian Analysis 12, 2017.

    >>> y = torch.tensor([[2.0, 0.0], [0.0, 7.0]])
    >>> zero = torch.zeros(2)
    >>> direction_log_prob(y, zero, zero).exp() * 2 * math.pi
    tensor([1.0000, 1.0000])
    >>> direction_log_prob(y, torch.tensor([1.0, 0.0]), zero)
    tensor([-0.8389, -2.3379])
    """
    y, mean, log_variance = widened(y), widened(mean), widened(log_variance)
    if not y.dtype == mean.dtype == log_variance.dtype:
        dtype = torch.promote_types(torch.promote_types(y.dtype, mean.dtype), log_variance.dtype)
        y, mean, log_variance = y.to(dtype), mean.to(dtype), log_variance.to(dtype)
    if not y.shape == mean.shape == log_variance.shape:
        y, mean, log_variance = torch.broadcast_tensors(y, mean, log_variance)  # type: ignore[no-untyped-call]
    shape = y.shape
    if len(shape) == 0 or shape[-1] < 2:
        raise ValueError(f"a direction needs at least 2 dimensions, not {shape[-1] if shape else 0}")
    if len(shape) != 2:
        y, mean, log_variance = (x.reshape(-1, shape[-1]) for x in (y, mean, log_variance))
    # These differ in cost only: what vmap and the compiler need takes torch a fifth of the time of the arithmetic.
    log_prob: Tensor
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        log_prob = _Mapped.apply(y, mean, log_variance)[0]  # type: ignore[no-untyped-call]  # torch's own gap
    elif torch.is_grad_enabled() and (y.requires_grad or mean.requires_grad or log_variance.requires_grad):
        log_prob = _Plain.apply(y, mean, log_variance)  # type: ignore[no-untyped-call]
    else:
        (log_prob,) = _evaluated(y, mean, log_variance, slopes=False)
    return log_prob if len(shape) == 2 else log_prob.reshape(shape[:-1])


def log_sphere_area(d: int) -> float:
    r"""The logarithm of the area of the unit sphere in d dimensions, :math:`\log(2 \pi^{d/2} / \Gamma(d/2))`.

    >>> [round(math.exp(log_sphere_area(d)) / math.pi, 6) for d in (2, 3)]
    [2.0, 4.0]
    """
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def log_radial_integral(D: Tensor, d: int) -> Tensor:
    r""":math:`\log I_d(D)`, by which the density of a projected normal differs from a normal's.

    .. math:: I_d(D) = \int_0^\infty r^{d-1} n(r - D)\, dr, \qquad
        \frac{d}{dD} \log I_d(D) = (d - 1) \frac{I_{d-1}(D)}{I_d(D)},

    n being the standard normal density. :math:`I_1` is its distribution N, with the slope n / N, and
    :math:`I_2 = n + D N`, :math:`I_d = D I_{d-1} + (d-2) I_{d-2}`. Twice differentiable.

    In float64 the error is below 1e-11 for D in [-30, 30] and d up to 64, and for any D it is 1e-13 of the largest
    term of the logarithm.

    Args:
        D: any shape. Numbers beyond ±1e15 count as ±1e15.
        d: at least 1.

    Returns:
        The shape of D, in float64 if D is, else in float32.

    Raises:
        ValueError: if d < 1.

    >>> log_radial_integral(torch.tensor([-30.0, 0.0, 30.0]), 2)
    tensor([-457.7246,   -0.9189,    3.4012])
    """
    if d < 1:
        raise ValueError(f"a radius needs at least 1 dimension, not {d}")
    found: Tensor = _LogRadialIntegral.apply(widened(D).clamp(-FARTHEST, FARTHEST), d)[0]  # type: ignore[no-untyped-call]
    return found


# --- log I_d(D) and its slope -------------------------------------------------------------------------------------


class RadialTable(NamedTuple):
    """Polynomials of the functions of `_integrated`, the first less `_constant`; and numbers as tensors, for speed.

    Attributes:
        knots: where an interval ends and the next one begins.
        rows: of each interval the centre, four times, and the coefficients of ``(D - centre)^k`` of the four functions,
            ``(intervals, degree + 2, 4)``.
        tiny: next to zero, and what no other number is likely to be.
        half: 1/2.
        minus_one: -1.
        dims: d.
    """

    knots: Tensor
    rows: Tensor
    tiny: Tensor
    half: Tensor
    minus_one: Tensor
    dims: Tensor


def radial_table(d: int, dtype: torch.dtype, device: torch.device) -> RadialTable:
    """The table of d dimensions, made when it is first asked for."""
    return _made(d, dtype, device)


# As `torch.compiler.assume_constant_result` marks it, which imports the compiler: that takes as long as all of torch.
radial_table._dynamo_marked_constant = True  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=64)
def _made(d: int, dtype: torch.dtype, device: torch.device) -> RadialTable:
    # In NumPy, which no mode of torch changes.
    width, degree = WIDTHS[dtype], DEGREES[dtype]
    rounded = np.float64 if dtype == torch.float64 else np.float32
    number = math.ceil((math.asinh(FARTHEST) + 1) / width)
    ends = (2 * math.sqrt(d) * np.sinh(np.arange(-number, number + 1) * width)).astype(rounded).astype(np.float64)
    centres = ((ends[1:] + ends[:-1]) / 2).astype(rounded).astype(np.float64)
    halves = (ends[1:] - ends[:-1]) / 2
    # Interpolation at Chebyshev's nodes.
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    values = _integrated(centres[:, None] + halves[:, None] * nodes, d)
    values[..., 0] -= _constant(d)
    scales = halves[:, None, None] ** np.arange(degree + 1)[:, None]
    coefficients = np.linalg.inv(np.vander(nodes, increasing=True)) @ values / scales
    rows = np.concatenate([np.broadcast_to(centres[:, None, None], (len(centres), 1, 4)), coefficients], axis=1)
    numbers = math.sqrt(3) * torch.finfo(dtype).tiny, 0.5, -1.0, d
    with torch.inference_mode(False), torch.no_grad():
        arrays = ends[1:-1], rows, *map(np.asarray, numbers)
        return RadialTable(*(torch.from_numpy(array.astype(rounded)).to(device) for array in arrays))


def _constant(d: int) -> float:
    """Of the normal densities in d dimensions, what that in one does not account for."""
    return (d - 1) / 2 * math.log(2 * math.pi)


def _integrated(D: npt.NDArray[np.float64], d: int) -> npt.NDArray[np.float64]:
    r"""Of each D :math:`\log I_d` and its slope, and mean and variance of r, ``(...) -> (..., 4)``.

    r has the density :math:`r^{d-1} n(r - D) / I_d`. By the trapezoidal rule in a variable in which it is analytic and
    falls doubly exponentially on both sides, centred at the mode of log r and in units of its width.
    """
    root = np.sqrt(D * D / 4 + d) + np.abs(D) / 2
    mode = np.where(D > 0, root, d / root)
    width = 1 / np.sqrt(mode**2 + d)
    x, step = np.linspace(-5.4, 15.6, NODES, retstep=True)
    log_ratio = width[..., None] * (x + 1 - np.exp(-x)) / 2
    more = np.expm1(log_ratio)  # r / mode - 1
    weights = np.exp(d * (log_ratio - more) - (mode[..., None] * more) ** 2 / 2) * (1 + np.exp(-x)) / 2
    total = weights.sum(-1)
    weights /= total[..., None]
    mean = (weights * more).sum(-1)
    variance = mode**2 * (weights * (more - mean[..., None]) ** 2).sum(-1)
    value = d * np.log(mode) - (d / mode) ** 2 / 2 + np.log(width * step * total) - math.log(2 * math.pi) / 2
    if d > 1:
        slope = (d - 1) / mode * (weights * np.exp(-log_ratio)).sum(-1)
    else:
        falling = np.exp(-(np.maximum(D, 0) ** 2) / 2 - math.log(2 * math.pi) / 2 - value.clip(min=-1))
        slope = np.where(D > 0, falling, d / mode + mode * mean)
    return np.stack([value, slope, mode * (1 + mean), variance], axis=-1)


def _read(D: Tensor, table: RadialTable) -> Tensor:
    """The functions of the table, ``(n,) -> (n, 4)``."""
    # There is such a row whatever D is, NaN too.
    centre, *coefficients = table.rows.index_select(0, torch.bucketize(D, table.knots)).unbind(1)
    away = D.unsqueeze(-1) - centre
    value = coefficients.pop()
    while coefficients:
        value = torch.addcmul(coefficients.pop(), value, away)
    return value


def _value_and_slope(D: Tensor, d: int) -> tuple[Tensor, Tensor]:
    value, slope, *_ = _read(D.flatten(), radial_table(d, D.dtype, D.device)).unbind(1)
    return (value + _constant(d)).reshape(D.shape), slope.reshape(D.shape)


class _LogRadialIntegral(torch.autograd.Function):
    @staticmethod
    def forward(D: Tensor, d: int) -> tuple[Tensor, Tensor]:
        return _value_and_slope(D, d)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
        D, ctx.d = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(D, output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        D, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient may be differentiated in turn
            _, slope = _value_and_slope(D, ctx.d)
        return gradients[0] * slope, None

    @staticmethod
    def vmap(info: object, in_dims: tuple[int, None], D: Tensor, d: int) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        found: tuple[Tensor, ...] = _LogRadialIntegral.apply(D, d)  # type: ignore[no-untyped-call]
        return found, (in_dims[0], in_dims[0])


# --- the density --------------------------------------------------------------------------------------------------


def _evaluated(y: Tensor, mean: Tensor, log_variance: Tensor, slopes: bool = True) -> tuple[Tensor, ...]:
    r"""Log density ``(n,)``, and if asked for its gradients with respect to y, mean and log-variance, all ``(n, d)``.

    In units of standard deviations let w be the mean, v the unit vector along y, and r the length of a draw along v,
    of mean R and variance V. By Fisher's identity a gradient is the mean of that of the normal's log density over such
    draws: with :math:`h = R v - w` it is h with respect to w and :math:`(h^2 + V v^2 - 1) / 2` with respect to the
    log-variance. None of this cancels where D is far below 0.
    """
    d = y.shape[-1]
    table = radial_table(d, y.dtype, y.device)
    std = torch.exp(table.half * log_variance)
    # Squares of any y are numbers when it is divided by its size.
    y = y + table.tiny
    size = y.abs().sum(-1, keepdim=True)
    y = y / size
    length = (y * y).sum(-1, keepdim=True)
    v = y / std
    stretch = (v * v).sum(-1, keepdim=True)
    root = stretch.sqrt()
    v = v / root
    w = (mean / std).clamp(-FARTHEST, FARTHEST)
    D = (v * w).sum(-1)
    value, _, radius, variance = _read(D, table).unsqueeze(-1).unbind(1)
    beside = torch.addcmul(w, v, D.unsqueeze(-1), value=-1)
    twice = torch.addcmul(log_variance, beside, beside).sum(-1, keepdim=True)
    log_prob = value.add((length / stretch).log(), alpha=d / 2).sub(twice, alpha=0.5).squeeze(-1)
    if not slopes:
        return (log_prob,)
    h = v * radius - w
    spread = v * variance
    of_log_variance = table.half * torch.addcmul(torch.addcmul(table.minus_one, h, h), spread, v)
    of_y = (y * (table.dims / length) - torch.addcmul(spread, h, radius) / std / root) / size
    largest = torch.finfo(y.dtype).max / 100
    return log_prob, of_y.clamp(-largest, largest), h / std, of_log_variance


def _gradients(
    gradient: Tensor, y: Tensor, mean: Tensor, log_variance: Tensor, *slopes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    if torch.is_grad_enabled():  # they may be differentiated in turn
        slopes = _evaluated(y, mean, log_variance)[1:]
    gradient = gradient.unsqueeze(-1)
    return slopes[0] * gradient, slopes[1] * gradient, slopes[2] * gradient


class _Plain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        log_prob, *slopes = _evaluated(y, mean, log_variance)
        ctx.save_for_backward(y, mean, log_variance, *slopes)
        return log_prob

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return _gradients(gradients[0], *ctx.saved_tensors)


class _Mapped(torch.autograd.Function):
    @staticmethod
    def forward(y: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, ...]:
        return _evaluated(y, mean, log_variance)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return _gradients(gradients[0], *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        stacked = [
            x.unsqueeze(0).expand(info.batch_size, *x.shape) if place is None else x.movedim(place, 0)
            for x, place in zip(inputs, in_dims, strict=True)
        ]
        found = _Mapped.apply(*(x.flatten(0, 1) for x in stacked))  # type: ignore[no-untyped-call]
        return tuple(x.unflatten(0, stacked[0].shape[:2]) for x in found), (0,) * len(found)
