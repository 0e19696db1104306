"""Where did a training diverge? Once a value is not finite, the last steps are repeated while every layer is watched.

Checking every step would make the device wait each time. Instead a snapshot of some hundred steps ago is kept; when a
logged mean is not finite, the steps since then are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from intel_core import files
from intel_core.errors import DivergenceError, RunError
from intel_core.runs.checkpoint import to_bytes
from intel_core.training.hooks import hookimpl
from intel_core.training.process_group import ProcessGroup
from intel_core.training.trainer import DIVERGENCE_ADVICE, Trainer

__all__ = ["Culprit", "Investigator", "Snapshot", "find_culprit"]


_SNAPSHOT_EVERY = 500
_LARGE = 30.0
"""Data values beyond this make outputs overflow with the initial weights; standardised values are near 1."""


class Investigator:
    """A hook that names the step, the term, the layer and the batch where a training diverged."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None

    @hookimpl
    def run_start(self, trainer: Trainer) -> None:
        """Take a snapshot where the training begins, or is resumed."""
        self._snapshot = Snapshot(trainer)

    @hookimpl(trylast=True)
    def logged(self, trainer: Trainer) -> None:
        """Take a snapshot from time to time, once the state is known to be finite and other hooks have changed it."""
        if self._snapshot is None or trainer.step - self._snapshot.step >= _SNAPSHOT_EVERY:
            self._snapshot = Snapshot(trainer)

    @hookimpl(wrapper=True)
    def diverged(self, trainer: Trainer, broken: str) -> Generator[None, object, NoReturn]:
        """Repeat the last steps, in all processes, let other hooks speak, and report where the training diverged.

        Raises:
            DivergenceError: always; if the step is found, its batch is kept in the run directory.
        """
        error = self._investigate(trainer, broken)
        yield  # a hook of the caller may raise an error that says more
        raise error

    def _investigate(self, trainer: Trainer, broken: str) -> DivergenceError:
        step, culprit = trainer.step, None
        if self._snapshot is not None:
            culprit = find_culprit(trainer, self._snapshot, until=step)
        if culprit is None:
            return DivergenceError(
                f"{broken} is not finite by step {step}, but is on a second try; {DIVERGENCE_ADVICE}"
            )
        largest, advice = float(culprit.batch["x"].abs().max()), DIVERGENCE_ADVICE
        if largest > _LARGE:
            advice = f"values of the data reach {largest:,.6g}: standardise them first, or else {advice}"
        return DivergenceError(
            f"training diverged at step {culprit.step}: {culprit.what}, first in {culprit.layer}"
            f"{_kept(trainer, culprit)}; {advice}"
        )


def _kept(trainer: Trainer, culprit: Culprit) -> str:
    """Keep the batch; a part of the message that says where."""
    if trainer.folder is None:
        return ""
    path = trainer.folder / "diverged-batch.safetensors"
    try:
        files.write_bytes(path, to_bytes(culprit.batch))
    except RunError as error:
        return f"; {error}"
    return f"; the batch is kept in {path}"


class Snapshot:
    """A copy of everything that a step changes."""

    def __init__(self, trainer: Trainer) -> None:
        self.step = trainer.step
        self._model = _copied(dict(trainer.model.state_dict()))
        self._optimizer = _copied(trainer.optimizer.state_dict())
        self._noise = trainer.noise.get_state()

    def restore(self, trainer: Trainer) -> None:
        """Put the trainer back to where the snapshot was taken."""
        trainer.model.load_state_dict(self._model)
        trainer.optimizer.load_state_dict(self._optimizer)
        trainer.noise.set_state(self._noise)
        trainer.step = self.step


