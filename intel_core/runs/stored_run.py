"""What can a trained model do, read back from its run directory?

Encode, decode, reconstruct, sample, and give its numbers, also on another machine. Metrics and the verdict on the bias
are added by `intel_core.evaluation.run.Run`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intel_core.compute.memory import require_bytes
from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset
from intel_core.data.values import to_float
from intel_core.errors import DataError, IntelError, RunError, SpecError
from intel_core.model.prior import Prior
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.reading.capabilities import Examples
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.reading.values import read_values
from intel_core.recipe.building import build_model
from intel_core.recipe.contracts import load_dataset
from intel_core.recipe.given import with_parts
from intel_core.recipe.runspec import RunSpec, stored_run_spec
from intel_core.recipe.size import require_room
from intel_core.runs.folder import RunFolder
from intel_core.runs.needed import require_components
from intel_core.runs.same_data import changed_part
from intel_core.runs.tensors import most_bytes, require_weights
from intel_core.runs.units import Units
from intel_core.runs.weights import bytes_of_weights, stored_weights

__all__ = ["Encoding", "StoredRun"]

_Draw = Callable[[torch.Generator], Tensor]

_ROWS = 1000
_LARGE = 2**28
"""Bytes of weights from which on a model is not built only to find that what is stored is another one."""


class Encoding(NamedTuple):
    """The encodings of some examples, on the CPU.

    Attributes:
        mean: means of q(y|x), ``(n, y_dim)``.
        std: standard deviations of q(y|x), ``(n, y_dim)``.
        y: one sample of q(y|x) each, ``(n, y_dim)``.
        z: g of the samples, ``(n, z_dim)``.
        z_mean: g of the means, ``(n, z_dim)``: the usual features.
    """

    mean: Tensor
    std: Tensor
    y: Tensor
    z: Tensor
    z_mean: Tensor


class StoredRun:
    """A trained model and everything known about it.

    Args:
        folder: its directory.
        model: the model, if it is already in memory; otherwise it is read from the directory on first use.
        device: where to compute.
        info: the content of ``run.json``, if it is known.
        parts: those that the run's maker gave as objects, by the names of `intel_core.recipe.given.PARTS`.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: InteLVAE | None = None,
        device: str = "cpu",
        info: dict[str, Any] | None = None,
        parts: Mapping[str, object] | None = None,
    ) -> None:
        self._folder = folder
        self._info = folder.read_description() if info is None else info
        self._device = device
        self._parts = parts or {}
        if model is not None:
            self.__dict__["model"] = model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {self.status})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._folder.path

    @property
    def info(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        return self._info

    @property
    def seed(self) -> int:
        """The seed that was asked for; after restarts, the spec holds the seed of the best start instead."""
        trials = self._info.get("trials")
        return int((trials[0] if trials else self._info["spec"])["seed"])

    @property
    def restarts(self) -> int:
        """How many starts were tried for this run."""
        return max(1, len(self._info.get("trials", [])))

    @functools.cached_property
    def spec(self) -> RunSpec:
        """The resolved spec.

        Raises:
            PluginError: naming the distribution and version that a missing component needs.
        """
        require_components(self.path, self._info["components"])
        try:
            spec = stored_run_spec(self._info["spec"])
        except SpecError as error:
            raise RunError(f"{self.path}/run.json cannot be understood: {error}") from error
        return with_parts(spec, self._parts, str(self.path))

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """Final numbers, in nats per example; empty for a run that has not ended."""
        return self._folder.read_metrics()

    @property
    def status(self) -> str:
        """``finished``, ``interrupted``, ``diverged``, or ``unfinished`` if none of these was recorded."""
        return str(self.metrics.get("status", "unfinished"))

    def records(self) -> list[dict[str, Any]]:
        """Every logged line and evaluation, oldest first."""
        return self._folder.records()

    @functools.cached_property
    def model(self) -> InteLVAE:
        """The trained model in evaluation mode.

        Raises:
            RunError: if there are no weights, they are damaged, or they do not fit.
            EnvironmentProblem: if so large a model cannot fit into memory.
        """
        device, shape = torch.device(self._device), self._info["data"]["shape"]
        needed = require_room(f"{self.path}: its model", self.spec, shape, device)
        if needed > _LARGE and needed > 4 * (there := bytes_of_weights(self._folder)):
            raise RunError(
                f"the weights in {self.path} do not fit its spec: they are {there:,} bytes, those of such a model "
                f"would be {needed:,.0f}"
            )
        try:
            conditions = self.units.conditions
            model = build_model(self.spec, shape, 0 if conditions is None else conditions.width)
        except IntelError:
            raise
        except Exception as error:  # whatever a network makes of settings that no run has had
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise RunError(f"the model that {self.path}/run.json describes cannot be built: {said[:200]}") from error
        weights = stored_weights(self._folder, self.metrics, most_bytes(model))
        require_weights(f"the weights in {self.path}", weights, model, misfit=" do not fit its spec")
        model.load_state_dict(weights)
        return model.to(device).eval()

    def dataset(self, data_dir: Path | None = None) -> Dataset:
        """The data the run was trained on, loaded again.

        Raises:
            DataError: if it cannot be loaded here.
        """
        return load_dataset(self.spec.data, data_dir_or_default(data_dir), self.spec.conditions)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the training examples that it was trained on."""
        return str(self._info["data"].get("fingerprint"))

    def require_its_data(self, dataset: Dataset, *, whole: bool = False) -> None:
        """Refuse data that are not those the run was trained on.

        Args:
            dataset: the data now.
            whole: whether validation and test examples and labels have to be the same as well, as where it goes on.

        Raises:
            RunError: if the training examples differ, or the mean and deviation with which they were standardised.
        """
        what = self.units.differs_from(dataset.summary())
        if what:
            raise RunError(f"{self.path} was trained on other data: the {what} of the training examples differs")
        if whole and (what := changed_part(self._info["data"], dataset)):
            raise RunError(
                f"{self.path} was begun with other data: the {what} are not the same; give it the former ones"
            )

    @functools.cached_property
    def units(self) -> Units:
        """The units of the training data, which are also those of the examples that are encoded."""
        return Units(self._info["data"])

    def standardise(self, raw: Tensor) -> Tensor:
        """Values in their original units, standardised as the training data were; unchanged if those were not."""
        return self.units.standardise(raw)

    def original_units(self, x: Tensor) -> Tensor:
        """The inverse of `standardise`: samples and reconstructions in the units of the data file."""
        return self.units.original(x)

    def adapt(self, examples: Examples, name: str = "examples") -> Examples:
        """Examples in their own units, converted to those of the model; see `Units.adapt`.

        Raises:
            DataError: if a column is missing, or the shape or the values do not fit the model.
        """
        return self.units.adapt(examples, name)

    def check(self, x: Any) -> Tensor:
        """Examples as a tensor of the model's shape.

        Raises:
            DataError: if the shape or the values do not fit.
        """
        return self.units.check(x)

    # --- what the model does -----------------------------------------------------------------------------------

    @torch_as_usual()
    def encode(self, x: Any, *, conditions: Any = None, seed: int = 0, standardised: bool = False) -> Encoding:
        """Means and samples of q(y|x), and z, for examples in the units of the data.

        Where the training data were standardised (a table), the rows are standardised here by the mean and standard
        deviation of the training data. Images are bytes, which are divided by 255, or floats in [0, 1].

        Args:
            x: ``(n, *x_shape)`` or one example, in whatever form `fit` takes data: arrays, tensors, lists, a data
                frame, whose columns are found by their names; or a `Split` of a data set.
            conditions: of a run with conditions, theirs, where x does not tell them: ``{"batch": "a", "age": ages}``.
            seed: of the samples.
            standardised: whether the values are standardised already, as ``run.dataset().test.x`` is.

        Raises:
            DataError: if the shape or the values do not fit the model, or a column is missing.
        """
        part = self.units.part(x, conditions, standardised=standardised)
        generator = torch.Generator(self.model_device).manual_seed(stream(seed, "encode"))
        noise = self.model.draw_noise(len(part), self.model.noise_dim, generator)
        draws = iter(torch.split(noise, _ROWS))

        def rows(model: InteLVAE, x: Tensor) -> tuple[Tensor, ...]:
            posterior = model.encode(to_float(x))
            y = posterior.rsample(next(draws))
            return posterior.mean, posterior.std, y, self.model.mapping(y), self.model.mapping(posterior.mean)

        return Encoding(*self._by_rows(rows, part.x, part.conditions))

    @torch_as_usual()
    def decode(self, z: Any, *, conditions: Any = None, standardised: bool = False) -> Tensor:
        """The mean of p(x|z) for z of shape ``(n, z_dim)``, in the units of the data; of images in [0, 1].

        Args:
            z: as `encode` gives it.
            conditions: of a run with conditions, as for `encode`; a tensor ``(n, C)`` is as the networks see them.
            standardised: leave the values standardised, as the model knows them.

        Raises:
            DataError: if z has another shape.
        """
        z = read_values("z", z).x.to(torch.float32)
        if z.dim() != 2 or z.shape[1] != self.model.z_dim:
            raise DataError(f"z has shape {tuple(z.shape)}, expected (n, {self.model.z_dim})")
        known = self._conditions(conditions, len(z))
        x = self._by_rows(lambda model, part: (model.likelihood.mean(model.decode(part)),), z, known)[0]
        return x if standardised else self.original_units(x)

    @torch_as_usual()
    def reconstruct(self, x: Any, *, conditions: Any = None, standardised: bool = False) -> Tensor:
        """The mean of p(x|z) at z = g(mean of q(y|x)), ``(n, *x_shape)``, in the units of the data; images in [0, 1].

        Args:
            x: examples as for `encode`.
            conditions: as for `encode`.
            standardised: whether values are standardised already; the reconstructions are so, too, then.

        Raises:
            DataError: as `encode`.
        """
        part = self.units.part(x, conditions, standardised=standardised)
        return self.decode(self.encode(part).z_mean, conditions=part.conditions, standardised=standardised)

    @torch_as_usual()
    def sample(
        self,
        n: int,
        *,
        conditions: Any = None,
        seed: int = 0,
        noise: bool = False,
        standardised: bool = False,
        prior: Prior | None = None,
    ) -> Tensor:
        """`n` new examples in the units of the data, as ``intel sample`` gives them; images in [0, 1].

        y is drawn from the run's prior, z = g(y), and x is the mean of p(x|z), or a draw from it with `noise`.

        Args:
            n: how many.
            conditions: of a run with conditions, as for `encode`; those of training examples if none are said.
            seed: of the draw.
            noise: draw from p(x|z) instead of taking its mean.
            standardised: leave the values standardised, as the model knows them.
            prior: what y is drawn from instead of the run's own prior.

        Raises:
            DataError: if n is not positive.
            EnvironmentProblem: if so many cannot fit into memory.
        """
        return self._sample(n, lambda rng: self.draw_y(n, rng, prior), seed, noise, standardised, conditions)

    def _sample(self, n: int, draw: _Draw, seed: int, noise: bool, standardised: bool, conditions: Any) -> Tensor:
        """As `sample`, of what `draw` gives as y."""
        if not hasattr(n, "__index__") or isinstance(n, bool) or n < 1:  # integers of NumPy and torch have one, too
            raise DataError(f"{n} samples were asked for; expected a whole number, at least 1")
        size = 4.0 * n * (self.model.y_dim + math.prod(self.model.x_shape))
        require_bytes(f"{n:,} samples", size, torch.device("cpu"), "Draw fewer at a time")
        generator = torch.Generator(self.model_device).manual_seed(stream(seed, "sample"))
        likelihood = self.model.likelihood

        def rows(model: InteLVAE, y: Tensor) -> tuple[Tensor]:
            params = model.decode(model.mapping(y))
            return (likelihood.sample(params, generator) if noise else likelihood.mean(params),)

        known = self.draw_conditions(n, seed) if conditions is None else self._conditions(conditions, n)
        x = self._by_rows(rows, draw(generator), known)[0]
        return x if standardised else self.original_units(x)

    def draw_conditions(self, n: int, seed: int = 0) -> Tensor | None:
        """Conditions of training examples as the networks see them, ``(n, C)``; None for a run without conditions."""
        if self.units.conditions is None:
            return None
        return self.units.conditions.draw(n, torch.Generator().manual_seed(stream(seed, "conditions")))

    def _conditions(self, said: Any, n: int) -> Tensor | None:
        """As `Units.conditions_of` of examples that are not there; a tensor ``(n, C)`` is taken as it is."""
        own = self.units.conditions
        if own is not None and isinstance(said, Tensor) and said.shape == (n, own.width):
            return said
        if own is not None and said is None:
            raise DataError(f"the run was trained with conditions, {own.said}; say which, conditions=…")
        return self.units.conditions_of(said, n)

    @torch.no_grad()
    def draw_y(self, n: int, generator: torch.Generator, prior: Prior | None = None) -> Tensor:
        """`n` draws of y from a prior, by default the run's own, ``(n, y_dim)`` where the model computes."""
        if prior is None:
            return self.model.sample_prior(n, generator)
        noise = self.model.draw_noise(n, prior.noise_dim, generator)
        return prior.draw(noise.cpu()).to(noise)

    @property
    def model_device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def _by_rows(
        self,
        function: Callable[[InteLVAE, Tensor], tuple[Tensor, ...]],
        x: Tensor,
        conditions: Tensor | None = None,
    ) -> list[Tensor]:
        """Apply a function to the model and a few rows at a time, so that memory does not grow with n."""
        model = self.model.eval()
        try:
            parts = []
            for start in range(0, max(1, len(x)), _ROWS):
                rows = slice(start, start + _ROWS)
                given = model if conditions is None else model.on(conditions[rows])
                parts.append(function(given, x[rows].to(self.model_device)))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ArithmeticError, IndexError) as error:  # of weights that no training leaves
            said = str(error).partition("\n")[0]
            raise RunError(f"{self.path}: its model cannot compute, {type(error).__name__}: {said[:200]}") from error
        return [torch.cat(column).cpu() for column in zip(*parts, strict=True)]
