"""What is being checked if it is a metric? Its spec, and the first of some small trained runs to which it applies."""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from intel_conformance.component import Component
from intel_conformance.outcomes import Broken
from intel_core.components.discovery import available
from intel_core.components.spec import parse_spec
from intel_core.data.dataset import Dataset
from intel_core.errors import IntelError, SpecError
from intel_core.evaluation.measurement import Measurement, NotApplicableError
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.raised import one_line
from intel_core.evaluation.run import Run
from intel_core.evaluation.subject import Subject
from intel_core.fitting.fit import fit
from intel_core.reading.arrays import make_dataset
from intel_core.reading.capabilities import OnManifold

__all__ = ["MetricCandidate", "Tried"]

_STEPS = 20
_ENOUGH = 3
"""Runs for which it raises errors of its own, from which on it is no question of the run."""
_EXAMPLES = 600
_SETTINGS: dict[str, Any] = {"latent": 3, "steps": _STEPS, "network": "mlp:hidden=[16]", "progress": False}


class Tried:
    """A small run, and what a metric is shown of it.

    Attributes:
        name: what was trained, for messages.
        run: the run.
        dataset: its data.
    """

    def __init__(self, name: str, run: Run, dataset: Dataset) -> None:
        self.name, self.run, self.dataset = name, run, dataset

    def subject(self, cache: Path) -> Subject:
        """The run as if it had just been loaded: nothing is encoded or drawn yet."""
        return Subject(self.run, dataset=self.dataset, cache_dir=cache)


class MetricCandidate(Component):
    """A metric, which is measured on small runs: points and images in three classes, other mappings, points on a curve.

    Attributes:
        cache: the folder for what the metric keeps; it goes with the candidate.
        refused: what it said of the runs to which it does not apply, by their names.
        failed_on: the exception that is no `IntelError`, by the name of the run.
    """

    kind = "metric"
    base = MetricSpec

    def _begin(self, y_dim: int | None) -> None:
        if self.specs is None:
            raise SpecError(f"{self.label} is no spec of a metric; give one")
        self.cache = Path(tempfile.mkdtemp(prefix="intel-check-"))
        weakref.finalize(self, shutil.rmtree, self.cache, ignore_errors=True)
        self.refused: dict[str, str] = {}
        self.failed_on: dict[str, Exception | SystemExit] = {}

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`."""
        return isinstance(what, MetricSpec)

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        return f"on runs of {_STEPS} steps"

    @property
    def spec(self) -> Any:
        """The metric."""
        assert self.specs is not None
        return self.specs[0]

    @property
    def tried(self) -> Tried:
        """The first run to which the metric applies.

        Raises:
            NotApplicableError: if there is none, with what it said of the first, or that it failed.
        """
        if "run" not in self.kept:
            self.kept["run"] = None
            for one in self._runs():
                if self._applies(one):
                    self.kept["run"] = one
                if self.measures or len(self.failed_on) >= _ENOUGH:
                    break
        found: Tried | None = self.kept["run"]
        if found is None:
            said = [f"{name}: {why}" for name, why in list(self.refused.items())[:3]]
            said += [f"{name}: it failed" for name in list(self.failed_on)[: 3 - len(said)]]
            raise NotApplicableError("; ".join(said))
        return found

    @property
    def measures(self) -> bool:
        """Whether it has measured a run."""
        return self.kept.get("run") is not None

    def measured(self, spec: Any = None, tried: Tried | None = None, subject: Subject | None = None) -> Measurement:
        """What the metric, or the same with other settings, returns for a run that was just loaded, or for a subject.

        Raises:
            IntelError: as the metric raises it.
            Broken: if it raises anything else, or returns anything else.
        """
        spec, tried = spec or self.spec, tried or self.tried
        try:
            found = self._measured(spec, subject or tried.subject(self.cache))
        except IntelError:
            raise
        except (Exception, SystemExit) as error:
            raise Broken(f"for the run of {tried.name} it raised {one_line(error, spec)}") from error
        if not isinstance(found, Measurement):
            raise Broken(f"measure() returned {type(found).__name__}, expected a Measurement")
        return found

    def _measured(self, spec: Any, subject: Subject) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return spec.measure(subject)

    def first(self) -> Any:
        """What it returns for the run, whatever that is; measured once for all checks."""
        _ = self.tried
        return self.kept["first"]

    def again(self, seed: int) -> Tried:
        """The same run, trained from another seed."""
        return self._trained(self.tried.name, *self.kept[f"recipe {self.tried.name}"], seed=seed)

    def _applies(self, tried: Tried) -> bool:
        try:
            self.kept["first"] = self._measured(self.spec, tried.subject(self.cache))
        except IntelError as error:
            self.refused[tried.name] = str(error)
        except (Exception, SystemExit) as error:
            self.failed_on[tried.name] = error
        else:
            return True
        return False

    # --- runs --------------------------------------------------------------------------------------------------

    def _runs(self) -> Iterator[Tried]:
        points = _points((4,), labelled=True)
        recipes: list[tuple[str, str, Any]] = [
            ("points without labels", "identity", _points((4,), labelled=False)),
            ("points", "identity", points),
            ("images", "identity", _points((1, 8, 8), labelled=True)),
        ]
        recipes += [(f"points with {name}", name, points) for name in _names("mappings") if name != "identity"]
        for name in _names("datasets"):
            spec = _parsed("datasets", name)
            if isinstance(spec, OnManifold):
                recipes.append((f"points of {name}", "identity", spec))
        for name, mapping, data in recipes:
            try:
                yield self._trained(name, mapping, data, seed=0)
            except IntelError:  # this mapping needs another number of dimensions, or data that are not here
                continue

    def _trained(self, name: str, mapping: str, data: Any, *, seed: int) -> Tried:
        self.kept[f"recipe {name}"] = mapping, data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = fit(data=data, mapping=mapping, keep=False, seed=seed, **_SETTINGS)
        return Tried(name, run, data if isinstance(data, Dataset) else data.load(None))


def _points(shape: tuple[int, ...], *, labelled: bool) -> Dataset:
    """Values in [0, 1] around three centres."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(_EXAMPLES) % 3
    centres = torch.rand(3, *shape, generator=generator)
    x = (centres[labels] + 0.15 * torch.randn(_EXAMPLES, *shape, generator=generator)).clamp(0, 1)
    names = ("first", "second", "third")
    if labelled:
        return make_dataset("points", x, labels, class_names=names, standardize=False)
    return make_dataset("points", x, standardize=False)


def _names(kind: str) -> list[str]:
    return [one.name for one in available(kind) if one.status == "OK" and one.name != "given"]


def _parsed(kind: str, text: str) -> Any:
    try:
        return parse_spec(kind, text)
    except IntelError:  # it has settings without defaults
        return None
