"""Which parameters does a training not reach? A warning names those whose gradient is 0, or missing, at every look."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from intel_core.training.hooks import hookimpl
from intel_core.training.trainer import Trainer

__all__ = ["Untrained"]

_LOOKS = 2
_NAMED = 3


class Untrained:
    """A hook that warns once of parameters that get no gradient.

    It looks where lines are logged, so that a step costs nothing, and only while each scheduled weight is above 0, as a
    schedule may hold a parameter back. A parameter that was reached once is not looked at again; usually that leaves
    none after the first look. It warns at the end, since a part may be reached late, after the start of its clusters.
    One look is enough for a parameter that has no gradient and of which the optimiser remembers nothing, as it does of
    others; where a gradient is 0, that may be chance in one step.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, nn.Parameter] = {}
        self._looks = 0

    @hookimpl
    def run_start(self, trainer: Trainer) -> None:
        """Begin with all parameters that are to be learned; those of clusters may be set by a start and stay so."""
        set_by_start = {id(parameter) for parameter in getattr(trainer.objective, "parameters_of_clusters", ())}
        self._waiting = {
            name: parameter
            for name, parameter in trainer.model.named_parameters()
            if parameter.requires_grad and parameter.numel() and id(parameter) not in set_by_start
        }
        self._looks = 0

    @hookimpl
    def logged(self, trainer: Trainer) -> None:
        """Look at the gradients of the last step."""
        if not self._waiting or not all(weight > 0 for weight in trainer.weights.values()):
            return
        reached = {name for name, parameter in self._waiting.items() if _any(parameter.grad)}
        if not reached and self._looks == 0:
            return  # gradients are kept elsewhere, as those of a stack are
        self._looks += 1
        self._waiting = {name: parameter for name, parameter in self._waiting.items() if name not in reached}

    @hookimpl
    def run_end(self, trainer: Trainer) -> None:
        """Name the parameters that were never reached, if the run has not been cut short."""
        if self._looks == 0 or trainer.step < trainer.steps:
            return
        remembered = trainer.optimizer.state  # of each parameter that has ever had a gradient, if of any
        unreached = [
            name
            for name, parameter in self._waiting.items()
            if self._looks >= _LOOKS or (parameter.grad is None and remembered and parameter not in remembered)
        ]
        if unreached:
            names = ", ".join(unreached[:_NAMED])
            names += f" and {len(unreached) - _NAMED} more" if len(unreached) > _NAMED else ""
            steps = f"{self._looks} steps up to step" if self._looks > 1 else "any step up to"
            warnings.warn(
                f"{names}: no gradient in {steps} {trainer.step:,}, so nothing was trained there (detach(), a weight "
                "of 0, or a part that is not used)",
                stacklevel=2,
            )
        self._waiting = {}


def _any(gradient: torch.Tensor | None) -> bool:
    return gradient is not None and bool(gradient.any())
