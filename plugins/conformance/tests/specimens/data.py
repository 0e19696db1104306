"""Which faults of data sets must the checks find? At least one for each check."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch
from pydantic import Field
from torch import Tensor

from intel_core import Dataset, DatasetSpec, Split
from specimens.rival import RIVALS, Rival, kills, spec_faults

_loads = itertools.count(1)


# --- without a fault ---------------------------------------------------------------------------------------------


def _part(first: int, n: int) -> Split:
    numbers = torch.arange(first, first + n)
    x = torch.rand(n, 3, generator=torch.Generator().manual_seed(first))
    return Split(x, labels=numbers % 2, numbers=numbers)


def sound() -> Dataset:
    """A hundred points in a cube, in two classes."""
    return Dataset("cube", _part(0, 60), _part(60, 20), _part(80, 20), "unit", ("even", "odd"), None, ("a", "b", "c"))


class Real(DatasetSpec):
    """Points on the unit circle, each with a name."""

    n: int = Field(100, ge=30, description="number of points")

    def load(self, data_dir: Path | None) -> Dataset:
        angle = torch.linspace(0, 6.28, self.n)[torch.randperm(self.n, generator=torch.Generator().manual_seed(0))]
        x = torch.stack([angle.cos(), angle.sin()], -1)
        parts = [Split(part.clone()) for part in (x[:-20], x[-20:-10], x[-10:])]
        return Dataset("ring", *parts, "real")

    def distance_to_manifold(self, points: Tensor) -> Tensor:
        return (points.norm(dim=-1) - 1).abs()

    def along_manifold(self, n: int) -> Tensor:
        angle = torch.linspace(0, 6.28, n)
        return torch.stack([angle.cos(), angle.sin()], -1)

    @property
    def betti(self) -> tuple[int, ...]:
        return (1, 1)

    def names_of_parts(self, data_dir: Path | None) -> dict[str, tuple[str, ...]]:
        sizes = {"train": self.n - 20, "validation": 10, "test": 10}
        return {name: tuple(f"{name}/{i}" for i in range(size)) for name, size in sizes.items()}


class Scaled(DatasetSpec):
    """Points of which the first column is scaled and the second is not."""

    def load(self, data_dir: Path | None) -> Dataset:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(100, 2, generator=generator) * torch.tensor([3.0, 1.0]) + 5
        mean, std = float(x[:60, 0].mean()), float(x[:60, 0].std(unbiased=False))
        x = torch.stack([(x[:, 0] - mean) / std, x[:, 1]], -1)
        return Dataset("scaled", Split(x[:60]), Split(x[60:80]), Split(x[80:]), "real", (), ((mean, 0.0), (std, 1.0)))


class Bytes(DatasetSpec):
    """Small images of bytes."""

    def load(self, data_dir: Path | None) -> Dataset:
        x = torch.randint(0, 256, (100, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return Dataset("bytes", Split(x[:60]), Split(x[60:80]), Split(x[80:]), "unit")


# --- with one ----------------------------------------------------------------------------------------------------


def fault(id: str, name: str, change: Callable[[Dataset], Dataset]) -> None:
    """A mutant: the sound one after a change."""

    def load() -> Dataset:
        return change(sound())

    load.__name__ = name
    RIVALS.append(Rival(name, "dataset", id, load, None))


def of_train(**changes: Any) -> Callable[[Dataset], Dataset]:
    return lambda data: replace(data, train=replace(data.train, **changes))


def of_test(make: Callable[[Split], Split]) -> Callable[[Dataset], Dataset]:
    return lambda data: replace(data, test=make(data.test))


class _Sorted(Split):
    def read(self, rows: Tensor) -> Tensor:
        return self.x[rows.sort().values]


def _aliased(part: Split) -> Split:
    """All rows alike, and each read is the same memory."""

    class Aliased(Split):
        def read(self, rows: Tensor) -> Tensor:
            return self.x[: len(rows)]

    return Aliased(torch.ones(30, 1).expand(30, 3).clone(), part.labels, numbers=part.numbers)


fault("io.splits", "NoValidation", lambda data: replace(data, validation=_part(60, 0)))
fault("io.splits", "OtherShape", of_test(lambda part: replace(part, x=part.x[:, :2])))
fault("io.splits", "DoubleInTest", of_test(lambda part: replace(part, x=part.x.double())))
fault("io.splits", "Cubes", lambda data: replace(data, test=replace(data.test, x=data.test.x[:, None])))
fault("io.values", "MissingValue", of_train(x=torch.tensor([[0.1, float("nan"), 0.2]]).repeat(60, 1)))
fault("io.values", "NotDivided", of_test(lambda part: replace(part, x=255 * part.x)))
fault("io.values", "SaysBinary", lambda data: replace(data, support="binary"))
fault("io.labels", "FromOne", of_train(labels=torch.arange(60) % 2 + 1))
fault("io.labels", "FloatLabels", of_train(labels=torch.zeros(60)))
fault("io.labels", "NoTestLabels", of_test(lambda part: replace(part, labels=None)))
fault("io.labels", "FewLabels", of_train(labels=torch.zeros(59, dtype=torch.long)))
fault("io.columns", "SameName", lambda data: replace(data, columns=("a", "b", "b")))
fault("io.scaling", "SaysScaled", lambda data: replace(data, scaling=((0.5,) * 3, (0.3,) * 3)))
fault("io.scaling", "OneNumber", lambda data: replace(data, scaling=((0.5,), (0.3,))))
fault("io.read", "SortsRows", of_test(lambda part: _Sorted(part.x, part.labels, numbers=part.numbers)))
fault("io.read", "GivesItself", of_test(_aliased))
fault("rows.disjoint", "SameNumbers", of_test(lambda part: replace(part, numbers=part.numbers - 60)))  # type: ignore[operator]
fault("rows.disjoint", "TestIsTrain", lambda data: replace(data, test=replace(data.train, numbers=None)))
fault(
    "deploy.summary", "SameDigest", lambda data: of_test(lambda p: replace(p, digest="x"))(of_train(digest="x")(data))
)
fault("deploy.summary", "TorchColumns", lambda data: replace(data, columns=(torch.ones(1), "b", "c")))  # type: ignore[arg-type]


@kills("dataset", "mode.repeat")
class GlobalRandomnessSpec(DatasetSpec):
    """Points that torch's random state decides."""

    def load(self, data_dir: Path | None) -> Dataset:
        return replace(sound(), train=replace(_part(0, 60), x=torch.rand(60, 3)))


