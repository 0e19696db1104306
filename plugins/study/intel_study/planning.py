"""Which jobs has a study, and can each of their models be built? Everything is found out before anything is trained."""

from __future__ import annotations

import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.components.spec import format_spec, parse_spec
from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads
from intel_core.errors import DataError, SpecError
from intel_core.fitting.estimate import require_memory
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.reading.paths import READERS, path_in, refuse_missing
from intel_core.recipe.contracts import check_schedules, check_texts, load_dataset
from intel_core.recipe.contradictions import refuse_contradictions, refuse_what_no_data_mends
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import RunSpec, make_run_spec
from intel_core.runs.same_data import fingerprints
from intel_study.jobs import Job, blocks, digest_of, slug, what_decides
from intel_study.layers import cell_settings, told_of

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.training.trainer import Trainer
    from intel_study.design import Study

__all__ = ["Planner", "metrics_of"]

_KEPT = 2
"""Data sets that are held in memory while a study is planned."""


def metrics_of(study: Study) -> tuple[dict[str, str], dict[str, str]]:
    """The metrics' whole texts, and who measures them, by the names by which numbers refer to them.

    Raises:
        SpecError: if a text describes no metric.
    """
    texts, versions = {}, {}
    for alias, text in study.named_metrics().items():
        with told_of("metrics"):
            spec = parse_spec("metrics", text)
        component = plugins.find("metrics", loading.name_of("metrics", type(spec)))
        texts[alias] = format_spec(spec, explicit=True)
        versions[alias] = f"{component.distribution} {component.version}"
    return texts, versions


