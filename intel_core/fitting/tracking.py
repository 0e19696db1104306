"""What are trackers told of a training, and when? A tracker that fails is told no more, and the training goes on."""

from __future__ import annotations

import re
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field

from intel_core.components import loading
from intel_core.components.spec import parse_spec
from intel_core.errors import DivergenceError, RunError, SpecError
from intel_core.fitting.tracker import Ending, TrackedRun, Tracker, TrackerSpec, flat
from intel_core.runs import opening
from intel_core.runs.contents import Content, require
from intel_core.runs.folder import RunFolder
from intel_core.training.hooks import Training, hookimpl

if TYPE_CHECKING:
    from typing_extensions import Self

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run

__all__ = ["FILE", "Track", "Tracking", "read_trackers", "tracked"]

FILE = "trackers.json"
Track = str | TrackerSpec | Iterable[str | TrackerSpec]
_MOST_IN_LIST = 64
_NAME = re.compile(r"\s*[\w./-]+\s*(?::|$)")


class _TrackersContent(Content):
    """``trackers.json``: under which id a run is tracked, and by whom."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{8,64}$")]
    trackers: list[Annotated[str, Field(pattern=r"^[\w./-]{1,200}$")]]


def read_trackers(given: Track) -> list[TrackerSpec]:
    """The trackers that are named: specs, texts, or texts with several of them between commas.

    Raises:
        SpecError: if one is none, or is named twice.

    >>> read_trackers([])
    []
    """
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, str | TrackerSpec) else [given]
    specs: list[TrackerSpec] = []
    for one in several:
        if isinstance(one, TrackerSpec):
            specs.append(one)
        elif isinstance(one, str):
            specs += [cast(TrackerSpec, parse_spec("trackers", text)) for text in _split(one)]
        else:
            raise SpecError(
                f"track: a {type(one).__name__}; expected a text such as 'tensorboard', or a tracker's spec"
            )
    names = [_name(spec) for spec in specs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"tracker {twice[0]} is named twice")
    return specs


def _split(text: str) -> list[str]:
    """The specs in a text: a comma is between two of them where a name follows, and not ``key=value``.

    >>> _split('tensorboard,wandb:project=a,tags=["x","y]"],mlflow')
    ['tensorboard', 'wandb:project=a,tags=["x","y]"]', 'mlflow']
    """
    found, depth, start, quoted = [], 0, 0, False
    for at, sign in enumerate(text):
        quoted ^= depth > 0 and sign == '"'
        depth += 0 if quoted else (sign in "[{") - (sign in "]}")
        if sign == "," and depth == 0 and _NAME.match(text[at + 1 :].split(",")[0]):
            found.append(text[start:at])
            start = at + 1
    return [*found, text[start:]]


def _name(spec: TrackerSpec) -> str:
    try:
        return loading.name_of("trackers", type(spec))
    except SpecError:  # it is registered under no name
        return type(spec).__name__


class Tracking:
    """Hooks by which trackers hear of one run or of several.

    Give it to `fit` or `resume` as ``track=``, and end it with the run and its pictures; `fit` does both itself where
    it is given the names of trackers.

    Args:
        track: the trackers, as of `fit`.
    """

    def __init__(self, track: Track = ()) -> None:
        self._specs = read_trackers(track)
        self._open: dict[Path, tuple[list[_Guarded], Dataset]] = {}

    @property
    def hooks(self) -> list[object]:
        """Itself, if there is anybody to tell."""
        return [self] if self._specs else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "diverged" if isinstance(error, DivergenceError) else "failed"
        for folder in list(self._open):
            self._end(folder, Ending(status, 0, {}))

    @hookimpl
    def run_start(self, trainer: Training) -> None:
        """Begin a record with each tracker, or go on with it."""
        if trainer.folder is None:
            return
        folder, settings = trainer.folder, cast(Any, trainer.settings)
        known = _known(folder) or {"id": uuid.uuid4().hex, "trackers": []}
        name = str(settings.name or settings.label)
        guarded = []
        for spec in self._specs:
            is_new = _name(spec) not in known["trackers"]
            told = flat(settings.model_dump(mode="json"))
            run = TrackedRun(name, folder.absolute(), known["id"], is_new, trainer.step, told)
            guarded.append(_Guarded(spec, run))
        names = [*known["trackers"], *(_name(spec) for spec in self._specs if _name(spec) not in known["trackers"])]
        try:
            RunFolder(folder).write(FILE, {"id": known["id"], "trackers": names})
        except RunError as error:
            warnings.warn(f"{error}; if the run goes on later, its trackers begin anew", stacklevel=2)
        self._open[folder] = guarded, trainer.dataset

    @hookimpl
    def logged(self, trainer: Training, record: dict[str, Any]) -> None:
        """Hand on a logged line."""
        self._log(trainer, record)

    @hookimpl
    def evaluated(self, trainer: Training, record: dict[str, Any]) -> None:
        """Hand on an evaluation."""
        self._log(trainer, record)

    def _log(self, trainer: Training, record: dict[str, Any]) -> None:
        if trainer.folder in self._open:
            numbers = dict(_numbers(str(record.get("kind", "train")), record))
            for tracker in self._open[trainer.folder][0]:
                tracker.log(trainer.step, numbers)

    def end(self, run: Run, pictures: Sequence[Path] = ()) -> Run:
        """Tell how a run ended, with the verdict on its bias, and let its trackers finish.

        Args:
            run: one of those that were tracked.
            pictures: PNG files of it.
        """
        if run.path not in self._open:
            return run
        trackers, dataset = self._open[run.path]
        if not any(tracker.works for tracker in trackers):
            del self._open[run.path]
            return run
        numbers: dict[str, float] = {}
        verdict = outcome = ""
        if run.status == "finished":
            for part in ("validation", "test", "mapping"):
                numbers |= dict(_numbers(f"final/{part}", run.metrics[part]))
            try:
                found = run.took(dataset=dataset)
                verdict, outcome = str(found), found.outcome
            except Exception as error:  # of a mapping of others, which is no reason to lose the record
                warnings.warn(f"trackers are told no verdict: {type(error).__name__}: {error}", stacklevel=2)
        self._end(run.path, Ending(run.status, int(run.metrics["step"]), numbers, verdict, outcome, tuple(pictures)))
        return run

    def _end(self, folder: Path, ending: Ending) -> None:
        for tracker in self._open.pop(folder)[0]:
            tracker.end(ending)

    def tell_of_former(self, folder: Path) -> None:
        """Warn of trackers that have a record of a run and are not told how it goes on."""
        known = _known(folder)
        left = [name for name in known["trackers"] if name not in map(_name, self._specs)] if known else []
        if left:
            names = ",".join(left)
            warnings.warn(f"{folder} was tracked by {names}; to go on there, say --track {names}", stacklevel=3)


@contextmanager
def tracked(track: Track | Tracking) -> Iterator[tuple[Tracking, Callable[[Run], Run]]]:
    """Trackers for a training, and what ends them; nothing, where the caller has a `Tracking` and ends it."""
    if isinstance(track, Tracking):
        yield track, lambda run: run
        return
    with Tracking(track) as tracking:
        yield tracking, tracking.end


class _Guarded:
    """A tracker that raises nothing: after its first failure it is told no more."""

    def __init__(self, spec: TrackerSpec, run: TrackedRun) -> None:
        self._spec = spec
        self._tracker: Tracker | None = None
        self._tracker = self._safely("begin", lambda: spec.begin(run))

    @property
    def works(self) -> bool:
        """Whether it has not failed."""
        return self._tracker is not None

    def log(self, step: int, numbers: dict[str, float]) -> None:
        if (tracker := self._tracker) is not None:
            self._safely("log", lambda: tracker.log(step, numbers))

    def end(self, ending: Ending) -> None:
        if (tracker := self._tracker) is not None:
            self._safely("end", lambda: tracker.end(ending))
            self._tracker = None

    def _safely(self, moment: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a library of others does, it does not end the training
            self._tracker = None
            said = " ".join(str(error).split())[:300] or type(error).__name__
            warnings.warn(
                f"tracker {_name(self._spec)} failed ({moment}: {said}); it is told no more, the training goes on",
                stacklevel=2,
            )
            return None


def _known(folder: Path) -> dict[str, Any] | None:
    """The content of ``trackers.json``; None if there is none that can be used."""
    try:
        return require(folder / FILE, _TrackersContent, opening.read_json(folder, FILE))
    except FileNotFoundError:
        return None
    except RunError as error:
        warnings.warn(f"{error}; trackers begin anew", stacklevel=3)
        return None


def _numbers(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers in what is logged, each with a name: ``train/elbo``, ``weights/kl``, ``train/kl_per_dim/0``."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "weights":
                yield from _numbers("weights", inner)
            elif key not in ("kind", "step"):
                yield from _numbers(f"{name}/{key}", inner)
    elif isinstance(value, list) and len(value) <= _MOST_IN_LIST:
        for index, inner in enumerate(value):
            yield from _numbers(f"{name}/{index}", inner)
