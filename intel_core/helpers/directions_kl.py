r"""How large is the KL term in z where g keeps directions only? The draws of a step and their term at once.

The densities of `intel_core.helpers.projected_normal` take y, mean and log-variance as they come. In training
:math:`y = \mu + \sigma \epsilon`, so that y and the term are functions of mean and log-variance alone, the noise being
held. Here are the same numbers and gradients by half as many operations, each of which takes as long as a small layer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from intel_core.helpers.projected_normal import log_sphere_area, radial_table
from intel_core.model.posterior import DiagonalGaussian

__all__ = ["Differentiated", "DirectionsKL"]

_TINY = {torch.float32: 1e-36, torch.float64: 1e-290}
"""Added to squares, so that a direction of length 0 has finite numbers; those of any other length lie far above."""

Plain = Callable[[DiagonalGaussian, Tensor, Tensor | None], Tensor]


class Differentiated(NamedTuple):
    """One draw of y for each example, and a KL term with its gradients, the noise being held.

    Attributes:
        y: the draws, ``(n, y_dim)``.
        std: the posterior's standard deviations.
        kl: the term, the mean over examples: nats per example.
        of_mean: gradient of the weighted term with respect to the means, ``(n, y_dim)``.
        of_log_variance: the same with respect to the log-variances.
        others: numbers to report beside the term.
    """

    y: Tensor
    std: Tensor
    kl: Tensor
    of_mean: Tensor
    of_log_variance: Tensor
    others: dict[str, Tensor]


class DirectionsKL:
    r"""The KL term of a mapping that keeps the directions of blocks of y, and of the other dimensions everything.

    Numbers and gradients are those of the densities up to rounding. They are finite for lengths of y up to 1e18, in
    standard deviations, too.

    Args:
        blocks: disjoint blocks of at least two dimensions of y.
        y_dim: number of dimensions of y.
        plain: the same by densities, of ``(posterior, y, noise)``, which is asked for gradients of gradients: of each
            draw with noise, ``(..., n)``; without, the mean over n, with the dimensions beside the blocks in closed
            form.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], y_dim: int, plain: Plain) -> None:
        self.plain = plain
        order: list[int] = []
        self.groups: list[_Group] = []
        for d in sorted({len(block) for block in blocks}):
            dims = [dim for block in blocks if len(block) == d for dim in block]
            self.groups.append(_Group(_indices(dims, y_dim), len(dims) // d, d))
            order += dims
        rest = [dim for dim in range(y_dim) if dim not in order]
        self.rest = _indices(rest, y_dim) if rest else None
        order += rest
        # Where each dimension stands when those of the groups and the rest follow each other; None if in order.
        self.places = None if order == sorted(order) else [order.index(dim) for dim in range(y_dim)]

    @staticmethod
    def applies(posterior: DiagonalGaussian, noise: Tensor) -> bool:
        """Whether it can be computed here: not in half precision, under `torch.func.vmap` or the compiler."""
        mean, log_variance = posterior
        return (
            noise.dtype in _TINY
            and mean.dtype == log_variance.dtype == noise.dtype
            and mean.dim() > 1
            and mean.shape == noise.shape[noise.dim() - mean.dim() :]
            and not torch.compiler.is_compiling()
            and not torch._C._are_functorch_transforms_active()
        )

    def draw(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draws of y, and the means over n of the term and, without gradient, of KL in y where it is smallest.

        With ``noise`` of ``(..., n, y_dim)``, the shape of the posterior's mean.
        """
        return _Draw.apply(*posterior, noise, self, False)  # type: ignore[no-any-return, no-untyped-call]  # torch's own

    def differentiated(self, posterior: DiagonalGaussian, noise: Tensor, weight: float) -> Differentiated:
        """What `draw` gives, with the gradients of the weighted term as numbers; call it without autograd."""
        std = posterior.std
        y = torch.addcmul(posterior.mean, noise, std)
        kl, in_y, *gradients = _evaluated(self, posterior, std, y, noise, sampled=False, slopes=True)
        assert in_y is not None
        of_mean, of_log_variance = (cast(Tensor, gradient) for gradient in gradients)
        if weight != 1.0:
            of_mean, of_log_variance = of_mean * weight, of_log_variance * weight
        return Differentiated(y, std, kl, of_mean, of_log_variance, {"kl_y": in_y})

    def weigh(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws of y, and ``log q(z|x) - log p(z)`` of each, ``(..., n)``."""
        return _Draw.apply(*posterior, noise, self, True)  # type: ignore[no-any-return, no-untyped-call]  # torch's own


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, log_variance: Tensor, noise: Tensor, plan: DirectionsKL, sampled: bool
    ) -> tuple[Tensor, ...]:
        posterior = DiagonalGaussian(mean, log_variance)
        std = posterior.std
        y = torch.addcmul(mean, noise, std)
        slopes = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        ratio, in_y, *gradients = _evaluated(plan, posterior, std, y, noise, sampled=sampled, slopes=slopes)
        if slopes:
            ctx.plan, ctx.sampled = plan, sampled
            ctx.save_for_backward(mean, log_variance, noise, noise * std, *gradients)
        if in_y is None:
            return y, ratio
        ctx.mark_non_differentiable(in_y)
        return y, ratio, in_y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        mean, log_variance, noise, moved, of_mean, of_log_variance = ctx.saved_tensors
        of_y, of_ratio = gradients[:2]
        if torch.is_grad_enabled():  # these gradients may be differentiated in turn
            posterior = DiagonalGaussian(mean, log_variance)
            y = posterior.rsample(noise)
            found = y, ctx.plan.plain(posterior, y, noise if ctx.sampled else None)
            return *torch.autograd.grad(found, posterior, (of_y, of_ratio), create_graph=True), None, None, None
        if of_ratio.dim():
            of_ratio = of_ratio.reshape(*of_ratio.shape, *(1,) * (of_y.dim() - of_ratio.dim()))
        to_mean = torch.addcmul(of_y, of_mean, of_ratio)
        to_log_variance = torch.addcmul(of_log_variance * of_ratio, of_y, moved, value=0.5)
        if of_y.dim() > mean.dim():
            to_mean, to_log_variance = to_mean.sum_to_size(mean.shape), to_log_variance.sum_to_size(mean.shape)
        return to_mean, to_log_variance, None, None, None


class _Group(NamedTuple):
    """All blocks of one size.

    Attributes:
        dims: of the blocks one after the other; None for all dimensions in order.
        blocks: how many there are.
        d: their size.
    """

    dims: slice | list[int] | None
    blocks: int
    d: int

    def of(self, x: Tensor) -> Tensor:
        """Its blocks, ``(..., y_dim) -> (..., count, d)``, or ``(..., d)`` of a single one."""
        x = x if self.dims is None else x[..., self.dims]
        return x if self.blocks == 1 else x.reshape(*x.shape[:-1], self.blocks, self.d)


def _indices(dims: Sequence[int], y_dim: int) -> slice | list[int] | None:
    """None for all dimensions, and a slice, which copies nothing, for those that follow each other."""
    if list(dims) == list(range(y_dim)):
        return None
    if list(dims) == list(range(dims[0], dims[0] + len(dims))):
        return slice(dims[0], dims[0] + len(dims))
    return list(dims)


# --- numbers as tensors, which are faster ------------------------------------------------------------------------


class _Constants(NamedTuple):
    """Of blocks of d dimensions, and of a sum in which each example has a weight.

    Attributes:
        knots: as in the table of the radial integrals.
        rows: of that table, but for the last function; the logarithm of the sphere's area is added to the first.
        tiny: see `_TINY`.
        weight: of an example.
        minus_half_weight: -1/2 times the weight.
        dims_weight: d times the weight.
        offset: of KL in y.
    """

    knots: Tensor
    rows: Tensor
    tiny: Tensor
    weight: Tensor
    minus_half_weight: Tensor
    dims_weight: Tensor
    offset: Tensor


@functools.lru_cache(maxsize=256)
def _constants(d: int, blocks: int, weight: float, dtype: torch.dtype, device: torch.device) -> _Constants:
    with torch.inference_mode(False), torch.no_grad():
        numbers = _TINY[dtype], weight, -0.5 * weight, d * weight, -0.5 * blocks * d * math.log(d)
        scalars = (torch.tensor(number, dtype=dtype, device=device) for number in numbers)
        return _Constants(radial_table(d, dtype, device).knots, _rows(d, dtype, device), *scalars)


@functools.lru_cache(maxsize=64)
def _rows(d: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    rows: Tensor = radial_table(d, dtype, device).rows[..., :2].clone()
    rows[:, 1, 0] += log_sphere_area(d)
    return rows


# --- the term -----------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """What some dimensions contribute: sums over these and, without noise, means over the examples.

    Attributes:
        ratio: ``log q(z|x) - log p(z)``.
        in_y: KL in y at the prior's length; None with noise.
        of_mean: gradient of the ratio's sum with respect to the mean, of the shape of y in those dimensions.
        of_log_variance: the same with respect to the log-variance.
    """

    ratio: Tensor
    in_y: Tensor | None = None
    of_mean: Tensor | None = None
    of_log_variance: Tensor | None = None


def _evaluated(
    plan: DirectionsKL,
    posterior: DiagonalGaussian,
    std: Tensor,
    y: Tensor,
    noise: Tensor,
    *,
    sampled: bool,
    slopes: bool,
) -> _Part:
    """The sum of the parts, with the gradients of all dimensions in order if asked for.

    If `sampled` the ratio of each draw, else means over the examples.
    """
    given = *posterior, std, y, noise
    parts = [
        _of_directions(group, *(group.of(x) for x in given), sampled=sampled, slopes=slopes) for group in plan.groups
    ]
    if plan.rest is not None:
        rest = (x[..., plan.rest] for x in (*posterior, y, noise))
        parts.append(_of_rest(*rest, sampled=sampled, slopes=slopes))
    if len(parts) == 1:
        return parts[0]
    ratios, in_y, *gradients = zip(*parts, strict=True)
    joined = [torch.cat(gradient, dim=-1) for gradient in gradients] if slopes else []
    if plan.places is not None:
        joined = [gradient[..., plan.places] for gradient in joined]
    return _Part(functools.reduce(torch.add, ratios), None if sampled else functools.reduce(torch.add, in_y), *joined)


def _of_directions(
    group: _Group,
    mean: Tensor,
    log_variance: Tensor,
    std: Tensor,
    y: Tensor,
    noise: Tensor,
    *,
    sampled: bool,
    slopes: bool,
) -> _Part:
    r"""With t = y and w = μ in units of σ, so that :math:`t = w + \epsilon`, and
    :math:`v = t / \|t\|, D = v'w, h = w - D v = (v'\epsilon) v - \epsilon`, the ratio is

    .. math:: \log a_d + \log I_d(D) - \tfrac{d-1}{2} \log 2\pi + d \log\frac{\|y\|}{\|t\|}
        - \tfrac12 \sum_i (h_i^2 + \log \sigma_i^2).

    The second form of h has no digits to lose where a mean is millions of deviations long.

    Its derivative with respect to t, with the noise t - w held and without what the length of y adds, is
    :math:`f = (S - v'\epsilon) h / \|t\| + (S - d / \|t\|) v`, where S is the slope of the table, the derivative of
    :math:`\log I_d`;
    that with respect to μ is :math:`g = f / \sigma + d y / \|y\|^2`, that with respect to the log-variance
    :math:`(d y_i^2 / \|y\|^2 - g_i \mu_i - 1) / 2`.
    """
    d, kept = group.d, y.dim() - (1 if sampled else 2) - (group.blocks > 1)
    weight = 1.0 if sampled else 1 / max(y.shape[kept], 1)
    c = _constants(d, group.blocks, weight, y.dtype, y.device)
    w = mean / std
    t = w + noise
    squares = torch.addcmul(c.tiny, t, t).sum(-1, keepdim=True)
    shrink = squares.rsqrt()
    v = t * shrink
    along_v = (v * noise).sum(-1, keepdim=True)
    D = torch.addcmul(-along_v, squares, shrink)  # which is the length of t, less that
    # There is such a row whatever D is, NaN too.
    centre, *coefficients = c.rows.index_select(0, torch.bucketize(D.reshape(-1), c.knots)).unbind(1)
    away = (D if D.dim() == 2 else D.reshape(-1, 1)) - centre
    found = coefficients.pop()
    while coefficients:
        found = torch.addcmul(coefficients.pop(), found, away)
    value, slope = (found if D.dim() == 2 else found.view(*D.shape[:-1], 2)).unsqueeze(-1).unbind(-2)
    minus_h = torch.addcmul(noise, v, along_v, value=-1)
    length = torch.addcmul(c.tiny, y, y).sum(-1, keepdim=True)
    value = _summed(value.add((length / squares).log(), alpha=d / 2), kept)
    if sampled:
        ratio, in_y = value.sub(_summed(torch.addcmul(log_variance, minus_h, minus_h), kept), alpha=0.5), None
    else:
        spread = _summed(log_variance, kept)
        ratio = value.sub(_summed(minus_h * minus_h, kept) + spread, alpha=0.5) * c.weight
        sizes = torch.addcmul(std * std, mean, mean).sum(-1, keepdim=True)
        in_y = c.offset.add(_summed(sizes.log(), kept).sub(spread, alpha=1 / d), alpha=d * weight / 2)
    if not slopes:
        return _Part(ratio, in_y)
    bent = (along_v - slope) * shrink
    f = torch.addcmul(v * torch.sub(slope, shrink, alpha=d), minus_h, bent)
    along = y * (c.dims_weight / length)
    g = torch.addcdiv(along, f, std, value=weight)
    rest = torch.addcmul(torch.addcmul(c.minus_half_weight, along, y, value=0.5), g, mean, value=-0.5)
    return _Part(ratio, in_y, *((g, rest) if group.blocks == 1 else (g.flatten(-2), rest.flatten(-2))))


def _of_rest(mean: Tensor, log_variance: Tensor, y: Tensor, noise: Tensor, *, sampled: bool, slopes: bool) -> _Part:
    """The dimensions of which everything is kept: in closed form, or by the draws."""
    if not sampled:
        half = 0.5 / max(y.shape[-2], 1)
        more = torch.expm1(log_variance)
        kl = _summed(torch.addcmul(more - log_variance, mean, mean), y.dim() - 2) * half
        return _Part(kl, kl, 2 * half * mean, half * more) if slopes else _Part(kl, kl)
    ratio = 0.5 * (y * y - noise * noise - log_variance).sum(-1)
    return _Part(ratio, None, y, 0.5 * (y * (y - mean) - 1)) if slopes else _Part(ratio)


def _summed(x: Tensor, kept: int) -> Tensor:
    """The sum over all but the first dimensions."""
    return x.flatten(kept).sum(-1) if kept else x.sum()