def _copied(value: Any) -> Any:
    """A copy of nested tensors; a deep copy would also copy everything that a tensor is a view of."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value.detach().clone() if isinstance(value, Tensor) else value


class Culprit:
    """The first step with a value that is not finite: which value, in which layer, on which batch."""

    def __init__(self, step: int, what: str, layer: str, batch: dict[str, Tensor]) -> None:
        self.step = step
        self.what = what
        self.layer = layer
        self.batch = batch


def find_culprit(trainer: Trainer, snapshot: Snapshot, until: int) -> Culprit | None:
    """Replay from a snapshot up to step `until`; the first value that is not finite, if it occurs again."""
    snapshot.restore(trainer)
    model = trainer.model
    watch = _Watch()
    handles = [module.register_forward_hook(watch.module(name)) for name, module in model.named_modules() if name]
    before = model.__dict__.get("map")  # with several processes an attribute hides the method already
    plain_map = model.map
    # A mapping with auxiliary losses is not called as a module, so no hook of its own would see its output.
    watched = watch.mapping(plain_map, type(model.mapping).__name__)
    setattr(model, "map", watched)  # noqa: B010  # an attribute of this object that hides the method
    try:
        with trainer.batches:  # the run ends here, and streamed data are read from the snapshot on
            return _replay(trainer, watch, until)
    finally:
        for handle in handles:
            handle.remove()
        delattr(model, "map")
        if before is not None:
            setattr(model, "map", before)  # noqa: B010


def _replay(trainer: Trainer, watch: _Watch, until: int) -> Culprit | None:
    """Take steps under watch until something is not finite."""
    model = trainer.model
    while trainer.step < until:
        step = trainer.step + 1  # as logged lines count: the number of steps with this one
        x, noise = trainer.draw()
        watch.clear()
        terms = trainer.take_step(x, noise)
        batch = {"x": x, "noise": noise}
        values = terms.numbers()
        values["loss"] = values.pop("loss")  # last: it is named only if all of its parts are finite
        culprit = _judged(step, model, watch, values, batch)
        culprit = _shared(culprit, trainer.processes, batch)
        if culprit is not None:
            return culprit
    return None


def _judged(
    step: int, model: nn.Module, watch: _Watch, values: dict[str, Tensor], batch: dict[str, Tensor]
) -> Culprit | None:
    """The value of the step just taken that is not finite, if there is one."""
    bad = [name for name, value in values.items() if not bool(torch.isfinite(value))]
    if bad or watch.outputs:
        what = f"{bad[0]} is {float(values[bad[0]].detach()):g}" if bad else "an output is not finite"
        return Culprit(step, what, watch.outputs[0] if watch.outputs else _TERMS, batch)
    wrong = [name for name, p in model.named_parameters() if p.grad is not None and not _finite(p.grad)]
    if wrong:
        return Culprit(step, "a gradient is not finite", watch.blame() or wrong[0], batch)
    if not all(_finite(p) for p in model.parameters()):
        return Culprit(step, "a weight is not finite after the step", "the optimiser", batch)
    return None


def _shared(own: Culprit | None, processes: ProcessGroup, batch: dict[str, Tensor]) -> Culprit | None:
    """The culprit of the first of the processes that found something in their rows, with the whole batch."""
    said = processes.exchange(None if own is None else (own.what.startswith("a "), own.step, own.what, own.layer))
    found = sorted((one for one in said if one is not None), key=lambda one: one[0])  # a term before a gradient
    if not found:
        return None
    whole = {"x": processes.gather(batch["x"]), "noise": processes.gather(batch["noise"], 1)}
    return Culprit(*found[0][1:], whole)


_Map = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
_TERMS = "the likelihood or the KL term"


class _Watch:
    """Notes, during one step, which outputs are not finite, and the order in which gradients come back."""

    def __init__(self) -> None:
        self.outputs: list[str] = []
        self.gradients: list[tuple[str, bool]] = []

    def clear(self) -> None:
        self.outputs.clear()
        self.gradients.clear()

    def see(self, label: str, output: object) -> None:
        if not isinstance(output, Tensor):
            return
        if not _finite(output):
            # Children run before their parents, so the first entry is the innermost layer.
            self.outputs.append(label)
        if output.requires_grad:
            note = lambda gradient: self.gradients.append((label, _finite(gradient)))  # noqa: E731
            output.register_hook(note)  # type: ignore[no-untyped-call]  # torch's own gap

    def module(self, name: str) -> Callable[[nn.Module, object, object], None]:
        return lambda module, inputs, output: self.see(f"{name} ({type(module).__name__})", output)

    def mapping(self, plain: _Map, kind: str) -> _Map:
        def watched(y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            z, losses = plain(y)
            self.see(f"mapping ({kind})", z)
            return z, losses

        return watched

    def blame(self) -> str:
        """The layer that received a finite gradient and passed on one that is not finite."""
        finite = [is_finite for _, is_finite in self.gradients]
        if all(finite):
            return ""  # no layer passed it on: it arose at a parameter
        broken = finite.index(False)
        return self.gradients[broken - 1][0] if broken > 0 else _TERMS


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
