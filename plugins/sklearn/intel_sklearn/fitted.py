"""What does a fitted estimator hold? The files of its run as bytes, from which the run is made again.

Pickled, copied, or sent to another process it is these bytes: JSON and safetensors. A model is made of them as of a run
directory, and none of the files holds code.
"""

from __future__ import annotations

import copy
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.evaluation.clusters import DRAWS, clusters_of, counted
from intel_core.evaluation.run import Run, load_run
from intel_core.helpers.own_prior import own_prior
from intel_core.model.objectives import ELBO, IWAE
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.training.scoring import evaluate

__all__ = ["ALONE", "FittedRun"]

ALONE = threading.RLock()
"""Held while a model is built or trained: torch's random state and number of threads belong to the whole process."""
_FILES = ("run.json", "metrics.json", "metrics.jsonl", "start.json", "model.safetensors")
_ROWS = 1000


class FittedRun:
    """A finished run without a directory.

    Args:
        run: as `intel_core.fit` returns it; its directory is not needed afterwards.
        device: where it computes.
    """

    def __init__(self, run: Run, device: str) -> None:
        self._device = device
        self._files = {name: (run.path / name).read_bytes() for name in _FILES if (run.path / name).is_file()}
        self._run: Run | None = None
        self._exact: InteLVAE | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_run": None, "_exact": None}

    @property
    def run(self) -> Run:
        """The run: `encode`, `reconstruct`, `sample` and its numbers. Its directory no longer exists."""
        if self._run is None:
            with ALONE, tempfile.TemporaryDirectory(prefix="intelvae-") as folder:
                for name, content in self._files.items():
                    (Path(folder) / name).write_bytes(content)
                run = load_run(folder, device=self._device)
                # Read now, while the files are there.
                _ = run.model, run.metrics
            self._run = run
        return self._run

    def _model(self) -> InteLVAE:
        """The model, in float64 on a CPU: then a row's features do not depend on the rows beside it."""
        run = self.run
        if run.model_device.type != "cpu" or run.spec.precision != "float32":
            return run.model
        if self._exact is None:
            self._exact = copy.deepcopy(run.model).double().eval()
        return self._exact

    def values(self, rows: np.ndarray) -> Tensor:
        """Rows ``(n, D)`` in their own units as the model knows them, ``(n, *x_shape)``.

        Raises:
            DataError: if they do not fit, for instance values outside [0, 1] that no training example had.
        """
        units = self.run.units
        x = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), *units.shape)
        return units.read(x) if units.scaling is None else units.check(units.standardise(x).float())

    @torch_as_usual()
    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Z = g(mean of q(y|x)) of values, ``(n, z_dim)``, float64."""
        model = self._model()
        parts = [model.mapping(model.encode(_like(part, model)).mean) for part in torch.split(x, _ROWS)]
        return torch.cat(parts).double().cpu()

    @torch_as_usual()
    @torch.no_grad()
    def decode(self, z: np.ndarray) -> Tensor:
        """The mean of p(x|z) in the units of the data, ``(n, D)``, float64."""
        model, units = self._model(), self.run.units
        parts = torch.split(torch.tensor(z, dtype=torch.float64), _ROWS)
        means = [model.likelihood.mean(model.decode(_like(part, model))) for part in parts]
        return units.original(torch.cat(means).double().cpu()).flatten(1)

    @torch_as_usual()
    @torch.no_grad()
    def memberships(self, x: Tensor) -> Tensor | None:
        """How probable each cluster is for values, ``(n, K)``, float64; None without clusters.

        For the clusters of a mapping it is the mass of q(y|x) in each, counted in 200 draws that are the same for all
        rows; for a mixture prior p(component|y) at the mean of q(y|x).
        """
        model = self._model()
        clusters = clusters_of(model)
        if clusters is None:
            return None
        if clusters.of_prior:
            prior = own_prior(model)
            assert prior is not None
            means = [model.encode(_like(part, model)).mean for part in torch.split(x, _ROWS)]
            return prior.log_responsibilities(torch.cat(means)).double().exp().cpu()
        like = next(model.parameters())
        generator = torch.Generator(like.device).manual_seed(stream(0, "clusters"))
        # As `Run.encode` draws it.
        noise = torch.randn(DRAWS, model.noise_dim, generator=generator, device=like.device).to(like).unsqueeze(1)
        return torch.cat(list(counted(model, clusters, x, noise))).double() / DRAWS

    @torch_as_usual()
    def bound(self, x: Tensor, particles: int) -> float:
        """The mean of a lower bound of log p(x) of values in their own units, in nats per example.

        Args:
            x: as `values` gives them.
            particles: draws of y for each example; one is the ELBO.
        """
        objective = ELBO() if particles == 1 else IWAE(particles)
        found = evaluate(self.run.model, objective, Split(x), self.run.spec.seed)
        scaling = self.run.units.scaling
        scale = 0.0 if scaling is None else float(torch.tensor(scaling["std"]).double().expand(x[0].shape).log().sum())
        return float(found["elbo" if particles == 1 else "iwae"]) - scale


def _like(x: Tensor, model: InteLVAE) -> Tensor:
    """Examples or latent vectors where the model computes, in its number format."""
    return to_float(x).to(next(model.parameters()))