@kills("dataset", "mode.repeat")
class NumpyRandomnessSpec(DatasetSpec):
    """Labels that numpy's random state decides."""

    def load(self, data_dir: Path | None) -> Dataset:
        labels = torch.from_numpy(numpy.random.permutation(60) % 2)  # noqa: NPY002 - the fault
        return replace(sound(), train=replace(_part(0, 60), labels=labels))


@kills("dataset", "mode.side_effects")
class SeedsTorchSpec(DatasetSpec):
    """Points drawn after a call of manual_seed."""

    def load(self, data_dir: Path | None) -> Dataset:
        torch.manual_seed(0)
        return sound()


@kills("dataset", "deploy.spec")
class CountsLoadsSpec(DatasetSpec):
    """Points that are others each time."""

    def load(self, data_dir: Path | None) -> Dataset:
        return replace(sound(), train=replace(_part(0, 60), x=torch.rand(60, 3) / next(_loads)))


@kills("dataset", "structure.manifold")
class TwiceTheRadiusSpec(Real):
    """Points on the unit circle, said to lie on one of radius 2."""

    def distance_to_manifold(self, points: Tensor) -> Tensor:
        return (points.norm(dim=-1) - 2).abs()


@kills("dataset", "structure.betti")
class NoPieceSpec(Real):
    """Points on the unit circle, in no piece."""

    @property
    def betti(self) -> tuple[int, ...]:
        return (0, 1)


@kills("dataset", "structure.names")
class NamedTwiceSpec(Real):
    """Points on the unit circle, whose names are numbers in each part."""

    def names_of_parts(self, data_dir: Path | None) -> dict[str, tuple[str, ...]]:
        return {name: tuple(str(i) for i in range(n)) for name, n in (("train", 80), ("validation", 10), ("test", 10))}


spec_faults("dataset", Real)
SOUND = {"cube": sound, "ring": Real(), "scaled": Scaled(), "bytes": Bytes(), "an object": sound()}
