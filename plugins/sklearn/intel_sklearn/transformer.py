"""How does an InteL-VAE turn rows into features, and features into rows?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted
from typing_extensions import Self

from intel_core.mappings.contract import MappingSpec
from intel_sklearn.estimator import InteLVAEEstimator

__all__ = ["InteLVAETransformer"]


class InteLVAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, InteLVAEEstimator):  # type: ignore[misc]
    """Features z = g(mean of q(y|x)) of rows, learned by an InteL-VAE; and rows for features.

    Arguments are the settings of a run, in the same words as in `intel_core.fit`, and those that scikit-learn has.

    Args:
        mapping: z = g(y), e.g. ``"cluster:k=3"``, ``"circle"``, or a list of them.
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
        fitted_: the run as bytes, see `intel_sklearn.FittedRun`.
        run_: the run itself.
        run_path_: its directory, if `run_dir` was given.
        n_steps_: steps that were taken.
        n_features_in_: number of columns.
        feature_names_in_: their names, if they are all texts.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> model = InteLVAETransformer(latent=2, network="mlp:hidden=[8]", steps=20, random_state=0).fit(x)
    >>> model.transform(x).shape, model.inverse_transform(model.transform(x)).shape
    ((100, 2), (100, 3))
    >>> [str(name) for name in model.get_feature_names_out()]
    ['intelvaetransformer0', 'intelvaetransformer1']
    """

    def __init__(
        self,
        mapping: str | Sequence[str] | MappingSpec = "identity",
        *,
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """As of `InteLVAEEstimator`."""
        super().fit(X, y)
        self._n_features_out = self.fitted_.run.model.z_dim
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Z = g(mean of q(y|x)) of each row, ``(n, D) -> (n, z_dim)``, in the number format of X.

        Raises:
            ValueError: if the columns or values do not fit.
        """
        x = self._values(X)
        with self._threads():
            z = self.fitted_.encode(x).numpy()
        return z.astype(np.float32) if getattr(X, "dtype", None) == np.float32 else z

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The mean of p(x|z), in the units of the rows that were fitted, ``(n, z_dim) -> (n, D)``.

        Raises:
            ValueError: if there are other than z_dim columns.
        """
        check_is_fitted(self)
        z = check_array(X, dtype=[np.float64, np.float32])
        if z.shape[1] != self._n_features_out:
            raise ValueError(f"X has {z.shape[1]} features, but z has {self._n_features_out} dimensions")
        with self._threads():
            return self.fitted_.decode(z).numpy().astype(z.dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
