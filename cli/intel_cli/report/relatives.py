"""Which other runs tell more of a run's clusters? Those of other seeds, and one without clusters on the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.errors import IntelError
from intel_core.evaluation.grouping import differing
from intel_core.evaluation.run import load_run
from intel_core.runs.folder import is_group, seeds_of
from intel_core.runs.opening import entries, has

if TYPE_CHECKING:
    from pathlib import Path

    from intel_core.evaluation.run import Run

__all__ = ["other_seeds", "without_clusters"]

_MOST_SEEDS = 9
_MOST_NEAR = 200
_OF_CLUSTERS = {"mapping", "prior", "start", "schedules", "evaluate_every", "data"}
"""Settings in which a run and the same one without clusters differ; that the data are the same is known otherwise."""


def other_seeds(run: Run) -> list[Run]:
    """The other runs of the folder of replicates that a run lies in, at most nine; none if it lies in none."""
    try:
        group = run.path.resolve().parent
        others = seeds_of(group) if is_group(group) else []
        found = [load_run(path) for path in others if path.resolve() != run.path.resolve()]
        return [one for one in found if one.status == "finished" and one.fingerprint == run.fingerprint][:_MOST_SEEDS]
    except IntelError:
        return []


def without_clusters(run: Run) -> Run | None:
    """A run beside this one, on the same data and with the same settings but for the clusters: those of the same seed
    come first.
    """
    found = [one for path in _near(run) if (one := _finished(path)) is not None and _is_plain(one, run)]
    return min(found, key=lambda one: (one.seed != run.seed, str(one.path)), default=None)


def _near(run: Run) -> list[Path]:
    """The run directories beside a run, and those beside the folder of replicates that it lies in."""
    here = run.path.resolve().parent
    folders = [here, here.parent] if is_group(here) else [here]
    near: list[Path] = []
    for folder in folders:
        for path in entries(folder)[:_MOST_NEAR]:
            if path.is_dir() and not path.is_symlink():
                near += [path] if has(path, "run.json") else seeds_of(path) if is_group(path) else []
    return [path for path in near[:_MOST_NEAR] if path != run.path.resolve()]


def _finished(path: Path) -> Run | None:
    try:
        run = load_run(path)
        return run if run.status == "finished" else None
    except IntelError:
        return None


def _is_plain(one: Run, run: Run) -> bool:
    """Whether a run is the identity under N(0, I), on the same data and otherwise alike."""
    settings = one.info["spec"]
    mapping = [str(text).partition(":")[0] for text in settings.get("mapping") or []]
    prior = str(settings.get("prior") or "standard").partition(":")[0]
    plain = all(name == "identity" for name in mapping) and prior == "standard"
    return plain and one.fingerprint == run.fingerprint and set(differing(run, one)) <= _OF_CLUSTERS
