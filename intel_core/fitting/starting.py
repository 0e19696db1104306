r"""How does a training begin from clusters that were found in the data? See `intel_core.recipe.starts`.

The objective is wrapped: before the start, and when a model is judged, it is the objective itself. From the start on,
in training, :math:`w \cdot CE` is added to the loss, the cross-entropy in nats per example of the clusters that were
found. They lie in ``RUN/start.safetensors``, so that a training that is resumed later has the same ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping as Dictionary
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import cross_entropy

from intel_core import files
from intel_core.data.batches import Order
from intel_core.errors import PluginError, RunError
from intel_core.fitting.encoding import posterior_moments
from intel_core.fitting.start_clusters import Where, clusters_for
from intel_core.model.objectives import Objective, Terms
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.recipe.contracts import made_by
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec
from intel_core.runs import checkpoint, contents, opening
from intel_core.training.trainer import Trainer

__all__ = ["FILE", "StartedObjective", "go_on_from_start", "share_start", "start_of"]

FILE = "start.safetensors"
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class StartedObjective:
    """An objective whose loss pulls examples towards the clusters that a start has found.

    Args:
        objective: what is optimised.
        start: how the clusters are found, and when.
        model: with a mapping that has clusters and reads y itself, or a prior that is a mixture.

    Attributes:
        particles: as of `objective`.
        clusters: the cluster of each training example, -1 for none; None before the start.
        certain: which of them are known rather than found, 0 or 1; None for none, or before the start.
    """

    def __init__(self, objective: Objective, start: StartSpec, model: InteLVAE) -> None:
        self.objective, self.start, self.particles = objective, start, objective.particles
        self._of = clusters_for(start, model)
        self._trainer: Trainer | None = None
        self.clusters: Tensor | None = None
        self.certain: Tensor | None = None
        self._per_certain = 0.0

    @property
    def parameters_of_clusters(self) -> list[Parameter]:
        """Those of the mapping or the prior that has the clusters: a start may set them."""
        part = self._of.part
        return list(part.parameters()) if isinstance(part, Module) else []

    def serve(self, trainer: Trainer) -> None:
        """Serve a trainer, whose steps and rows decide what is added."""
        self._trainer = trainer
        self._order = Order(trainer.order, trainer.batch_size, trainer.steps_per_epoch, trainer.device)
        # A model of before the start, however good, has no clusters, and is not what early stopping should keep.
        trainer.stopping.begins = max(trainer.stopping.begins, self.start.takes_until(trainer.steps))

    @property
    def begins(self) -> int:
        """The step before which the clusters are found."""
        assert self._trainer is not None
        return self.start.begins(self._trainer.steps)

    def phase(self, step: int) -> str:
        """What a training does at a step, in words for a progress line; empty from the end of the pull on."""
        assert self._trainer is not None
        if step < self.begins:
            return "before its start"
        return "pulled to its start" if self.start.pull_at(step, self._trainer.steps) > 0 else ""

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """As the objective's own; in training, with the pull in the loss."""
        trainer, weight = self._pulled(model)
        terms = self.objective(model, x, noise, weights)
        if trainer is None:
            return terms
        y = terms.posterior.rsample(noise[0])
        return terms._replace(loss=terms.loss + self._pull(trainer, y, weight))

    def differentiate(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """The terms and their gradients, in the objective's own way where it has one and nothing is added to it."""
        given = model, x, noise, weights
        if self._pulled(model)[0] is None and (own := getattr(self.objective, "differentiate", None)) is not None:
            told: Terms = own(*given)
            return told
        terms = self(*given)
        torch.autograd.backward(terms.loss)
        return terms

    def _pulled(self, model: InteLVAE) -> tuple[Trainer | None, float]:
        """The trainer whose step has a pull in its loss, if this one has, and the weight; finds the clusters first."""
        trainer = self._trainer
        if trainer is None or not model.training or trainer.step < self.begins:
            return None, 0.0
        if self.clusters is None:
            self._find(trainer)
        weight = self.start.pull_at(trainer.step, trainer.steps)
        return (None if weight == 0 and self._per_certain == 0 else trainer), weight

    def _pull(self, trainer: Trainer, y: Tensor, weight: float) -> Tensor:
        """The weighted cross-entropy of this step's rows; rows without a cluster count as 0."""
        assert self.clusters is not None
        rows = trainer.processes.own(self._order(trainer.step), dim=0)
        weights = torch.full((len(rows),), weight, device=y.device)
        if self.certain is not None:
            weights = torch.maximum(weights, self.certain[rows] * self._per_certain)
        each = cross_entropy(self._of.scores(y), self.clusters[rows], ignore_index=-1, reduction="none")
        return (weights * each).mean()

    # --- finding -----------------------------------------------------------------------------------------------

    def _find(self, trainer: Trainer) -> None:
        """Find the clusters, let the model take them, and keep them with the run."""
        processes, first = trainer.processes, list[tuple[FoundClusters, Where]]()
        with processes.agreeing():
            if processes.is_first:
                mean, std = _encoded(trainer)
                found = _found(self.start, trainer, self._of.n_clusters, mean)
                first = [(found, Where.of(mean, std, found.cluster, self._of.n_clusters))]
        packed = processes.from_first(lambda: _packed(first[0][0]))
        where = Where(**processes.from_first(lambda: first[0][1]._asdict()))
        with processes.agreeing():
            self._of.take(where)
        processes.share(trainer.model)
        with processes.agreeing():
            self._of.prepare()
        agreement = round(self._of.agreement, 4)
        packed |= processes.from_first(self._of.kept)
        self._take(packed)
        with processes.agreeing():
            if first and trainer.folder is not None:
                facts = {**first[0][0].facts, "sizes": where.sizes.tolist(), "scores_agree": agreement}
                files.write_bytes(trainer.folder / FILE, checkpoint.to_bytes(packed))
                files.write_text(
                    trainer.folder / contents.START_FILE, json.dumps({"step": trainer.step, **facts}, indent=2) + "\n"
                )

    def _take(self, packed: Dictionary[str, Tensor]) -> None:
        assert self._trainer is not None
        device, certain = self._trainer.device, packed["certain"].float()
        self.clusters = packed["cluster"].long().to(device)
        known = float(certain.sum())
        self.certain = certain.to(device) if known else None
        # So that the mean over all known examples has the weight that was asked for.
        self._per_certain = self.start.lasting_pull * len(certain) / known if known else 0.0
        self._of.restore(packed, device)

    def packed(self) -> dict[str, Tensor] | None:
        """What is kept of the clusters; None before the start."""
        if self.clusters is None:
            return None
        certain = torch.zeros_like(self.clusters) if self.certain is None else self.certain
        return {
            "cluster": self.clusters.to(torch.int32).cpu(),
            "certain": certain.bool().cpu(),
            **self._of.kept(),
        }

    def load(self, folder: Path) -> None:
        """Take the clusters that a run has found before it was interrupted.

        Raises:
            RunError: if they are missing or damaged.
        """
        assert self._trainer is not None
        n, k, layout = len(self._trainer.dataset.train), self._of.n_clusters, self._of.layout()
        most = 5 * n + sum(dtype.itemsize * math.prod(shape) for dtype, shape in layout.values()) + 65536
        try:
            tensors = checkpoint.read_tensors(opening.read_bytes(folder, FILE, most))
        except FileNotFoundError:
            raise RunError(f"{folder / FILE} is missing: without it the training cannot go on as it began") from None
        except ValueError as error:
            raise RunError(f"{folder / FILE} is damaged: {error}") from None
        held = {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()}
        if held != {"cluster": (torch.int32, (n,)), "certain": (torch.bool, (n,)), **layout}:
            raise RunError(
                f"{folder / FILE} is damaged: expected the clusters of {n:,} training examples, and scores of {k}"
            )
        if int(tensors["cluster"].min()) < -1 or int(tensors["cluster"].max()) >= k:
            raise RunError(f"{folder / FILE} is damaged: it holds numbers that are no clusters")
        if not all(bool(torch.isfinite(tensors[name]).all()) for name in layout):
            raise RunError(f"{folder / FILE} is damaged: its scores are not finite")
        self._take(tensors)


def start_of(trainer: Trainer) -> StartedObjective | None:
    """The start of a training, if it has one."""
    return trainer.objective if isinstance(trainer.objective, StartedObjective) else None


def go_on_from_start(trainer: Trainer, folder: Path) -> None:
    """After a checkpoint was loaded, take the clusters that the run had found by then.

    Raises:
        RunError: as `StartedObjective.load`.
    """
    start = start_of(trainer)
    if start is not None and trainer.step > start.begins:
        start.load(folder)


def share_start(trainer: Trainer) -> None:
    """Give every process the clusters that the first one has loaded."""
    start = start_of(trainer)
    if start is not None:
        packed = trainer.processes.from_first(start.packed)
        if packed is not None:
            start._take(packed)


@torch.no_grad()
def _found(start: StartSpec, trainer: Trainer, clusters: int, y: Tensor) -> FoundClusters:
    """What a start finds in the encodings `y` of the training data, held to its contract."""
    train, what = trainer.dataset.train, f"start {start}"
    given = StartData(y, train, clusters, stream(trainer.settings.seed, "start"))
    with made_by(what):
        found: object = start.find(given)
    if not isinstance(found, FoundClusters):
        raise PluginError(f"{what}: find() returned a {type(found).__name__}, expected FoundClusters")
    given_as: object = found.cluster
    if not isinstance(given_as, Tensor):
        kind = type(given_as).__name__
        raise PluginError(f"{what}: find() returned clusters as a {kind}, expected a tensor of whole numbers")
    cluster, certain, n = found.cluster, found.certain, len(train)
    if cluster.shape != (n,) or cluster.dtype not in _WHOLE:
        raise PluginError(
            f"{what}: find() gave clusters of shape {list(cluster.shape)} and type {cluster.dtype}, expected "
            f"integers of shape [{n}]"
        )
    if certain is not None and (not isinstance(certain, Tensor) or certain.shape != (n,)):
        raise PluginError(f"{what}: find() says which clusters are certain by other than a tensor of shape [{n}]")
    with made_by(f"{what}: facts"):
        json.dumps(dict(found.facts))
    if int(cluster.min()) < -1 or int(cluster.max()) >= clusters:
        raise PluginError(f"{what}: find() gave clusters outside of 0 to {clusters - 1}, or -1 for none")
    if bool((cluster < 0).all()):
        raise PluginError(f"{what}: find() gave no example a cluster")
    return found


def _encoded(trainer: Trainer) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(y|x) of all training examples, on the CPU."""
    model, train = trainer.model, trainer.dataset.train
    model.eval()
    compiled, model.calls = model.calls, {}  # a network would be compiled anew for batches of another size
    mean, std = (part.float().cpu() for part in posterior_moments(model, train))
    model.train()
    model.calls = compiled
    if not bool(torch.isfinite(mean).all()):
        raise RunError("the start cannot be found: some examples are encoded as numbers that are not finite")
    return mean, std


def _packed(found: FoundClusters) -> dict[str, Tensor]:
    cluster = found.cluster.to(torch.int32).cpu().contiguous()
    certain = torch.zeros(len(cluster), dtype=torch.bool) if found.certain is None else found.certain.bool().cpu()
    return {"cluster": cluster, "certain": certain & (cluster >= 0)}
