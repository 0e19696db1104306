"""What do the estimators have in common? Their settings are those of a run, and fitting trains one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from joblib import effective_n_jobs  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from typing_extensions import Self

from intel_core.compute.threads import on_threads
from intel_core.evaluation.run import Run
from intel_sklearn.fitted import ALONE
from intel_sklearn.training import dataset_of, trained

__all__ = ["InteLVAEEstimator"]

OF_RUN = (
    *("mapping", "latent", "prior", "posterior", "likelihood", "objective", "kl", "network", "encoder", "decoder"),
    *("start", "steps", "epochs", "batch_size", "learning_rate", "clip_norm", "warmup", "schedules", "patience"),
    *("restarts", "device", "precision"),
)
"""Arguments that are settings of the run."""
LEAST_ROWS = 4


class InteLVAEEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators; they list their arguments, as scikit-learn wants it."""

    def _settings(self) -> dict[str, Any]:
        """Those of the run; what is None is left to the framework, and numbers of NumPy are made Python's."""
        settings = {name: getattr(self, name) for name in OF_RUN}
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in settings.items()
            if value is not None
        }

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        """On as many of torch's threads as are asked for, one estimator after another."""
        with ALONE, on_threads(effective_n_jobs(self.n_jobs)):
            yield

    def _hooks(self) -> Iterable[object]:
        """What is called in a training."""
        return ()

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train a model on all rows, or all but a share `validation_fraction` with `patience`.

        Args:
            X: numbers ``(n, D)``, an array or a data frame.
            y: ignored, unless ``start="labels"`` looks for the clusters by these classes.

        Raises:
            ValueError: for settings or values that cannot be used, in a line that names them.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=LEAST_ROWS)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        settings = self._settings()
        labels = None
        if y is not None and str(settings.get("start", "")).partition(":")[0] == "labels":
            labels = np.unique(np.asarray(y), return_inverse=True)[1].reshape(-1)
        with self._threads():
            dataset = dataset_of(
                X,
                labels,
                shape=self.shape,
                likelihood=self.likelihood,
                standardize=self.standardize,
                validation=0.0 if self.patience is None else float(self.validation_fraction),
                seed=seed,
                columns=tuple(map(str, getattr(self, "feature_names_in_", ()))),
            )
            self.fitted_, kept = trained(dataset, self.run_dir, {**settings, "seed": seed}, self._hooks())
        self.run_path_ = None if kept is None else str(kept)
        self.n_steps_ = int(self.fitted_.run.metrics["step"])
        return self

    @property
    def run_(self) -> Run:
        """The run of the model that was fitted: `sample`, `encode`, `reconstruct`, `spec`, `metrics`.

        It has no directory. What is stored in one, such as measurements, needs ``run_dir=`` and then
        ``intel_core.load_run(estimator.run_path_)``.
        """
        check_is_fitted(self)
        return self.fitted_.run

    def score(self, X: Any, y: Any = None) -> float:
        """The mean bound of log p(x) in nats per row: the ELBO, or with `score_particles` draws the tighter IWAE bound.

        It is of x in its own units: where values are standardised inside, the logarithms of their deviations are
        subtracted, so that scores of differently scaled fits compare. Noise is drawn with the seed of the fit.

        Args:
            X: numbers ``(n, D)``.
            y: ignored.
        """
        x = self._values(X)
        with self._threads():
            return self.fitted_.bound(x, int(self.score_particles))

    def _values(self, X: Any) -> Any:
        """Rows as the model knows them."""
        check_is_fitted(self)
        return self.fitted_.values(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
