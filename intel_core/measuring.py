"""What do metrics say of a trained run? Asks each, and keeps what it said in the run directory.

A measurement is stored in ``RUN/evaluation/``, one file for each metric and setting, as soon as it is made: what was
measured once is read again, and an evaluation that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from intel_core import checkpoint, plugins
from intel_core.data import Dataset, Split, fingerprint
from intel_core.errors import IntelError, RunError
from intel_core.metrics import Measurement, MetricSpec, NotApplicableError
from intel_core.model import InteLVAE
from intel_core.run import Encoding, Run, data_dir_or_default
from intel_core.runspec import stream
from intel_core.spec import format_spec, parse_spec

__all__ = ["Measured", "Prior", "Subject", "measure", "measurements", "usual_metrics"]

FOLDER = "evaluation"
_ROWS = 1000
_Value = TypeVar("_Value")


class Prior(NamedTuple):
    """Draws of the generator's input, on the CPU.

    Attributes:
        y: draws of N(0, I), ``(n, y_dim)``.
        z: g of them, ``(n, z_dim)``.
    """

    y: Tensor
    z: Tensor


class Subject:
    """What a metric may look at: a trained run, its data, encodings and generated examples, each made once.

    Args:
        run: the run.
        dataset: its data, where they are in memory already.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        cache_dir: where metrics keep what serves more runs than one (a classifier of the data set, statistics of real
            images); by default ``INTEL_CACHE_DIR``, else ``~/.cache/intelvae``.
        tell: called with what is being done and the share of it that is done, in [0, 1].
    """

    def __init__(
        self,
        run: Run,
        *,
        dataset: Dataset | None = None,
        data_dir: Path | None = None,
        cache_dir: Path | None = None,
        tell: Callable[[str, float], None] | None = None,
    ) -> None:
        self.run = run
        self._dataset = dataset
        self._data_dir = data_dir
        self._cache_dir = cache_dir
        self._made: dict[tuple[Any, ...], Any] = {}
        self.tell = tell if tell is not None else lambda what, share: None

    @property
    def model(self) -> InteLVAE:
        """The trained model, in evaluation mode."""
        return self.run.model

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data the run was trained on.

        Raises:
            DataError: if they are not to be had here.
            RunError: if they are others than those it was trained on.
        """
        dataset = self._dataset if self._dataset is not None else self.run.dataset(self._data_dir)
        self.run.require_its_data(dataset)
        return dataset

    @property
    def loaded(self) -> Dataset | None:
        """The data where they are in memory already: given, or asked for by a metric."""
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
            found = self.run.encode(split.read(torch.arange(n)), seed=seed)
            if not all(bool(torch.isfinite(values).all()) for values in found):
                raise RunError(f"{self.run.path} encodes some {name} examples as numbers that are not finite")
            return found

        return self._once(("encode", name, n, seed), encode)

    @torch.no_grad()
    def prior(self, n: int, *, seed: int = 0) -> Prior:
        """`n` draws of the prior and their z; the first of them are the same whatever n is above a thousand."""

        def draw() -> Prior:
            model, device = self.model, self.run.model_device
            generator = torch.Generator(device).manual_seed(stream(seed, "sample"))
            y = torch.cat([model.sample_prior(len(rows), generator) for rows in torch.split(torch.arange(n), _ROWS)])
            return Prior(y.cpu(), torch.cat([model.mapping(rows) for rows in torch.split(y, _ROWS)]).cpu())

        return self._once(("prior", n, seed), draw)

    def generated(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` new examples, the mean of p(x|z) at draws of the prior, ``(n, *x_shape)``."""
        return self._once(("generated", n, seed), lambda: self.run.decode(self.prior(n, seed=seed).z))

    def cache(self, name: str) -> Path:
        """A folder of that name for what serves more runs than this one; it exists."""
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
        """Hash of the data in memory, all parts and labels; empty where nothing has asked for them yet."""
        dataset = self.loaded
        return "" if dataset is None else self._once(("digest",), lambda: _digest_of_data(dataset))

    def _once(self, key: tuple[Any, ...], make: Callable[[], _Value]) -> _Value:
        if key not in self._made:
            self._made[key] = make()
        found: _Value = self._made[key]
        return found


class Measured(BaseModel):
    """What one metric said of one run, as it is stored.

    Attributes:
        metric: its whole spec as text.
        name: its name, e.g. ``frechet``.
        distribution: who offers it.
        version: in which version.
        weights: hash of the weights that were measured.
        data: hash of all parts of the data and their labels; empty where none were loaded.
        created: when.
        seconds: how long it took.
        status: ``measured``; ``not applicable`` or ``failed`` with a `reason`, neither of which is kept.
        measurement: the numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    name: str
    distribution: str
    version: str
    weights: str
    data: str = ""
    created: str
    seconds: float
    status: Literal["measured", "not applicable", "failed"] = "measured"
    reason: str = ""
    measurement: Measurement | None = None


def usual_metrics() -> list[MetricSpec]:
    """Every installed metric that takes seconds, with its default settings; one that will not load is left out."""
    found: list[MetricSpec] = []
    for component in plugins.available("metrics"):
        if component.status != "OK":
            continue
        try:
            spec = parse_spec("metrics", component.name)
        except IntelError:
            continue
        assert isinstance(spec, MetricSpec)
        if spec.cost == "seconds":
            found.append(spec)
    return found


def measure(
    subject: Subject,
    metrics: Iterable[MetricSpec],
    *,
    again: bool = False,
    asked: Callable[[MetricSpec], None] | None = None,
) -> Iterator[Measured]:
    """Ask metrics one after another; each answer is stored before it is given.

    Args:
        subject: the run.
        metrics: what to ask.
        again: measure anew what is stored already.
        asked: called before a metric is asked.

    Raises:
        RunError: if the directory cannot be written.
    """
    weights = checkpoint.weights_digest(subject.run.model)
    questions = []
    for spec in metrics:
        text = format_spec(spec, explicit=True)
        component = plugins.find("metrics", plugins.name_of("metrics", type(spec)))
        path = _path(subject.run, component, text, weights)
        questions.append((spec, text, component, path, None if again else _read(path)))
    stored = [known for *_, known in questions]
    if None in stored and any(known is not None and known.data for known in stored):
        # All answers of one call are about the same data: what is stored is held against those that are there now.
        with contextlib.suppress(IntelError):
            _ = subject.dataset
    for spec, text, component, path, known in questions:
        if known is not None and known.data and subject.data_digest() not in ("", known.data):
            known = None  # the training part, by which a run knows its data, may be the same and the test part not
        if known is not None:
            yield known
            continue
        _require_folder(path.parent)  # before the work, not after it
        if asked is not None:
            asked(spec)
        found = _ask(subject, spec, component, text, weights)
        if found.status == "measured":
            _write(path, found)
        yield found


def _ask(subject: Subject, spec: MetricSpec, component: plugins.Component, text: str, weights: str) -> Measured:
    start = time.perf_counter()
    said: dict[str, Any]
    try:
        measurement = spec.measure(subject)
        if not isinstance(measurement, Measurement):
            raise TypeError(f"measure() returned {type(measurement).__name__}, expected a Measurement")
        said = {"measurement": measurement}
    except NotApplicableError as error:
        said = {"status": "not applicable", "reason": str(error)}
    except IntelError as error:
        said = {"status": "failed", "reason": str(error)}
    except Exception as error:  # one plugin's fault must not lose the others' numbers
        said = {"status": "failed", "reason": f"{component.distribution} {component.version}: {_one_line(error)}"}
    return Measured(
        metric=text,
        name=component.name,
        distribution=component.distribution,
        version=component.version,
        weights=weights,
        data=subject.data_digest(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - start, 3),
        **said,
    )


def measurements(run: Run) -> list[Measured]:
    """What is stored for the weights that a run has now, by name of the metric; what is damaged is left out.

    Where several versions of a metric have answered one question, the latest answer counts alone.
    """
    folder = run.path / FOLDER
    if not folder.is_dir():
        return []
    weights = checkpoint.weights_digest(run.model)
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    latest: dict[tuple[str, str], Measured] = {}
    for one in found:
        if one is None or one.weights != weights:
            continue
        key = (one.distribution, one.metric)
        if key not in latest or latest[key].created <= one.created:
            latest[key] = one
    return list(latest.values())


def _digest_of_data(dataset: Dataset) -> str:
    digest = hashlib.sha256(dataset.train.fingerprint().encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        if split is not dataset.train:
            digest.update(split.fingerprint().encode())
        digest.update(b"-" if split.labels is None else fingerprint(split.labels).encode())
    return digest.hexdigest()[:16]


def _path(run: Run, component: plugins.Component, text: str, weights: str) -> Path:
    """A file for each metric, setting and state of the weights; a later version of the metric measures anew."""
    key = f"{component.qualified} {component.version}|{text}|{weights}"
    name = re.sub(r"\W+", "-", component.name)
    return run.path / FOLDER / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> Measured | None:
    """A stored measurement, if there is one that can be understood."""
    try:
        return Measured.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        return None


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise RunError(f"{folder} cannot be written to, and what is measured could not be kept")


def _write(path: Path, found: Measured) -> None:
    checkpoint.write_text(path, json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):  # of a number that is not finite, say; its first line tells only how many
        first = error.errors()[0]
        where = ".".join(str(part) for part in (error.title, *first["loc"]))
        return f"{where}: {first['msg']}, got {str(first['input'])[:80]}"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
