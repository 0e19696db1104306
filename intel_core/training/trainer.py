"""How is it optimised? The loop, and nothing that a hook can do.

The order of the data in epoch e follows from the seed and e alone; where the examples come from, a tensor on the device
or files, is the matter of `intel_core.data.batches`. Nothing in a step moves a number to the host: terms wait on the device
until a line is logged.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pluggy
import torch
from torch import Tensor, nn

from intel_core import files
from intel_core.compute.compiling import CompiledNetworks
from intel_core.compute.optimizer import Adam
from intel_core.compute.threads import is_small, one_thread
from intel_core.data.batches import Order, steps_per_epoch
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, RunError, SpecError, did_you_mean
from intel_core.fitting.divergence import Snapshot, find_culprit
from intel_core.fitting.signals import is_signal
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Annealed
from intel_core.model.objectives import Terms
from intel_core.model.vae import InteLVAE
from intel_core.processes.peers import Gradients, Peers
from intel_core.randomness import stream
from intel_core.recipe.runspec import RunSpec
from intel_core.runs import checkpoint
from intel_core.training.scoring import evaluate

__all__ = ["Trainer"]

_SNAPSHOT_EVERY = 500
_LARGE = 30.0
"""Beyond it, and standard deviations are near 1, weights as they are drawn make outputs that overflow."""


class Trainer:
    """Trains one model as its resolved spec says.

    Args:
        spec: a resolved run spec.
        model: the model, on its device.
        dataset: the data.
        hooks: called at the moments that `intel_core.training.hooks.RunHooks` names.
        peers: the processes that share each batch, if there are others; all of them make the same calls.

    Attributes:
        batches: where the examples of each step come from; entered while steps are taken.
        folder: where a diverged batch is kept, if anywhere.
        save: writes a checkpoint of this trainer and returns its folder, if checkpoints are wanted.
        step: steps taken so far.

    Raises:
        SpecError: if a schedule names a weight that does not exist, a batch does not divide among the processes, or
            networks are to be compiled for several processes.
    """

    def __init__(
        self,
        spec: RunSpec,
        model: InteLVAE,
        dataset: Dataset,
        hooks: pluggy.PluginManager,
        peers: Peers | None = None,
    ) -> None:
        if spec.steps is None:
            raise SpecError("the run spec is not resolved; call resolve(spec, dataset) first")
        self.spec = spec
        self.model = model
        self.dataset = dataset
        self.hooks = hooks
        self.folder: Path | None = None
        self.save: Callable[[Trainer], Path] | None = None
        self.objective = spec.objective.build()
        self.device = next(model.parameters()).device
        self.batch_size = min(spec.batch_size, len(dataset.train))
        if self.batch_size == 1 and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
            raise SpecError("batch normalisation needs at least 2 examples per step, batch_size is 1")
        self.steps_per_epoch = steps_per_epoch(len(dataset.train), spec.batch_size)
        self._parameters = list(model.parameters())
        self._small = is_small(model, self.batch_size * self.objective.particles)
        self._networks = CompiledNetworks(model).in_use if spec.compile else contextlib.nullcontext
        self.optimizer = Adam(self._parameters, lr=spec.learning_rate)
        self.noise = torch.Generator(self.device).manual_seed(stream(spec.seed, "noise"))
        self.step = 0
        self.steps = spec.steps
        self.seconds = 0.0
        self._stop_reason: str | None = None
        self._saved: tuple[int, str | None] | None = None
        self._save_by = math.inf
        self.best: float | None = None
        self.best_step = 0
        self.best_model: dict[str, Tensor] | None = None
        self.evaluations_without_gain = 0
        if spec.compile and peers is not None:
            raise SpecError("compile=true is for one process: between several, a network's layers wait for each other")
        self.peers = peers
        self.batches = dataset.train.batches(self.rows, self.steps, self.device)
        self._order = Order(self.order, self.batch_size, self.steps_per_epoch, self.batches.rows_device)
        self._window: list[dict[str, Tensor]] = []
        self._shared = 0
        if peers is not None:
            self._rows = peers.rows(self.batch_size)
            self._gradients = Gradients(peers, self._parameters)
            peers.spread(model)
        self._set_schedules()
        self._snapshot = Snapshot(self)

    # --- weights -----------------------------------------------------------------------------------------------

    def _set_schedules(self) -> None:
        parts = [bare(part) for part in (*self.model.modules(), self.model.mapping)]
        self._annealed = list({id(part): part for part in parts if isinstance(part, Annealed)}.values())
        known = ["kl", "lr", *(["strength"] if self._annealed else []), *self.model.regularisers]
        for name in self.spec.schedules:
            if name not in known:
                raise SpecError(f"no weight is called {name!r}{did_you_mean(name, known, say='weights')}")
        ends = [schedule.settled for schedule in self.spec.schedules.values()]
        self.settled = max((end for end in ends if end is not None), default=0)
        self._changing_until = math.inf if None in ends else self.settled
        self._weights: dict[str, float] = {}
        self._update_weights()
        self._update_strength()

    def _update_weights(self) -> None:
        self._weights = {name: schedule.at(self.step) for name, schedule in self.spec.schedules.items()}
        factor = self._weights.pop("lr", 1.0)
        self._weights.pop("strength", None)
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * factor

    def _update_strength(self) -> None:
        """Part of the model, so it is set behind each step: what is evaluated and saved is what goes on."""
        schedule = self.spec.schedules.get("strength")
        self._strength = 1.0 if schedule is None else schedule.at(self.step)
        for part in self._annealed:
            part.set_strength(self._strength)

    @property
    def weights(self) -> dict[str, float]:
        """The current factor of each scheduled weight."""
        strength = {"strength": self._strength} if self._annealed else {}
        return {**self._weights, **strength, "lr": self.optimizer.param_groups[0]["lr"] / self.spec.learning_rate}

    @property
    def epoch(self) -> float:
        """Passes over the training data so far."""
        return self.step / self.steps_per_epoch

    # --- the step ----------------------------------------------------------------------------------------------

    def order(self, epoch: int) -> Tensor:
        """The order of the training examples in an epoch, which follows from the seed alone; on the CPU."""
        shuffle = torch.Generator().manual_seed(stream(self.spec.seed, f"order/{epoch}"))
        return torch.randperm(len(self.dataset.train), generator=shuffle)

    def rows(self, step: int) -> Tensor:
        """The row numbers of a step's batch, or of this process's part of it; nothing of them has been read yet.

        It may be asked for steps ahead of the current one, by whatever reads ahead.
        """
        return self._order(step) if self.peers is None else self._order(step)[self._rows]

    def draw(self) -> tuple[Tensor, Tensor]:
        """The batch and the noise of the current step; of several processes, the rows of this one."""
        x = self.batches.at(self.step)
        shape = (self.objective.particles, self.batch_size, self.model.y_dim)
        noise = torch.randn(shape, generator=self.noise, device=self.device)
        return x, noise if self.peers is None else noise[:, self._rows]

    def take_step(self, x: Tensor, noise: Tensor) -> Terms:
        """One gradient step on a batch."""
        if self.step <= self._changing_until:
            self._update_weights()
        for parameter in self._parameters:
            parameter.grad = None  # what optimizer.zero_grad() does, without its bookkeeping
        if self.peers is not None:
            self.peers.computing = True
        terms = self.objective(self.model, x, noise, self._weights)
        torch.autograd.backward(terms.loss)
        if self.peers is not None:
            self.peers.computing = False
            self._gradients.average(due=time.monotonic() >= self._save_by)
        if self.spec.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.spec.clip_norm)
        self.optimizer.update()
        self.step += 1
        if self._annealed and self.step <= self._changing_until:
            self._update_strength()
        return terms

    @property
    def stop_reason(self) -> str | None:
        """Why the run ends after the current step, if it does; see `stop`."""
        return self._stop_reason

    def stop(self, reason: str) -> None:
        """End the run after the current step; of several processes, after one that all know of."""
        if self.peers is None:
            self._stop_reason = reason
        elif self.peers.wish is None:
            self.peers.wish = reason

    # --- the loop ----------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Take all remaining steps, logging, evaluating and saving as the spec says.

        Raises:
            DivergenceError: if a term is not finite; the batch is kept in `folder`.
            DataError: if streamed data cannot be read.
        """
        with self.batches:
            self._begin()
            while self.step < self.steps and self.stop_reason is None:
                self.advance(self.next_pause())
                self._pause()
        self._end()

    def _begin(self) -> None:
        self.model.train()
        self._set_clock()
        self.hooks.hook.run_start(trainer=self)

    def next_pause(self) -> int:
        """The step at which the loop stops next, to evaluate or to save."""
        every = self.spec.evaluate_every or self.steps
        return min(self.step - self.step % n + n for n in (every, self.spec.save_every or every, self.steps))

    def _pause(self) -> None:
        """What is done wherever the loop stops for a while."""
        self._require_finite()
        every = self.spec.evaluate_every or self.steps
        if self.step % every == 0 or self.step == self.steps:
            self._evaluate()  # before a checkpoint of the same step, which has seen it
        if self.step % (self.spec.save_every or every) == 0 or self.is_due():
            self._save()
        if self.peers is not None:
            self._heed()
            self.peers.require_same(self.model)

    def _heed(self) -> None:
        """Stop, all processes at once, if one of them wants to."""
        assert self.peers is not None
        self._stop_reason = self._stop_reason or self.peers.agree_on_wish()

    def _end(self) -> None:
        self._save()
        if self.peers is not None:
            self.peers.release(self.model)
            self.peers.wish = None
        self.hooks.hook.run_end(trainer=self)

    @torch.enable_grad()
    def advance(self, until: int) -> None:
        """Take steps up to a number, or until something asks to stop, logging on the way.

        Raises:
            DivergenceError: as `train`.
        """
        with one_thread(self._small), self._networks():
            self._advance(until)

    def _advance(self, until: int) -> None:
        log_every, hook = self.spec.log_every, self.hooks.hook.step_end
        after_step = hook if hook.get_hookimpls() else None
        started = time.perf_counter() - self.seconds
        while self.step < until and self.stop_reason is None:
            terms = self.take_step(*self.draw())
            self._window.append(terms.numbers())
            if self.peers is not None and self.peers.must_stop:
                self._heed()
            if after_step is not None:
                after_step(trainer=self)
            if self.step % log_every == 0 or self.step == self.steps:
                self.seconds = time.perf_counter() - started
                self._log()
            if self.is_due():
                break
        self.seconds = time.perf_counter() - started

    def _save(self) -> None:
        """A checkpoint, unless the newest one already says the same."""
        now = (self.step, _lasting(self.stop_reason))
        if self.save is not None and now != self._saved:
            path = self.save(self)
            self._saved = now
            self.hooks.hook.saved(trainer=self, path=str(path))
        self._set_clock()

    def is_due(self) -> bool:
        """Whether the newest checkpoint is as old as the spec allows, by the first process's clock."""
        if self.peers is not None:
            return self.peers.must_save
        return time.monotonic() >= self._save_by

    def _set_clock(self) -> None:
        minutes = self.spec.save_minutes
        self._save_by = math.inf if self.save is None or minutes is None else time.monotonic() + 60 * minutes

    def _log(self) -> None:
        """One line of means since the last one; the only place where the loop waits for the device."""
        numbers = self._require_finite()
        self._window.clear()
        self._shared = 0
        record = {
            "kind": "train",
            "step": self.step,
            "epoch": round(self.epoch, 4),
            "elbo": numbers["log_likelihood"] - numbers["kl"],
            **numbers,
            "weights": self.weights,
            "seconds": round(self.seconds, 3),
        }
        self.hooks.hook.logged(trainer=self, record=record)
        if self.step - self._snapshot.step >= _SNAPSHOT_EVERY:
            self._snapshot = Snapshot(self)

    def _share_window(self) -> None:
        """Make the terms since the last line those of the whole batch."""
        if self.peers is None or self._shared == len(self._window):
            return
        names, rows = self._window_rows()
        rows = self.peers.mean(rows[self._shared :])
        self._window[self._shared :] = [dict(zip(names, row.unbind(), strict=True)) for row in rows]
        self._shared = len(self._window)

    def _window_means(self) -> dict[str, float]:
        """The mean of each term over the steps since the last line."""
        names, rows = self._window_rows()
        return dict(zip(names, rows.mean(0).tolist(), strict=True)) if names else {}

    @torch.no_grad()
    def _window_rows(self) -> tuple[list[str], Tensor]:
        """Names of the terms, and a row of them for each step since the last line."""
        if not self._window:
            return [], torch.empty(0)
        names = list(self._window[0])
        columns = [torch.stack([numbers[name] for numbers in self._window]) for name in names]
        return names, torch.stack(columns, dim=1)

    def _require_finite(self) -> dict[str, float]:
        """The window's means; stops at what is not finite, there or, where the gradient alone broke, in the weights."""
        self._share_window()
        numbers = self._window_means()
        if not all(math.isfinite(value) for value in numbers.values()):
            self._report_divergence(next(name for name, value in numbers.items() if not math.isfinite(value)))
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm([p.detach() for p in self._parameters]))):
            self._report_divergence("a weight")
        return numbers

    def _evaluate(self) -> None:
        numbers = self.judge(self.spec.seed)
        record = {"kind": "validation", "step": self.step, "epoch": round(self.epoch, 4), **numbers}
        self.hooks.hook.evaluated(trainer=self, record=record)
        if self.spec.patience is None or self.step < self.settled:
            return
        if math.isfinite(numbers["loss"]) and (self.best is None or numbers["loss"] < self.best):
            self.best, self.best_step, self.evaluations_without_gain = numbers["loss"], self.step, 0
            self.best_model = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            self.evaluations_without_gain += 1
            if self.evaluations_without_gain >= self.spec.patience:
                self._stop_reason = f"no gain on validation data in {self.spec.patience} evaluations"

    def judge(self, seed: int, weights: dict[str, float] | None = None) -> dict[str, Any]:
        """What `evaluate` says of the validation data; several processes take the first one's word for it."""

        def evaluated() -> dict[str, Any]:
            return evaluate(self.model, self.objective, self.dataset.validation, seed, weights)

        return evaluated() if self.peers is None else self.peers.from_first(evaluated)

    def _report_divergence(self, broken: str) -> NoReturn:
        finding = find_culprit(self, self._snapshot, until=self.step)
        advice = "; try a smaller learning rate, clip_norm=10, or a longer KL warm-up"
        if finding is None:
            raise DivergenceError(f"{broken} is not finite by step {self.step}, but is on a second try{advice}")
        largest = float(finding.batch["x"].abs().max())
        if largest > _LARGE:
            advice = f"; values of the data reach {largest:,.6g}: standardise them first, or else{advice[1:]}"
        kept = ""
        if self.folder is not None:
            path = self.folder / "diverged-batch.safetensors"
            try:
                files.write_bytes(path, checkpoint.to_bytes(finding.batch))
                kept = f"; the batch is kept in {path}"
            except RunError as error:
                kept = f"; {error}"
        raise DivergenceError(
            f"training diverged at step {finding.step}: {finding.what}, first in {finding.layer}{kept}{advice}"
        )

    # --- what a checkpoint holds -------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Tensors and numbers from which training goes on exactly as if it had not stopped."""
        tensors = {"model": dict(self.model.state_dict()), "training": {"noise": self.noise.get_state()}}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors["training"] |= {f"optimizer/{index}/{key}": value for key, value in values.items()}
        if self.best_model is not None:
            tensors["best"] = self.best_model
        names, rows = self._window_rows()
        if names:
            tensors["training"]["window"] = rows
        state = {
            "window": names,
            "seconds": self.seconds,
            "best": self.best,
            "best_step": self.best_step,
            "evaluations_without_gain": self.evaluations_without_gain,
            "stop_reason": self.stop_reason,
        }
        return tensors, state

    def load_state(self, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises:
            RunError: if it belongs to another model.
        """
        try:
            self.model.load_state_dict(tensors["model"])
            current = self.optimizer.state_dict()
            current["state"] = _unflatten(tensors["training"])
            self.optimizer.load_state_dict(current)
            self.noise.set_state(tensors["training"]["noise"])
            self.best, self.best_step = state["best"], int(state["best_step"])
            self.evaluations_without_gain = int(state["evaluations_without_gain"])
            self.best_model = tensors.get("best")
            self.seconds = float(state["seconds"])
            window = tensors["training"].get("window", torch.empty(0)).to(self.device)
            self._window = [dict(zip(state["window"], row.unbind(), strict=True)) for row in window]
            self._shared = len(self._window)
            self._stop_reason = _lasting(state["stop_reason"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"the checkpoint does not fit this run: {reason}") from error
        self.step = step
        self._saved = (step, self.stop_reason)
        self._update_weights()
        self._update_strength()
        self._snapshot = Snapshot(self)

    def follow_first(self) -> None:
        """Go on, as the others do, from where the first of several processes is."""
        assert self.peers is not None

        def there() -> tuple[int, Any, Any] | None:
            tensors, state = self.state()
            moved = {part: {name: value.cpu() for name, value in of.items()} for part, of in tensors.items()}
            return (self.step, moved, state) if self.step else None

        found = self.peers.from_first(there)
        if found is not None and self.peers.rank > 0:
            self.load_state(*found)
        self.peers.share(self.model)


def _lasting(stop_reason: str | None) -> str | None:
    """What still stops a run that is continued: anything but a signal."""
    return None if is_signal(stop_reason) else stop_reason


def _unflatten(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    return state
