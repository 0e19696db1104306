"""How is a trained run measured? Each metric is called, and its result is stored in the run directory.

A measurement is stored in ``RUN/evaluation/``, one file for each metric and its settings, as soon as it is made. What
was measured once is read from there, and an interrupted evaluation continues where it stopped.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from intel_core import files
from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.components.spec import format_spec, parse_spec
from intel_core.compute.precision import torch_as_usual
from intel_core.errors import IntelError, PluginError, RunError
from intel_core.evaluation.measurement import Measurement, NotApplicableError
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.raised import one_line
from intel_core.evaluation.subject import Subject
from intel_core.runs import checkpoint, opening
from intel_core.runs.stored_run import StoredRun

__all__ = [
    "Measured",
    "measure",
    "measurements",
    "usual_metrics",
]

FOLDER = "evaluation"


class Measured(BaseModel):
    """The result of one metric for one run, as it is stored.

    Attributes:
        metric: the metric's whole spec as text.
        name: its name, e.g. ``frechet``, or ``frechet from pooled`` if examples were not drawn from the prior.
        sampler: what they were drawn from then, as text; empty for the prior.
        distribution: the distribution that offers it.
        version: the version of that distribution.
        weights: hash of the weights that were measured.
        data: hash of all parts of the data and their labels; empty if none were loaded.
        created: when it was measured.
        seconds: how long that took.
        status: ``measured``; or ``not applicable`` or ``failed`` with a `reason`, neither of which is stored.
        measurement: the numbers.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # a later version may keep more

    metric: str
    name: str
    distribution: str
    version: str
    sampler: str = ""
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
    failed: Callable[[BaseException], None] | None = None,
) -> Iterator[Measured]:
    """Measure a run with one metric after another; each result is stored before it is yielded.

    Args:
        subject: the run.
        metrics: the metrics.
        again: measure again what is stored already, as is done with a metric of this process whose file has changed.
        asked: called with each metric before it is measured.
        failed: called with what a metric raises if it fails, for who wants the traceback.

    Raises:
        RunError: if the directory cannot be written.
    """
    weights = checkpoint.weights_digest(subject.run.model)
    fit = "" if subject.sampler is None else f"|{subject.sampler}|{subject.sampler.kept.sha256}"
    questions = []
    for spec in metrics:
        text = format_spec(spec, explicit=True)
        component = plugins.find("metrics", loading.name_of("metrics", type(spec)))
        source = _source(spec, component)
        path = _path(subject.run, component, f"{text}{source or ''}", f"{weights}{fit}")
        questions.append((spec, text, component, path, None if again or source is None else _read(path)))
    stored = [known for *_, known in questions]
    if None in stored and any(known is not None and known.data for known in stored):
        # All results of one call must be about the same data, so stored ones are compared with the data in memory.
        with contextlib.suppress(IntelError):
            _ = subject.dataset
    for spec, text, component, path, known in questions:
        if known is not None and known.data and subject.data_digest() not in ("", known.data):
            known = None  # a run recognises its data by the training part; the test part may have changed
        if known is not None:
            yield known
            continue
        _require_folder(path.parent)  # before the work, not after it
        if asked is not None:
            asked(spec)
        found = _ask(subject, spec, component, text, weights, failed or (lambda error: None))
        if found.status == "measured":
            _write(path, found)
        yield found


def _ask(
    subject: Subject,
    spec: MetricSpec,
    component: plugins.Component,
    text: str,
    weights: str,
    failed: Callable[[BaseException], None],
) -> Measured:
    start = time.perf_counter()
    said: dict[str, Any]
    sampler = "" if subject.sampler is None else str(subject.sampler)
    subject.generates = False
    try:
        with torch_as_usual():
            measurement = spec.measure(subject)
        if sampler and not subject.generates:
            raise NotApplicableError(f"it looks at no generated examples, so it is not another number from {sampler}")
        if not isinstance(measurement, Measurement):
            raise PluginError(f"measure() returned {type(measurement).__name__}, expected a Measurement")
        said = {"measurement": measurement}
    except NotApplicableError as error:
        said = {"status": "not applicable", "reason": str(error)}
    except IntelError as error:
        failed(error)
        said = {"status": "failed", "reason": str(error)}
    except (Exception, SystemExit) as error:  # an error of one plugin must not lose the numbers of the others
        failed(error)
        said = {"status": "failed", "reason": f"{_origin(component)}{one_line(error, spec)}"}
    return Measured(
        metric=text,
        name=f"{component.name} from {sampler}" if sampler else component.name,
        distribution=component.distribution,
        version=component.version,
        sampler=sampler,
        weights=weights,
        data=subject.data_digest(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - start, 3),
        **said,
    )


def measurements(run: StoredRun) -> list[Measured]:
    """Stored measurements of the weights that a run has now, by name of the metric; damaged files are left out.

    If several versions of a metric have measured the same thing, only the latest counts.
    """
    stored = [path for path in opening.entries(run.path / FOLDER) if path.suffix == ".json"]
    if not stored:
        return []
    weights = checkpoint.weights_digest(run.model)
    found = [_read(path) for path in stored]
    latest: dict[tuple[str, str, str], Measured] = {}
    for one in found:
        if one is None or one.weights != weights:
            continue
        key = (one.distribution, one.metric, one.sampler)
        if key not in latest or latest[key].created <= one.created:
            latest[key] = one
    return list(latest.values())


def _source(spec: MetricSpec, component: plugins.Component) -> str | None:
    """What tells that a metric of this process has changed, which has no version; None if nothing does."""
    if component.distribution != plugins.THIS_PROCESS:
        return ""
    place = getattr(sys.modules.get(type(spec).__module__), "__file__", None)
    try:
        return f"|{hashlib.sha256(Path(place).read_bytes()).hexdigest()}" if place else None
    except OSError:
        return None


def _path(run: StoredRun, component: plugins.Component, text: str, weights: str) -> Path:
    """The file for a metric, its settings, the weights and a sampler; a later version of it has another file."""
    key = f"{component.qualified} {component.version}|{text}|{weights}"
    name = re.sub(r"\W+", "-", component.name)
    return run.path / FOLDER / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> Measured | None:
    """A stored measurement, if there is one that can be read."""
    try:
        return Measured.model_validate(opening.read_json(path.parent.parent, f"{FOLDER}/{path.name}"))
    except (OSError, RunError, ValidationError):
        return None


def _require_folder(folder: Path) -> None:
    opening.require_own_folder(folder)
    if not os.access(folder, os.W_OK):
        raise RunError(f"{folder} cannot be written to, and what is measured could not be kept")


def _write(path: Path, found: Measured) -> None:
    files.write_text(path, json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def _origin(component: plugins.Component) -> str:
    """Whose error it is; of a component of this process its place tells."""
    if component.distribution == plugins.THIS_PROCESS:
        return ""
    return f"{component.distribution} {component.version}: "
