"""How are several seeds trained at once? As one stack of models, each with the data and the noise of its own seed.

All replicates take a step together. Everything between steps (log lines, evaluations, checkpoints, early stopping,
divergence) is done for each replicate separately, with the code of a single run.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pluggy
import torch
from torch import Tensor

from intel_core.compute.optimizer import EagerAdam
from intel_core.data.batches import Order
from intel_core.evaluation.statistics import mean_and_std
from intel_core.model.objectives import Terms
from intel_core.replicates.replicate import Replicate
from intel_core.replicates.stacked_models import Evaluate, Stack, disagreement, ways
from intel_core.training.process_group import ALONE
from intel_core.training.stopping import StopReason

__all__ = ["StackedRuns"]


class StackedRuns:
    """Several replicates as one stack, trained together.

    A replicate that stops early or diverges leaves the stack, with the weights of that moment, and the others go on.

    Args:
        replicates: of one spec but for the seed, all at the same step.
        watchers: hooks that are called with the means over the replicates that are still trained; their argument
            `trainer` is this stack.

    Attributes:
        folder: the folder of the run directories, for the watchers.
        stop_reason: why all replicates end after the current step, if they do; set by `stop`.
        on_end: called with each replicate that takes no further step, as soon as it has left.
        is_due: whether all are to be saved at this step because of the clock.
    """

    def __init__(self, replicates: Sequence[Replicate], watchers: pluggy.PluginManager) -> None:
        first = replicates[0]
        self.replicates, self._going = list(replicates), list(replicates)
        self.hooks = watchers
        self.settings, self.dataset, self.model, self.device = first.settings, first.dataset, first.model, first.device
        self.processes = ALONE  # watchers may use it as they do that of a trainer
        self.batch_size, self.steps_per_epoch, self.steps = first.batch_size, first.steps_per_epoch, first.steps
        self.folder: Path | None = None
        self.step, self.seconds = first.step, first.seconds
        self.stop_reason: StopReason | None = None
        self.on_end: Callable[[Replicate], None] = lambda _: None
        self.is_due = False
        windows = zip(*(trainer.window() for trainer in replicates), strict=True)
        self._window = [{name: torch.stack([of[name] for of in step]) for name in step[0]} for step in windows]
        self.batches = first.batches.for_rows(self.rows)
        self._restack()

    @property
    def epoch(self) -> float:
        """Passes over the training data so far."""
        return self.step / self.steps_per_epoch

    def stop(self, reason: str | StopReason) -> None:
        """End all replicates after the current step; as `Trainer.stop`, the first reason is kept."""
        self.stop_reason = self.stop_reason or (StopReason(reason) if isinstance(reason, str) else reason)

    # --- the stack ---------------------------------------------------------------------------------------------

    def _restack(self) -> None:
        """Stack the tensors of the replicates that are still trained: weights, buffers and the optimiser's state."""
        trainers = self._going
        first = trainers[0]
        self._stack = Stack([trainer.model for trainer in trainers])
        self._ways = ways(self._stack, first.objective)
        self._evaluate: Evaluate = self._ways[0]
        plain = first.optimizer
        # Its step counts are shared with the states of the replicates.
        self._optimizer = EagerAdam(self._stack.parameters, **plain.defaults)
        own = [list(trainer.model.parameters()) for trainer in trainers]
        for index, parameter in enumerate(self._stack.parameters):
            states = [trainer.optimizer.state[of[index]] for trainer, of in zip(trainers, own, strict=True)]
            if not states[0]:
                zeros = torch.zeros_like(parameter, requires_grad=False)
                shared = {"step": torch.zeros((), dtype=torch.float32, device=_place_of_steps(plain, parameter))}
                stacked = {"exp_avg": zeros, "exp_avg_sq": zeros.clone()}
            else:
                shared = {"step": states[0]["step"].clone()}
                stacked = {
                    # Laid out in memory as the parameter is: fused Adam walks them side by side.
                    key: torch.empty_like(parameter, requires_grad=False).copy_(torch.stack([s[key] for s in states]))
                    for key in states[0]
                    if key not in shared
                }
            self._optimizer.state[parameter] = {**shared, **stacked}
            for r, state in enumerate(states):
                state.update(shared, **{key: value[r] for key, value in stacked.items()})
        shape = (len(trainers), first.objective.particles, self.batch_size, first.model.noise_dim)
        self._noise = torch.empty(shape, device=self.device)
        for trainer in trainers:
            trainer.stack = self
        self._draws = list(zip(self._noise.unbind(), [trainer.noise for trainer in trainers], strict=True))
        self._order = Order(self._orders, self.batch_size, self.steps_per_epoch, self.batches.rows_device)
        self.batches.close()  # it was reading ahead for the former replicates

    def _leave(self) -> None:
        """Remove those that have stopped from the stack, and give them tensors of their own."""
        still = [trainer for trainer in self._going if trainer.going]
        if len(still) == len(self._going):
            return
        chosen = self._ways.index(self._evaluate)
        self._stack.release()
        for trainer in self._going:
            for state in trainer.optimizer.state.values():
                state.update({key: value.clone() for key, value in state.items()})
        rows = torch.tensor([trainer.going for trainer in self._going], device=self.device)
        self._window = [_of(numbers, rows) for numbers in self._window]
        for trainer in self._going:
            if not trainer.going:
                self._end(trainer)
        self._going = still
        if still:
            self._restack()
            self._evaluate = self._ways[chosen]

    def _end(self, trainer: Replicate) -> None:
        """Save one that takes no further step, before anything else happens: a group that is killed goes on exactly."""
        trainer.newest_evaluation = (-1, {})  # of weights that lay elsewhere in memory, which may round otherwise
        if trainer.failure is None:
            trainer.end()
        trainer.stack = None
        self.on_end(trainer)

    def membership(self) -> dict[str, Any]:
        """Who takes steps together, by the names of their folders, and in which way: what a checkpoint keeps of it."""
        members = [trainer.folder.name if trainer.folder is not None else "" for trainer in self._going]
        return {"members": members, "way": self._ways.index(self._evaluate)}

    def go_in_way(self, way: int) -> None:
        """Evaluate in the way that a checkpoint keeps, where `why_not` has chosen one before."""
        self._evaluate = self._ways[way]

    def _orders(self, epoch: int) -> Tensor:
        """The order of the examples in an epoch for each replicate, ``(R, examples)``."""
        return torch.stack([trainer.order(epoch) for trainer in self._going])

    def rows(self, step: int) -> Tensor:
        """The row numbers of a step's batches, ``(R, n)``, as `Trainer.rows`."""
        return self._order(step)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Batches ``(R, n, *x_shape)`` and noise ``(R, particles, n, y_dim)`` of the current step."""
        for rows, generator in self._draws:
            rows.normal_(generator=generator)
        return self.batches.at(self.step), self._noise

    # --- the loop ----------------------------------------------------------------------------------------------

    def why_not(self) -> str:
        """Why these replicates cannot be trained as a stack; empty if they can.

        The fastest way of evaluation that agrees with single models is chosen. They are compared with the weights and
        strengths of the first step, and with all of them at 1, as later steps may have; no step is taken, and no noise
        is used up.
        """
        if any(trainer.watched for trainer in self.replicates):
            return "a hook watches every step"
        first, reasons = self._going[0], []
        kept = [trainer.noise.get_state() for trainer in self._going]
        weights = self._weights_of_step()
        was_training = first.model.training
        for trainer in self._going:
            trainer.model.train()
        x, noise = self._draw()
        for way in self._ways:
            reason = disagreement(self._stack, first.objective, way, x, noise, weights)
            if not reason:
                with contextlib.ExitStack() as whole:
                    for trainer in self._going:
                        whole.enter_context(trainer.scheduled.whole_strength())
                    everything = dict.fromkeys(weights, 1.0)
                    reason = disagreement(self._stack, first.objective, way, x, noise, everything)
            if not reason:
                self._evaluate = way
                break
            reasons.append(reason)
        for trainer, state in zip(self._going, kept, strict=True):
            trainer.model.train(was_training)
            trainer.noise.set_state(state)
        self.batches.close()
        return reasons[-1] if len(reasons) == len(self._ways) else ""

    def disband(self) -> None:
        """Give every replicate tensors of its own before the first step, as if there had been no stack."""
        self._stack.release()
        for trainer in self._going:
            trainer.optimizer.state.clear()
            trainer.stack = None

    def _weights_of_step(self) -> dict[str, float]:
        """The factors of the terms at the current step, the same for all."""
        scheduled = self._going[0].scheduled
        scheduled.before(self._going[0].step)
        return scheduled.of_terms

    def take_step(self) -> Terms:
        """One gradient step of every replicate; terms of shape ``(R,)``."""
        first, weights = self._going[0], self._weights_of_step()
        lr = first.optimizer.param_groups[0]["lr"]
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        x, noise = self._draw()
        for parameter in self._stack.parameters:
            parameter.grad = None
        terms = self._evaluate(x, noise, weights)
        torch.autograd.backward(terms.loss.sum())
        if self.settings.clip_norm is not None:
            _clip_each(self._stack.parameters, self.settings.clip_norm)
        self._optimizer.step()
        self.step += 1
        for trainer in self._going:
            trainer.stepped(self.step)
        return terms

    def train(self) -> None:
        """Take all steps, logging, evaluating and saving for each replicate as `Trainer.train` does."""
        every = self.settings.evaluate_every or self.steps
        for trainer in self.replicates:
            trainer.begin()
        self.hooks.hook.run_start(trainer=self)
        with self.batches:
            while self.step < self.steps and self._going and self.stop_reason is None:
                self.advance(self._going[0].next_pause())
                self._catch_up()
                self.is_due = self._going[0].is_overdue
                for trainer in self._going:
                    trainer.guarded(trainer.pause)
                if self.step % every == 0 or self.step == self.steps:
                    self.hooks.hook.evaluated(trainer=self, record=self._mean_record("validation"))
                self._leave()
        self._pass_on_stop()  # if it was asked for after the last step
        if self._going:
            self._stack.release()
        for trainer in self._going:
            self._end(trainer)
        self.hooks.hook.run_end(trainer=self)

    @torch.enable_grad()
    def advance(self, until: int) -> None:
        """Take steps up to a number, or until one or all are to stop, logging on the way."""
        log_every = self.settings.log_every
        started = time.perf_counter() - self.seconds
        while self.step < until and self.stop_reason is None:
            self._window.append(self.take_step().numbers())
            if self.step % log_every == 0 or self.step == self.steps:
                self.seconds = time.perf_counter() - started
                self._log()
                if not all(trainer.going for trainer in self._going):
                    break
            if self._going[0].is_overdue:
                break
        self.seconds = time.perf_counter() - started

    def _log(self) -> None:
        """Log a line for each replicate, made from the means of the window, so that one row of terms is enough."""
        self._catch_up(means=True)
        self._window.clear()
        for trainer in self._going:
            trainer.guarded(trainer.log)
        self.hooks.hook.logged(trainer=self, record=self._mean_record("train"))

    @torch.no_grad()
    def _catch_up(self, *, means: bool = False) -> None:
        """Tell every replicate its step and its own terms since the last line, or their means."""
        leader, rows = next((one for one in self._going if one.failure is None), self._going[0]), self._window
        if means and rows:
            rows = [_merged(rows)]
        columns = [[_of(numbers, r) for numbers in rows] for r in range(len(self._going))]
        for trainer, window in zip(self._going, columns, strict=True):
            if trainer.failure is None:  # one that has diverged stays at the step where that was found
                trainer.follow(leader, self.seconds, window)
        self._pass_on_stop()

    def _pass_on_stop(self) -> None:
        for trainer in self._going:
            if self.stop_reason is not None:
                trainer.stop(self.stop_reason)

    def _mean_record(self, kind: str) -> dict[str, Any]:
        """One line of means over the newest lines of all that are still trained; ``elbo_std`` is that of the ELBO."""
        records = [trainer.records[kind] for trainer in self._going if trainer.failure is None]
        if not records:
            numbers = dict.fromkeys(("elbo", "elbo_std", "log_likelihood", "kl"), math.nan)
            return {"kind": kind, "step": self.step, "weights": {}, **numbers}
        found = mean_and_std(records)
        means = {name: value["mean"] for name, value in found.items()}
        return {**records[0], **means, "step": self.step, "elbo_std": found["elbo"]["std"]}


def _place_of_steps(optimizer: torch.optim.Optimizer, parameter: Tensor) -> torch.device:
    """The device of Adam's step counts: that of the parameters if it is fused, else the CPU."""
    return parameter.device if optimizer.defaults.get("fused") else torch.device("cpu")


def _clip_each(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale the gradient of each model to a norm of at most `largest`, as `torch.nn.utils.clip_grad_norm_` does."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients]
    factor = (largest / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


def _merged(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean over steps."""
    return {name: torch.stack([row[name] for row in rows]).mean(0) for name in rows[0]}


def _of(numbers: dict[str, Tensor], r: int | Tensor) -> dict[str, Tensor]:
    """The numbers of one model, or of some."""
    return {name: value[r] for name, value in numbers.items()}
