"""Which optimiser? Adam in one fused kernel, without the overhead around it that slows down small models."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["Adam", "EagerAdam", "without_compiler"]

_Class = TypeVar("_Class", bound="type[torch.optim.Optimizer]")
_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def without_compiler(kind: _Class) -> _Class:
    """Decorate a subclass of one of torch's optimisers: it does not import torch's compiler, which takes 1.5 s.

    torch wraps methods of its optimisers so that `torch.compile` passes over them, and imports the compiler when one of
    them is first called. Nothing here compiles an optimiser; the methods below are those within the wrappers.

    >>> @without_compiler
    ... class Descent(torch.optim.SGD):
    ...     pass
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> weight.grad = torch.ones(1)
    >>> Descent([weight], lr=0.25).step()
    >>> weight.item()
    0.75
    """
    for name in _WRAPPED:
        setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    kind.step = torch.no_grad()(inspect.unwrap(kind.step))  # type: ignore[method-assign]
    return kind


@without_compiler
class EagerAdam(torch.optim.Adam):
    """torch's Adam as it is, without its compiler."""


class Adam(EagerAdam):
    """torch's fused Adam, bit for bit, with one parameter group and epsilon 1e-7 as in the authors' code.

    torch counts the steps of every parameter by a separate operation, and opens a record for its profiler: for a small
    dense net both take longer than the kernel. In `update` the counts are entries of one tensor. Other cases than the
    usual one (another device than a CPU, a parameter without a gradient, the first step) are left to torch.

    Args:
        parameters: what is optimised.
        lr: step size.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.grad = torch.tensor([1.0, -1.0])
    >>> Adam([weight], lr=0.5).update()
    >>> weight.detach().round(decimals=4)
    tensor([0.5000, 1.5000])
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float) -> None:
        devices = {parameter.device.type for parameter in parameters}
        super().__init__(parameters, lr=lr, eps=1e-7, fused=devices <= {"cpu", "cuda"})
        self._walks_itself = devices == {"cpu"}
        self._moments: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._counts: Tensor | None = None
        self._views: list[Tensor] = []

    def update(self) -> None:
        """One step along the gradients at hand: `step`, without torch's record of it for profilers."""
        group = self.param_groups[0]
        parameters: list[Tensor] = group["params"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not self._walks_itself or len(gradients) < len(parameters):
            self.step()
            return
        if self._counts is None and not self._gather(parameters):
            self.step()
            return
        assert self._counts is not None
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            self._counts += 1
            torch._fused_adam_(
                parameters,
                gradients,
                *self._moments,
                [],
                self._views,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=0.0,
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _gather(self, parameters: list[Tensor]) -> bool:
        """Put the counts of all parameters into one tensor, if each has one by now."""
        if not all("step" in self.state.get(parameter, {}) for parameter in parameters):
            return False
        states = [self.state[parameter] for parameter in parameters]
        self._counts = torch.stack([state["step"] for state in states])
        self._views = list(self._counts.unbind())
        for state, view in zip(states, self._views, strict=True):
            state["step"] = view
        self._moments = ([state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states])
        return True

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from another state; it gets the parameters' layout in memory, which the kernel assumes."""
        super().load_state_dict(state_dict)
        self._counts = None
        for parameter, state in self.state.items():
            for name, value in state.items():
                if value.dim() > 0 and value.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter).copy_(value)
