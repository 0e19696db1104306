"""How is a batch normalised if each process holds some of its rows? With the statistics of all rows.

Gradients follow the algebra of `intel_core.processes.peers`: the backward pass sums over the processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["SharedBatch", "normalise"]


class SharedBatch(Protocol):
    """The part of `intel_core.processes.peers.Peers` that is needed here."""

    rank: int
    size: int
    is_computing: bool

    @property
    def device(self) -> torch.device | None:
        """Where this process computes."""
        ...

    def sum_(self, values: Tensor) -> Tensor:
        """The sum over processes, in place."""
        ...

    def gather(self, values: Tensor, dim: int = 0) -> Tensor:
        """The values of all processes, one after another along a dimension; no gradient."""
        ...


def normalise(norm: Any, alone: Callable[[Any, Tensor], Tensor], processes: SharedBatch, x: Tensor) -> Tensor:
    """Batch normalisation with the statistics of all processes; running statistics are those of a single process."""
    if not (processes.is_computing and norm.training):
        return alone(norm, x)
    y, mean, variance = _WholeBatchNorm.apply(x, norm.weight, norm.bias, norm.eps, processes)  # type: ignore[no-untyped-call]  # torch's own gap
    if norm.track_running_stats and norm.running_mean is not None:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            count = processes.size * x.numel() // x.shape[1]
            norm.running_mean.mul_(1 - share).add_(mean.to(norm.running_mean), alpha=share)
            unbiased = variance * (count / max(1, count - 1))
            norm.running_var.mul_(1 - share).add_(unbiased.to(norm.running_var), alpha=share)
    return cast(Tensor, y)


class _WholeBatchNorm(torch.autograd.Function):
    r""":math:`y = w (x - \mu) / \sqrt{v + \epsilon} + b` with mean and variance over the rows of all processes.

    There is one exchange in each direction. With :math:`\hat x` the normalised x and :math:`\langle\rangle` the mean
    over all rows,
    :math:`dx = w / \sqrt{v + \epsilon} \; (dy - \langle dy \rangle - \hat x \langle dy\, \hat x \rangle)`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, processes: SharedBatch
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        own = torch.stack(torch.ops.aten.batch_norm_update_stats(wide, None, None, 0.0))
        # Deviations from each process's own mean, then those of the means: a large mean costs the variance no digits.
        means, own_variances = processes.gather(own[None]).unbind(1)
        mean = means.mean(0)
        variance = own_variances.mean(0) + (means - mean).square().mean(0)
        y = F.batch_norm(wide, mean, variance, weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.processes, ctx.eps, ctx.has_bias = processes, eps, bias is not None
        ctx.mark_non_differentiable(mean, variance)
        return y.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        processes, shape = ctx.processes, [1, -1, *[1] * (x.dim() - 2)]
        x, wide, scale = x.to(mean.dtype), gradient.to(mean.dtype), torch.rsqrt(variance + ctx.eps)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            wide, x, weight, None, None, mean, scale, True, ctx.eps, [False, True, True]
        )
        of_all = processes.sum_(torch.stack([of_bias, of_weight])) / (processes.size * x.numel() // x.shape[1])
        factor = scale if weight is None else scale * weight
        slope, offset = -factor * scale * of_all[1], -factor * of_all[0]
        back = (x - mean.view(shape)).mul_(slope.view(shape)).add_(offset.view(shape))
        back.addcmul_(wide, factor.view(shape))
        of_weight = None if weight is None else of_weight
        return back.to(gradient.dtype), of_weight, of_bias if ctx.has_bias else None, None, None
