"""Where did it go wrong? Replays the last steps with instruments once a value is not finite.

Checking every step would stop the device each time. The trainer keeps a snapshot of some hundred steps ago
instead; when a logged mean is not finite, the steps since then are taken again, every layer watched.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from intel_core.trainer import Trainer

__all__ = ["Finding", "Snapshot", "find_culprit"]


class Snapshot:
    """A copy of everything that a step changes."""

    def __init__(self, trainer: Trainer) -> None:
        self.step = trainer.step
        self._model = copy.deepcopy(trainer.model.state_dict())
        self._optimizer = copy.deepcopy(trainer.optimizer.state_dict())
        self._noise = trainer.noise.get_state()

    def restore(self, trainer: Trainer) -> None:
        """Put the trainer back to where the snapshot was taken."""
        trainer.model.load_state_dict(self._model)
        trainer.optimizer.load_state_dict(self._optimizer)
        trainer.noise.set_state(self._noise)
        trainer.step = self.step


class Finding:
    """The first step that is not finite: what, in which layer, on which batch."""

    def __init__(self, step: int, what: str, layer: str, batch: dict[str, Tensor]) -> None:
        self.step = step
        self.what = what
        self.layer = layer
        self.batch = batch


def find_culprit(trainer: Trainer, snapshot: Snapshot, until: int) -> Finding | None:
    """Replay from a snapshot up to step `until` and return the first thing that is not finite, if it comes again."""
    snapshot.restore(trainer)
    seen: list[str] = []
    handles = [
        module.register_forward_hook(_watch(name, seen)) for name, module in trainer.model.named_modules() if name
    ]
    try:
        while trainer.step < until:
            step = trainer.step
            x, noise = trainer.draw()
            terms = trainer.take_step(x, noise)
            batch = {"x": x, "noise": noise}
            values = {
                "log_likelihood": terms.log_likelihood,
                "kl": terms.kl,
                **terms.others,
                "loss": terms.loss,
            }
            bad = [name for name, value in values.items() if not bool(torch.isfinite(value))]
            if bad or seen:
                what = f"{bad[0]} is {float(values[bad[0]].detach()):g}" if bad else "an output is not finite"
                return Finding(step, what, seen[0] if seen else "the likelihood or the KL term", batch)
            for name, parameter in trainer.model.named_parameters():
                if parameter.grad is not None and not _finite(parameter.grad):
                    return Finding(step, f"the gradient of {name} is not finite", name.rpartition(".")[0], batch)
    finally:
        for handle in handles:
            handle.remove()
    return None


def _watch(name: str, seen: list[str]) -> Any:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        # Children run before their parents, so the first name that is noted is the innermost layer.
        if isinstance(output, Tensor) and not _finite(output):
            seen.append(f"{name} ({type(module).__name__})")

    return hook


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
