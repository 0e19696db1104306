"""How does an InteL-VAE find clusters of rows?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClusterMixin
from typing_extensions import Self

from intel_core.errors import SpecError
from intel_core.evaluation.clusters import clusters_of
from intel_core.mappings.contract import MappingSpec
from intel_core.training.hooks import Training, hookimpl
from intel_sklearn.estimator import InteLVAEEstimator

__all__ = ["InteLVAEClusterer"]


class _NeedsClusters:
    """A hook that ends a training at its beginning if it could find no clusters."""

    @hookimpl
    def run_start(self, trainer: Training) -> None:
        """Look at the model."""
        if clusters_of(trainer.model) is None:
            raise SpecError("neither mapping nor prior makes clusters; mapping=None with n_clusters does")


class InteLVAEClusterer(ClusterMixin, InteLVAEEstimator):  # type: ignore[misc]
    """Clusters of rows: the cells of a clustering mapping, or the components of a mixture prior.

    Arguments are the settings of a run, in the same words as in `intel_core.fit`, and those that scikit-learn has. The
    distributions that bring the mapping (`intelvae-cluster`) and its start (`intelvae-starts`) have to be installed.

    Args:
        n_clusters: number of clusters, unless `mapping` or `prior` says it.
        mapping: z = g(y); by default ``"cluster:k=n_clusters"``, or ``"identity"`` beside a prior that is said.
        latent: dimensions of y; by default at most 2 for vectors, 10 for images, or what the mapping needs.
        prior: p(y).
        posterior: q(y|x).
        likelihood: p(x|z); by default ``bernoulli`` for values in [0, 1], else ``gaussian`` with learned variance.
        objective: the bound that is maximised, e.g. ``"iwae:particles=8"``.
        kl: where the KL term is taken: ``auto``, ``y`` or ``z``.
        network: encoder and decoder in one, e.g. ``"mlp:hidden=[64]"``.
        encoder: the encoder, if it is another than `network`.
        decoder: the decoder, if it is another than `network`.
        start: how the clusters of a mapping are found at first: ``mixture``, ``kmeans``, ``labels``, ``none``.
        steps: training steps; 4000 by default.
        epochs: training epochs, instead of steps.
        batch_size: rows per step.
        learning_rate: step size of Adam.
        clip_norm: largest norm of the whole gradient.
        warmup: steps over which the weight of the KL term grows from 0 to 1; half of them for vectors by default.
        schedules: other weights as functions of the step, by name.
        patience: stop after so many evaluations without improvement on rows that are held out.
        restarts: starts that are tried; the best is trained.
        shape: of one example, if rows are images: ``(1, 28, 28)``.
        standardize: whether the model sees columns with mean 0 and variance 1. ``auto``: real numbers, but neither
            values in [0, 1] nor the counts or categories of a likelihood for these. What goes in and comes out is in
            the units of X.
        validation_fraction: share of the rows that is held out with `patience`; otherwise all are trained on.
        score_particles: draws of y for each row by which `score` bounds log p(x).
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: number format of the networks: ``auto``, ``float32`` or ``bfloat16``.
        run_dir: a folder in which each fit keeps its run directory, fit-1, fit-2, …; by default no file is left.
        n_jobs: threads that torch computes on; None is 1, or what `joblib.parallel_config` says, and -1 all. Dense
            networks are trained on one thread in any case, so that a fit is the same on every machine.
        random_state: decides the whole fit, as everywhere in scikit-learn.

    Attributes:
        labels_: the cluster of each row that was fitted, ``(n,)``.
        clusters_: which of the run's clusters each number is, ``(K,)``: the run's own numbers, but clusters in which no
            row lies come last, so that `labels_` has no gap.
        fitted_: the run as bytes, see `intel_sklearn.FittedRun`.
        run_: the run itself.
        run_path_: its directory, if `run_dir` was given.
        n_steps_: steps that were taken.
        n_features_in_: number of columns.
        feature_names_in_: their names, if they are all texts.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 2)) + 10 * (np.arange(100) % 2)[:, None]
    >>> model = InteLVAEClusterer(2, network="mlp:hidden=[8]", steps=200, learning_rate=0.01, random_state=0).fit(x)
    >>> sorted(np.bincount(model.labels_).tolist()), model.predict_proba(x).shape
    ([50, 50], (100, 2))
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        mapping: str | Sequence[str] | MappingSpec | None = None,
        latent: int | None = None,
        prior: str = "standard",
        posterior: str = "gaussian",
        likelihood: str | None = None,
        objective: str = "elbo",
        kl: str = "auto",
        network: str | None = None,
        encoder: str | None = None,
        decoder: str | None = None,
        start: str | None = None,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        clip_norm: float | None = None,
        warmup: int | None = None,
        schedules: dict[str, str] | None = None,
        patience: int | None = None,
        restarts: int = 1,
        shape: tuple[int, ...] | None = None,
        standardize: bool | str = "auto",
        validation_fraction: float = 0.1,
        score_particles: int = 1,
        device: str = "cpu",
        precision: str = "auto",
        run_dir: str | Path | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.mapping = mapping
        self.latent = latent
        self.prior = prior
        self.posterior = posterior
        self.likelihood = likelihood
        self.objective = objective
        self.kl = kl
        self.network = network
        self.encoder = encoder
        self.decoder = decoder
        self.start = start
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.warmup = warmup
        self.schedules = schedules
        self.patience = patience
        self.restarts = restarts
        self.shape = shape
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.score_particles = score_particles
        self.device = device
        self.precision = precision
        self.run_dir = run_dir
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _settings(self) -> dict[str, Any]:
        settings = super()._settings()
        if self.mapping is None:
            alone = self.prior != "standard" or self.n_clusters == 1
            settings["mapping"] = "identity" if alone else f"cluster:k={self.n_clusters}"
        return settings

    def _hooks(self) -> Iterable[object]:
        return () if self.n_clusters == 1 else (_NeedsClusters(),)

    def fit(self, X: Any, y: Any = None) -> Self:
        """As of `InteLVAEEstimator`; `labels_` are then the clusters of the rows.

        Raises:
            ValueError: also if neither the mapping nor the prior makes clusters.
        """
        super().fit(X, y)
        found = self._memberships(X)
        fullest = found.argmax(1)
        is_empty = np.bincount(fullest, minlength=found.shape[1]) == 0
        self.clusters_ = np.argsort(is_empty, kind="stable")
        self.labels_ = np.argsort(self.clusters_)[fullest]
        return self

    def _memberships(self, X: Any) -> np.ndarray:
        """As `predict_proba`, in the run's own order; one column of ones for a single cluster."""
        x = self._values(X)
        with self._threads():
            found = self.fitted_.memberships(x)
        return np.ones((len(x), 1)) if found is None else found.numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """How probable each cluster is for each row, ``(n, D) -> (n, K)``.

        The mass of q(y|x) in each cell of a mapping, counted in 200 draws; for a mixture prior p(component|y) at the
        mean of q(y|x).
        """
        found = self._memberships(X)
        return found[:, self.clusters_]

    def predict(self, X: Any) -> np.ndarray:
        """The number of the most probable cluster of each row, ``(n, D) -> (n,)``."""
        found: np.ndarray = self.predict_proba(X).argmax(1)
        return found
