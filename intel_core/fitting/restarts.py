"""Which of several starts is trained to the end? Short trials are compared by the objective on validation data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from intel_core.compute.threads import on_threads, threads_for
from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DivergenceError
from intel_core.evaluation.clusters import clusters_of
from intel_core.fitting.encoding import posterior_means
from intel_core.fitting.setting_up import make_trainer
from intel_core.helpers.contingency import Labeling, agreement_of
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.recipe.contracts import made_by
from intel_core.recipe.contradictions import USUAL_TRIAL
from intel_core.recipe.resolving import affordable_examples
from intel_core.recipe.runspec import RunSpec
from intel_core.training.hooks import hook_manager
from intel_core.training.process_group import ALONE, ProcessGroup

__all__ = ["choose_start", "share_of_trial"]

_FEW = 100
"""Examples that a start is judged by at least."""


def choose_start(
    spec: RunSpec, dataset: Dataset, tried: Callable[[dict[str, Any]], None], processes: ProcessGroup = ALONE
) -> tuple[RunSpec, list[dict[str, Any]]]:
    """The spec of the run whose seed did best, and what was tried.

    The seed decides the initial weights, the order of the data and the noise. The first start has the run's own seed,
    the others have seeds derived from it. Each is trained for a share of the run (`share_of_trial`), under the run's
    own schedules, and evaluated on validation data by the objective with the weights of that step: in the middle of a
    warm-up, the whole KL weight would favour starts that have collapsed. Labels are not used. Where all validation
    examples would take more than a tenth of a trial, evenly spaced ones stand for them, at least a hundred. The run
    then begins again with the chosen seed from its first step: a trial only chooses.

    Args:
        spec: a resolved run spec.
        dataset: the data.
        tried: called after each trial with its record.
        processes: those that share each batch.

    Returns:
        The same spec with the chosen seed and ``restarts=1``; and a record of each trial: ``start``, ``of``, ``seed``,
        ``step``, ``loss`` (nats per example; infinite where it diverged), ``examples`` and
        ``of_examples`` (on how many of them it was measured). Where the model has clusters, also ``agreement``, the
        normalised mutual information of the start's clusters of these examples with those of the chosen start.

    Raises:
        DivergenceError: if every start diverged.
    """
    assert spec.steps is not None
    length = max(1, int(spec.steps * share_of_trial(spec)))
    judged = _judged(dataset, affordable_examples(length, min(spec.batch_size, len(dataset.train))))
    records: list[dict[str, Any]] = []
    clusters: list[Labeling | None] = []
    for start in range(spec.restarts):
        seed = spec.seed if start == 0 else stream(spec.seed, f"start/{start}")
        candidate = spec.model_copy(update={"seed": seed, "restarts": 1})
        loss, cluster = _trial(candidate, judged, length, spec.seed, processes)
        clusters.append(cluster)
        record = {"start": start, "of": spec.restarts, "seed": seed, "step": length, "loss": loss}
        record |= {"examples": len(judged.validation), "of_examples": len(dataset.validation)}
        tried(record)
        records.append(record)
    best = min(records, key=lambda record: record["loss"])
    if not math.isfinite(best["loss"]):
        raise DivergenceError(f"all {spec.restarts} starts diverged; try a smaller learning rate or clip_norm=10")
    of_best = clusters[best["start"]]
    for record, cluster in zip(records, clusters, strict=True):
        if record is not best and cluster is not None and of_best is not None:
            record["agreement"] = round(agreement_of(cluster, of_best)[0], 4)
    return spec.model_copy(update={"seed": best["seed"], "restarts": 1}), records


def share_of_trial(spec: RunSpec) -> float:
    """The length of a trial, as a share of the run.

    Which clusters were found is decided by the seed, and shows in the objective only when the model has learned them: a
    trial that ends before the start, or in its first steps, would choose among plain VAEs, and among what a sudden pull
    does to them. So unless the user says otherwise a trial with a start goes on until half of the pull, and of its
    time, is over (`StartSpec.takes_until`), if that is later than a fifth of the run. On two tables of four unequal
    clusters, six seeds each, the rank correlation of the validation loss with the final one was -0.4 and -0.5 after a
    fifth of the run, 0.1 and 0.8 after two fifths, and 0.9 on both at that step.

    Args:
        spec: a resolved run spec.
    """
    if spec.trial is not None:
        return spec.trial
    if spec.start is None or spec.start.is_none or not spec.steps:
        return USUAL_TRIAL
    return max(USUAL_TRIAL, spec.start.takes_until(spec.steps) / spec.steps)


def _judged(dataset: Dataset, most: int) -> Dataset:
    """The data with at most so many validation examples, or a few if that is less."""
    count = max(most, _FEW)
    if len(dataset.validation) <= count:
        return dataset
    rows = torch.linspace(0, len(dataset.validation) - 1, count).long()
    return replace(dataset, validation=Split(dataset.validation.x[rows]))


def _trial(
    spec: RunSpec, dataset: Dataset, length: int, judged_with: int, processes: ProcessGroup
) -> tuple[float, Labeling | None]:
    """The loss of one start, and its clusters of the validation examples; None without clusters, or if it diverged.

    The noise of the evaluation is the same for all starts.
    """
    with processes.agreeing():
        trainer = make_trainer(spec, dataset, hook_manager(), processes)
    processes.share(trainer.model)
    with on_threads(threads_for(trainer.model)):
        try:
            with trainer.batches:
                trainer.advance(length)
        except DivergenceError:
            return math.inf, None
        loss = float(trainer.judge(judged_with, trainer.weights)["loss"])
        if not math.isfinite(loss):
            return math.inf, None
        with trainer.averaged():
            return loss, _clusters(trainer.model, dataset.validation)


def _clusters(model: InteLVAE, split: Split) -> Labeling | None:
    """The cluster of the mean of q(y|x) of each example, of the mapping or of a mixture prior; None without any."""
    found = clusters_of(model)
    if found is None:
        return None
    model.eval()
    mean = posterior_means(model, split)
    with made_by("assign() of the mapping"):
        return Labeling(found.assign(mean), found.n)
