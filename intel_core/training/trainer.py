"""How is a model trained? The loop: take steps, and between them log, evaluate and save.

In short::

    while steps are left and nothing asks to stop:
        set the weights of this step
        terms = objective(model, examples, noise, weights)
        follow the gradient of terms.loss
        at regular intervals: log a line, evaluate on validation data, save a checkpoint

The order of the data in epoch e follows from the seed and e alone. Nothing in a step moves a number to the host: terms
stay on the device until a line is logged.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import pluggy
import torch
from torch import Tensor, nn

from intel_core.data.batches import Order, steps_per_epoch
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, RunError, SpecError
from intel_core.model.objectives import Objective, Terms
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.training.hooks import hook_manager
from intel_core.training.process_group import ALONE, ProcessGroup
from intel_core.training.scoring import evaluate
from intel_core.training.settings import DEFAULT_STEPS, TrainingSettings
from intel_core.training.state import load_tensors, tensors_of
from intel_core.training.stopping import EarlyStopping, StopReason
from intel_core.training.weights import ScheduledWeights
from intel_core.training.window import Window

__all__ = ["DIVERGENCE_ADVICE", "Trainer"]

DIVERGENCE_ADVICE = "try a smaller learning rate, clip_norm=10, or a longer KL warm-up"


class Trainer:
    """Trains one model.

    Args:
        model: the model, on its device.
        dataset: training and validation data.
        objective: what is optimised.
        settings: steps, learning rate, how often it is evaluated, …; a whole resolved `RunSpec` can be given, too.
        hooks: called at the moments that `intel_core.training.hooks.RunHooks` names: objects, or a manager of them.
        optimizer: by default Adam with epsilon 1e-7; one that is given keeps its own learning rates.
        processes: the processes that share each batch; all of them make the same calls.
        during: makes the context in which steps are taken; evaluations and checkpoints happen outside it.

    Attributes:
        batches: where the examples of each step come from; a context that is entered while steps are taken.
        folder: the run directory, if there is one.
        save: a function that writes a checkpoint of this trainer and returns its folder; None for no checkpoints.
        step: steps taken so far.
        newest_evaluation: the step of the newest evaluation on validation data, and its numbers.
        averaged: ``with trainer.averaged():`` the model has the weights that are judged and kept, where the optimiser
            averages them.
        stopping: the state of early stopping; ``stopping.load_best(model)`` puts back the best weights.

    Raises:
        SpecError: if a schedule names a weight that does not exist, a batch does not divide among the processes, or
            batch normalisation is given batches of one example.

    A script trains networks of its own like this:

    >>> from intel_core import InteLVAE, TrainingSettings, load_mapping, make_dataset
    >>> from intel_core.likelihoods.densities import Gaussian
    >>> from intel_core.model.objectives import ELBO
    >>> data = make_dataset("mine", torch.randn(200, 3, generator=torch.Generator().manual_seed(0)))
    >>> encoder = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2 * 2))  # means and log-variances of y
    >>> decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    >>> model = InteLVAE(encoder, load_mapping("identity", y_dim=2), decoder, Gaussian("fixed", 1.0, 0.0))
    >>> trainer = Trainer(model, data, ELBO(), TrainingSettings(steps=300, batch_size=32))
    >>> before = trainer.judge(seed=0)["elbo"]
    >>> trainer.train()
    >>> trainer.step, trainer.judge(seed=0)["elbo"] > before
    (300, True)
    """

    def __init__(
        self,
        model: InteLVAE,
        dataset: Dataset,
        objective: Objective,
        settings: TrainingSettings | None = None,
        *,
        hooks: pluggy.PluginManager | Iterable[object] = (),
        optimizer: torch.optim.Optimizer | None = None,
        processes: ProcessGroup = ALONE,
        during: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.settings = (settings or TrainingSettings()).settled()
        self.model, self.dataset, self.objective = model, dataset, objective
        self.hooks = hooks if isinstance(hooks, pluggy.PluginManager) else hook_manager(hooks)
        self.processes = processes
        self.folder: Path | None = None
        self.save: Callable[[Trainer], Path] | None = None
        self.device = next(model.parameters()).device
        self.batch_size = min(self.settings.batch_size, len(dataset.train))
        if self.batch_size == 1 and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
            raise SpecError("batch normalisation needs at least 2 examples per step, batch_size is 1")
        self.steps_per_epoch = steps_per_epoch(len(dataset.train), self.settings.batch_size)
        self.step, self.steps, self.seconds = 0, self.settings.steps or DEFAULT_STEPS, 0.0
        self._evaluate_every = self.settings.evaluate_every or self.steps
        self._save_every = self.settings.save_every or self._evaluate_every
        self._parameters = list(model.parameters())
        self.optimizer = optimizer or torch.optim.Adam(self._parameters, lr=self.settings.learning_rate, eps=1e-7)
        self.averaged = getattr(self.optimizer, "averaged", contextlib.nullcontext)
        self.noise = torch.Generator(self.device).manual_seed(stream(self.settings.seed, "noise"))
        self.scheduled = ScheduledWeights(self.settings.schedules, model, self.optimizer)
        self.stopping = EarlyStopping(self.settings.patience, self.scheduled.settled)
        self.batches = dataset.train.batches(self.rows, self.steps, self.device)
        self._order = Order(self.order, self.batch_size, self.steps_per_epoch, self.batches.rows_device)
        conditions = dataset.train.conditions
        self._conditions = None if conditions is None else conditions.to(self.batches.rows_device)
        self._window = Window(processes)
        self._during = during
        self.newest_evaluation: tuple[int, dict[str, Any]] = (-1, {})
        self._stop_reason: StopReason | None = None
        self._saved: tuple[int, StopReason | None] | None = None
        self._save_by = math.inf
        processes.begin(model, self.batch_size)

    @property
    def epoch(self) -> float:
        """Passes over the training data so far."""
        return self.step / self.steps_per_epoch

    @property
    def weights(self) -> dict[str, float]:
        """The current factor of each scheduled weight, by name."""
        return self.scheduled.as_numbers()

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the training ends after the current step, if it does; see `stop`."""
        return self._stop_reason

    def stop(self, reason: str | StopReason) -> None:
        """End it after the current step, or that at which all processes know of it; the first reason is kept."""
        asked = StopReason(reason) if isinstance(reason, str) else reason
        self._stop_reason = self._stop_reason or self.processes.ask_to_stop(asked)

    # --- the step ----------------------------------------------------------------------------------------------

    def order(self, epoch: int) -> Tensor:
        """The order of the training examples in an epoch, which follows from the seed alone; on the CPU."""
        shuffle = torch.Generator().manual_seed(stream(self.settings.seed, f"order/{epoch}"))
        return torch.randperm(len(self.dataset.train), generator=shuffle)

    def rows(self, step: int) -> Tensor:
        """The row numbers of a step's batch, or of this process's part of it; the rows need not have been read.

        If data are read ahead, it is called for later steps than the current one.
        """
        return self.processes.own(self._order(step), dim=0)

    def draw(self) -> tuple[Tensor, Tensor]:
        """The batch and the noise of the current step; with several processes, the rows of this one."""
        x = self.batches.at(self.step)
        shape = (self.objective.particles, self.batch_size, self.model.noise_dim)
        noise = torch.randn(shape, generator=self.noise, device=self.device)
        return x, self.processes.own(noise, dim=1)

    def take_step(self, x: Tensor, noise: Tensor) -> Terms:
        """One gradient step on a batch."""
        self.scheduled.before(self.step)
        for parameter in self._parameters:
            parameter.grad = None  # as optimizer.zero_grad() does, without its overhead
        model = self.model if self._conditions is None else self.model.on(self._conditions[self.rows(self.step)])
        with self.processes.computing():
            # An objective may know a faster way to the same gradients than autograd.
            given = model, x, noise, self.scheduled.of_terms
            if (differentiate := getattr(self.objective, "differentiate", None)) is not None:
                terms: Terms = differentiate(*given)
            else:
                terms = self.objective(*given)
                torch.autograd.backward(terms.loss)
        self.processes.average_gradients(self._is_overdue)
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        # An optimiser may offer `update`, a step without the record that torch's profiler keeps of each.
        getattr(self.optimizer, "update", self.optimizer.step)()
        self.step += 1
        self.scheduled.after(self.step)
        return terms

    # --- the loop ----------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Take all remaining steps, and log, evaluate and save as often as the settings say.

        Raises:
            DivergenceError: if a term or a weight is not finite.
            DataError: if data on disk cannot be read.
        """
        with self.batches:
            self.begin()
            while self.step < self.steps and self.stop_reason is None:
                self.advance(self.next_pause())
                self.pause()
        self.end()

    def begin(self) -> None:
        """What is done before the first step of a training, or of its continuation."""
        self.model.train()
        self._set_clock()
        self.hooks.hook.run_start(trainer=self)

    def next_pause(self) -> int:
        """The step at which the loop stops next, to evaluate or to save."""
        return min(self.step - self.step % n + n for n in (self._evaluate_every, self._save_every, self.steps))

    @torch.enable_grad()
    def advance(self, until: int) -> None:
        """Take steps up to a number, or until something asks to stop, and log on the way.

        Raises:
            DivergenceError: as `train`.
        """
        with self._during():
            self._advance(until)

    def _advance(self, until: int) -> None:
        log_every, hook = self.settings.log_every, self.hooks.hook.step_end
        after_step = hook if hook.get_hookimpls() else None
        started = time.perf_counter() - self.seconds
        while self.step < until and self.stop_reason is None:
            terms = self.take_step(*self.draw())
            self._window.add(terms.numbers())
            if self.processes.must_stop:
                self._heed()
            if after_step is not None:
                after_step(trainer=self)
            if self.step % log_every == 0 or self.step == self.steps:
                self.seconds = time.perf_counter() - started
                self.log()
            if self.is_due():
                break
        self.seconds = time.perf_counter() - started

    def pause(self) -> None:
        """What is done between steps, where the loop pauses: evaluate, save, stop if any process wants to."""
        self._require_finite()
        if self.step % self._evaluate_every == 0 or self.step == self.steps:
            self._evaluate()  # before a checkpoint of the same step, which includes the result
        if self.step % self._save_every == 0 or self.is_due():
            self._save()
        self._heed()
        self.processes.require_same(self.model)

    def end(self) -> None:
        """What is done after the last step."""
        self._save()
        self.processes.end(self.model)
        self.hooks.hook.run_end(trainer=self)

    def _heed(self) -> None:
        """Stop if any process wants to; all processes stop at the same step."""
        agreed = self.processes.agree_to_stop()  # first: a signal may come while it is asked
        self._stop_reason = self._stop_reason or agreed

    # --- between steps -----------------------------------------------------------------------------------------

    def log(self) -> None:
        """Log the means since the last line; the only place where the loop waits for the device."""
        numbers = self._require_finite()
        self._window.clear()
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

    def judge(self, seed: int, weights: dict[str, float] | None = None) -> dict[str, Any]:
        """The result of `evaluate` on the validation data; with several processes, that of the first one."""
        given = self.model, self.objective, self.dataset.validation, seed, weights
        with self.averaged():
            return self.processes.from_first(lambda: evaluate(*given))

    def _evaluate(self) -> None:
        with self.averaged():
            numbers = self.judge(self.settings.seed)
            self.newest_evaluation = self.step, numbers
            record = {"kind": "validation", "step": self.step, "epoch": round(self.epoch, 4), **numbers}
            self.hooks.hook.evaluated(trainer=self, record=record)
            self._stop_reason = self.stopping.look(numbers["loss"], self.step, self.model) or self._stop_reason

    def _require_finite(self) -> dict[str, float]:
        """The window's means. Raises if one is not finite, or a weight is not because its gradient was not."""
        numbers = self._window.means()
        for name, value in numbers.items():
            if not math.isfinite(value):
                self._diverged(name)
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm([p.detach() for p in self._parameters]))):
            self._diverged("a weight")
        return numbers

    def _diverged(self, broken: str) -> NoReturn:
        self.hooks.hook.diverged(trainer=self, broken=broken)
        raise DivergenceError(f"{broken} is not finite by step {self.step}; {DIVERGENCE_ADVICE}")

    # --- checkpoints -------------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether the newest checkpoint is as old as the settings allow, by the first process's clock."""
        return self.processes.agree_is_due(self._is_overdue)

    def _is_overdue(self) -> bool:
        return time.monotonic() >= self._save_by

    def _set_clock(self) -> None:
        minutes = self.settings.save_minutes
        self._save_by = math.inf if self.save is None or minutes is None else time.monotonic() + 60 * minutes

    def _save(self) -> None:
        """Save a checkpoint, unless the newest one already has this state."""
        now = (self.step, self._lasting_reason())
        if self.save is not None and now != self._saved:
            path = self.save(self)
            self._saved = now
            self.hooks.hook.saved(trainer=self, path=str(path))
        self._set_clock()

    def _lasting_reason(self) -> StopReason | None:
        """Why a training that is resumed from here stops again at once, if it does."""
        return self.stop_reason if self.stop_reason is not None and self.stop_reason.is_lasting else None

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Tensors and numbers from which training continues exactly as if it had not stopped."""
        tensors = tensors_of(self.model, self.optimizer, self.noise)
        if self.stopping.best_model is not None:
            tensors["best"] = self.stopping.best_model
        names, rows = self._window.rows()
        if names:
            tensors["training"]["window"] = rows
        reason = self._lasting_reason()
        state = {
            "window": names,
            "seconds": self.seconds,
            **self.stopping.state(),
            "stop_reason": None if reason is None else {"text": reason.text, "kind": reason.kind},
        }
        return tensors, state

    def load_state(self, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises:
            RunError: if it belongs to another model.
        """
        try:
            load_tensors(tensors, self.model, self.optimizer, self.noise)
            self.stopping.load_state(state, tensors.get("best"))
            self.seconds = float(state["seconds"])
            rows = tensors["training"].get("window", torch.empty(0)).to(self.device)
            self._window.load(state["window"], rows)
            self._stop_reason = StopReason.read(state["stop_reason"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"the checkpoint does not fit this run: {reason}") from error
        self.step = step
        self._saved = (step, self.stop_reason)
        self.scheduled.set(step)
