"""What may a metric look at? A trained run, its data, encodings and generated examples, each made once."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from intel_core.data.dataset import Dataset, Split
from intel_core.data.values import fingerprint
from intel_core.errors import RunError
from intel_core.evaluation.measurement import NotApplicableError
from intel_core.evaluation.pooling import Sampler, sampler_of
from intel_core.evaluation.sampler import SamplerSpec
from intel_core.model.prior import Prior
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.runs.stored_run import Encoding, StoredRun

__all__ = [
    "PriorDraws",
    "Subject",
]

_ROWS = 1000
_Value = TypeVar("_Value")


class PriorDraws(NamedTuple):
    """Draws of the generator's input, on the CPU.

    Attributes:
        y: draws of the run's own prior, N(0, I) by default, ``(n, y_dim)``.
        z: g of them, ``(n, z_dim)``.
    """

    y: Tensor
    z: Tensor


class Subject:
    """What a metric may look at: a trained run, its data, encodings and generated examples, each made once.

    Args:
        run: the run.
        dataset: its data, if they are in memory already.
        data_dir: the folder of data files; by default ``INTEL_DATA_DIR``.
        cache_dir: where metrics keep what several runs can use (a classifier of the data set, statistics of real
            images); by default ``INTEL_CACHE_DIR``, else ``~/.cache/intelvae``.
        tell: called with a description of the work and the share of it that is done, in [0, 1].

    Attributes:
        sampler: what generated examples are drawn from instead of the prior, see `draw_from`; None for the prior.
        generates: whether generated examples were asked for.
    """

    def __init__(
        self,
        run: StoredRun,
        *,
        dataset: Dataset | None = None,
        data_dir: Path | None = None,
        cache_dir: Path | None = None,
        tell: Callable[[str, float], None] | None = None,
    ) -> None:
        self.run = run
        self.sampler: Sampler | None = None
        self.generates = False
        self._dataset = dataset
        self._data_dir = data_dir
        self._cache_dir = cache_dir
        self._made: dict[tuple[Any, ...], Any] = {}
        self.tell = tell if tell is not None else lambda what, share: None

    def draw_from(self, sampler: str | SamplerSpec, *, told: Callable[[str], None] | None = None) -> None:
        """From now on draw generated examples from a sampler; it is fitted, if the run does not hold it yet.

        Args:
            sampler: ``"prior"``, or a sampler such as ``"pooled:components=20"``.
            told: called with a line before a fit.

        Raises:
            IntelError: as of `intel_core.evaluation.pooling.sampler_of`.
        """
        self.sampler = sampler_of(self.run, sampler, lambda: self.dataset, told=told)

    @property
    def model(self) -> InteLVAE:
        """The trained model, in evaluation mode."""
        return self.run.model

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data the run was trained on.

        Raises:
            DataError: if they cannot be loaded here.
            RunError: if they are not those that it was trained on.
        """
        dataset = self._dataset if self._dataset is not None else self.run.dataset(self._data_dir)
        self.run.require_its_data(dataset)
        return dataset

    @property
    def loaded(self) -> Dataset | None:
        """The data, if they are in memory already because they were given or a metric has loaded them."""
        return self._dataset if self._dataset is not None else self.__dict__.get("dataset")

    @property
    def data_dir(self) -> Path | None:
        """Where data files lie."""
        return data_dir_or_default(self._data_dir)

    def split(self, name: str = "test") -> Split:
        """The ``train``, ``validation`` or ``test`` part of the data."""
        split: Split = getattr(self.dataset, name)
        return split

    def labels(self, name: str = "test") -> Tensor:
        """Class labels of a part, ``(n,)``.

        Raises:
            NotApplicableError: if the data have none.
        """
        labels = self.split(name).labels
        if labels is None:
            raise NotApplicableError(f"{self.dataset.name} has no labels")
        return labels

    def encode(self, name: str = "test", limit: int | None = None, *, seed: int = 0) -> Encoding:
        """Posterior means, samples and z of a part of the data, or of its first `limit` examples.

        Raises:
            RunError: if some of it is not finite.
        """
        split = self.split(name)
        n = len(split) if limit is None else min(limit, len(split))

        def encode() -> Encoding:
            found = self.run.encode(split.part(torch.arange(n)), seed=seed, standardised=True)
            if not all(bool(torch.isfinite(values).all()) for values in found):
                raise RunError(f"{self.run.path} encodes some {name} examples as numbers that are not finite")
            return found

        return self._once(("encode", name, n, seed), encode)

    def prior(self, n: int, *, seed: int = 0) -> PriorDraws:
        """`n` draws of the prior and their z; above a thousand, a larger n has the same first draws."""
        return self._once(("prior", n, seed), lambda: self._drawn(n, seed, None))

    @torch.no_grad()
    def _drawn(self, n: int, seed: int, prior: Prior | None) -> PriorDraws:
        generator = torch.Generator(self.run.model_device).manual_seed(stream(seed, "sample"))
        y = torch.cat([self.run.draw_y(len(rows), generator, prior) for rows in torch.split(torch.arange(n), _ROWS)])
        return PriorDraws(y.cpu(), torch.cat([self.model.mapping(rows) for rows in torch.split(y, _ROWS)]).cpu())

    def generated(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` new examples, the mean of p(x|z), ``(n, *x_shape)``, in the data set's units.

        Their y are draws of the prior, or of the subject's sampler if it has one.
        """
        self.generates = True
        fitted = self.sampler

        def decode() -> Tensor:
            drawn = self.prior(n, seed=seed) if fitted is None else self._drawn(n, seed, fitted.prior)
            return self.run.decode(drawn.z, conditions=self.run.draw_conditions(n, seed), standardised=True)

        return self._once(("generated", n, seed, "" if fitted is None else str(fitted)), decode)

    def cache(self, name: str) -> Path:
        """A folder of that name for what several runs can use; it is made if it does not exist."""
        root = self._cache_dir or Path(os.environ.get("INTEL_CACHE_DIR") or Path.home() / ".cache" / "intelvae")
        path = root / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made: {error.strerror}; set INTEL_CACHE_DIR to another folder") from error
        return path

    def generator(self, seed: int, name: str) -> torch.Generator:
        """A generator on the CPU for one use of randomness."""
        return torch.Generator().manual_seed(stream(seed, name))

    def data_digest(self) -> str:
        """Hash of the data in memory, all parts and labels; empty if they have not been loaded yet."""
        dataset = self.loaded
        return "" if dataset is None else self._once(("digest",), lambda: _digest_of_data(dataset))

    def _once(self, key: tuple[Any, ...], make: Callable[[], _Value]) -> _Value:
        if key not in self._made:
            self._made[key] = make()
        found: _Value = self._made[key]
        return found


def _digest_of_data(dataset: Dataset) -> str:
    digest = hashlib.sha256(dataset.train.fingerprint().encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        if split is not dataset.train:
            digest.update(split.fingerprint().encode())
        digest.update(b"-" if split.labels is None else fingerprint(split.labels).encode())
    return digest.hexdigest()[:16]