class Planner:
    """Makes the jobs of a study.

    Args:
        study: the study.
        out: its folder.
        folder: where the study's file lies: paths in it are also looked for there.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
    """

    def __init__(self, study: Study, out: Path, folder: Path | None = None, data_dir: Path | None = None) -> None:
        self.study, self.out, self.folder, self.data_dir = study, out, folder, data_dir
        self.metrics, self.versions = metrics_of(study)
        self._data: OrderedDict[str, Dataset] = OrderedDict()
        self._prints: dict[str, tuple[str, str]] = {}

    def jobs(
        self, seeds: Iterable[int], *, keep_runs: bool = True, tell: Callable[[str], None] | None = None
    ) -> list[Job]:
        """All jobs, the first seeds of all arms before the next ones.

        Raises:
            SpecError: naming the arm and the problem, if their runs cannot be built or trained as they say.
            DataError: if data cannot be loaded.
        """
        seeds = list(seeds)
        pictured = max((figure.samples for figure in self.study.figures if figure.kind == "samples"), default=0)
        groups = blocks(seeds, self.study.stack)
        where = data_dir_or_default(self.data_dir)  # said to every process, which may have another environment
        of_pair: list[list[Job]] = []
        for problem in self.study.problem_names:
            for arm in self.study.arm_names(problem):
                if tell is not None:
                    tell(f"{arm}@{problem}" if problem else arm)
                settings, resolved, data = self._checked(problem, arm, groups[0])
                spec = what_decides(resolved)
                spec["data"] = _without_folder(resolved)
                of_pair.append(
                    [
                        Job(
                            problem=problem,
                            arm=arm,
                            seeds=group,
                            settings=settings,
                            spec=spec,
                            digest=digest_of(spec, data, group),
                            data=data[0],
                            others=data[1],
                            metrics=self.metrics,
                            versions=self.versions,
                            out=str(self.out),
                            data_dir=None if where is None else os.path.abspath(where),
                            cwd=os.getcwd(),
                            pictured=pictured if seeds[0] in group else 0,
                            picture_seed=seeds[0],
                            keep_runs=keep_runs,
                        )
                        for group in groups
                    ]
                )
        _tell_of_same([jobs[0] for jobs in of_pair])
        return [jobs[place] for place in range(len(groups)) for jobs in of_pair]

    def trainer(self, job: Job) -> Trainer:
        """A trainer of the first seed of a job, to see how long its steps take."""
        spec = _spec(job.settings, job.seeds[0])
        dataset = self._dataset(spec)
        return make_trainer(resolve(spec, dataset), dataset, hooks_of_run([]))

    def _checked(
        self, problem: str, arm: str, seeds: tuple[int, ...]
    ) -> tuple[dict[str, Any], RunSpec, tuple[str, str]]:
        """Settings, resolved spec and the data's fingerprints of an arm in a problem, whose model can be built."""
        where = f"arm {arm}, problem {problem}" if problem else f"arm {arm}"
        settings = cell_settings(self.study, problem, arm)
        with told_of(where):
            settings = self._with_paths(settings)
            settings["name"] = slug(problem, arm)
            spec = _spec(settings, seeds[0])
            if spec.devices > 1 or spec.nodes > 1:
                raise SpecError("a study trains each run in one process; leave out devices and nodes")
            refuse_contradictions(spec)
            refuse_what_no_data_mends(spec)
        try:
            dataset = self._dataset(spec)
        except DataError as error:  # data that are not here are no mistake of the study, which says so by its exit code
            raise DataError(f"{where}: {error}") from error
        with told_of(where), torch_as_usual(), on_threads(1):
            resolved = resolve(spec, dataset)
            check_texts(resolved)
            check_schedules(resolved)
            require_memory(resolved, dataset)
            make_trainer(resolved, dataset, hooks_of_run([]))
        return settings, resolved, self._prints[_key(spec)]

    def _dataset(self, spec: RunSpec) -> Dataset:
        key = _key(spec)
        if key not in self._data:
            while len(self._data) >= _KEPT:
                self._data.popitem(last=False)
            with on_threads(1):
                self._data[key] = load_dataset(spec.data, data_dir_or_default(self.data_dir), spec.conditions)
            others = json.dumps(fingerprints(self._data[key]), sort_keys=True)
            self._prints[key] = (self._data[key].train.fingerprint(), others)
        self._data.move_to_end(key)
        return self._data[key]

    def _with_paths(self, settings: dict[str, Any]) -> dict[str, Any]:
        """With files given instead of data sets, or lying beside the study, as specs with whole paths."""
        data = settings.get("data")
        if not isinstance(data, str):
            return settings
        names = {name for c in plugins.available("datasets") for name in (c.name, c.qualified)}
        head, rest = path_in(data)
        if head not in names:
            path = self._found(head)
            if path is None:
                refuse_missing(data)
                return settings
            reader = "images" if path.is_dir() else READERS.get(path.suffix.lower())
            if reader is None:
                raise SpecError(f"data={data}: nothing reads such files; expected {', '.join(READERS)} or a folder")
            return settings | {"data": f"{reader}:path={json.dumps(str(path))}{',' if rest else ''}{rest}"}
        spec = parse_spec("datasets", data)
        given = getattr(spec, "path", None)
        if isinstance(given, str) and given and (path := self._found(given)) is not None:
            return settings | {"data": format_spec(spec.model_copy(update={"path": str(path)}), explicit=False)}
        return settings

    def _found(self, text: str) -> Path | None:
        """A file or folder, seen from here or from the study's file; None if there is none."""
        for folder in (Path.cwd(), self.folder):
            if folder is not None and (path := folder / Path(text).expanduser()).exists():
                return Path(os.path.abspath(path))
        return None


def _tell_of_same(jobs: list[Job]) -> None:
    """Warn of arms that are the same runs, which is hardly meant."""
    found: dict[tuple[str, str], str] = {}
    for job in jobs:
        first = found.setdefault((job.problem, job.digest), job.arm)
        if first != job.arm:
            where = f" of problem {job.problem}" if job.problem else ""
            warnings.warn(f"arms {first!r} and {job.arm!r}{where} are the same settings", stacklevel=3)


def _spec(settings: dict[str, Any], seed: int) -> RunSpec:
    return make_run_spec(**settings, seed=seed)


def _key(spec: RunSpec) -> str:
    """What decides which data a run has."""
    return f"{spec.data} {spec.conditions}"


def _without_folder(spec: RunSpec) -> str:
    """The data's text, of a file without its folder: the same file elsewhere is the same data."""
    path = getattr(spec.data, "path", None)
    named = spec.data.model_copy(update={"path": Path(path).name}) if isinstance(path, str) and path else spec.data
    return format_spec(named, explicit=True)
