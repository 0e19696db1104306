"""Which results need the whole batch although each process holds only some of its rows?

Gradients, which are averaged; the auxiliary losses of a mapping, for which the y of all rows are gathered; and the
statistics of batch normalisation (`intel_core.processes.batch_norm`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_core.mappings.contract import Regularised
from intel_core.model.vae import InteLVAE
from intel_core.processes.batch_norm import SharedBatch, normalise

__all__ = ["Gradients", "release", "spread"]

_LOOK_EVERY = 10
"""Steps after which the flags are read on an accelerator, since reading them has to wait for it."""


def spread(model: nn.Module, processes: SharedBatch) -> None:
    """While steps are computed, let a model see the whole batch wherever the result of a row depends on other rows."""
    if isinstance(model, InteLVAE) and model.regularisers:
        # Set on this object only, as below: it keeps its class and the names of its tensors.
        setattr(model, "map", functools.partial(_map_whole, model, processes))  # noqa: B010
    for layer in _batch_norms(model):
        setattr(layer, "forward", functools.partial(normalise, layer, type(layer).forward, processes))  # noqa: B010


def release(model: nn.Module) -> None:
    """Undo `spread`."""
    model.__dict__.pop("map", None)
    for layer in _batch_norms(model):
        layer.__dict__.pop("forward", None)


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def _map_whole(model: InteLVAE, processes: SharedBatch, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Representations of this process's rows ``(..., n, y_dim)``, and the auxiliary losses of all rows."""
    if not processes.is_computing:
        return InteLVAE.map(model, y)
    rows = y.shape[-2]
    mapping = cast(Regularised, model.mapping)
    z, losses = mapping.map_with_regularisers(_Gather.apply(y, processes))  # type: ignore[no-untyped-call]  # torch's own gap
    return z[..., processes.rank * rows : (processes.rank + 1) * rows, :], losses


class Gradients:
    """The gradients of some parameters in one buffer, so that one message per step averages them.

    After the gradients the buffer holds two flags (some process wants to stop, a checkpoint is due) and for each
    parameter the number of processes that have a gradient for it.
    """

    def __init__(self, processes: SharedBatch, parameters: Sequence[nn.Parameter]) -> None:
        self._processes, self._parameters, self._taken = processes, parameters, 0
        dtype = functools.reduce(torch.promote_types, (p.dtype for p in parameters), torch.float32)
        sizes = [p.numel() for p in parameters]
        self._flat = torch.zeros(sum(sizes) + 2 + len(sizes), dtype=dtype, device=processes.device)
        *parts, self._flags = torch.split(self._flat, [*sizes, 2 + len(sizes)])
        self._views = [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        self._usual = torch.ones_like(self._flags)
        self._usual[:2] = 0

    @torch.no_grad()
    def average(self, *, wants_to_stop: bool, is_due: bool) -> tuple[bool, bool]:
        """Replace each gradient by its mean over processes; a missing one counts as zero where another has one.

        Args:
            wants_to_stop: whether this process wants to stop.
            is_due: whether this process finds that a checkpoint is due.

        Returns:
            Whether any process wants to stop, and whether any finds that a checkpoint is due.
        """
        processes = self._processes
        self._flags.copy_(self._usual)
        if wants_to_stop:
            self._flags[0] = 1
        if is_due:
            self._flags[1] = 1
        own = [p.grad for p in self._parameters]
        missing = [i for i, gradient in enumerate(own) if gradient is None]
        for i in missing:
            self._flags[2 + i] = 0
            self._views[i].zero_()
        there = [(view, gradient) for view, gradient in zip(self._views, own, strict=True) if gradient is not None]
        views, gradients = [view for view, _ in there], [gradient for _, gradient in there]
        torch._foreach_copy_(views, gradients)
        processes.sum_(self._flat).div_(processes.size)
        torch._foreach_copy_(gradients, views)
        for i in missing:
            if bool(self._flags[2 + i] > 0):
                self._parameters[i].grad = self._views[i].to(self._parameters[i].dtype, copy=True)
        self._taken += 1
        if self._flat.device.type != "cpu" and self._taken % _LOOK_EVERY:
            return False, False
        stop, save = (self._flags[:2] > 0).tolist()
        return stop, save


class _Gather(torch.autograd.Function):
    """``(..., n, d)`` of each process as ``(..., W n, d)``; the backward pass sums the own rows' over processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: SharedBatch) -> Tensor:
        ctx.processes, ctx.rows = processes, rows.shape[-2]
        return processes.gather(rows, -2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = ctx.processes.sum_(gradient.clone(memory_format=torch.contiguous_format))
        return whole[..., ctx.processes.rank * ctx.rows : (ctx.processes.rank + 1) * ctx.rows, :], None
