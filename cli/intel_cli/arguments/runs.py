"""Which runs are meant? Run directories and folders of replicates become one list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intel_cli.output.telling import note, quoted
from intel_core.errors import RunError

if TYPE_CHECKING:
    from intel_core.evaluation.run import Run

__all__ = ["gather", "require_runs"]


def require_runs(paths: Sequence[Path], *, groups: bool = False) -> None:
    """Refuse a path that is no run directory; torch, which reading a model takes, is not imported for it.

    Args:
        paths: what the user has named.
        groups: whether folders of replicates are meant as well.

    Raises:
        RunError: if one is none, or what describes the run is damaged.
    """
    from intel_core.runs.folder import GROUP_FILE, RunFolder

    for path in paths:
        if not groups or not any((place / GROUP_FILE).is_file() for place in (path, Path("runs") / path)):
            RunFolder(path).read_description()


def gather(paths: Sequence[Path], device: str = "cpu", *, needs_first: bool = False) -> list[Run]:
    """The runs at some paths, each of which is a run directory or a folder of replicates; every run is listed once.

    Runs that have not ended, single seeds of replicates too, are left out with a warning.

    Args:
        paths: what the user has named.
        device: where to compute.
        needs_first: whether the first path must not be left out, because the others are compared with it.

    Raises:
        RunError: if a path holds no run, or none has ended.
    """
    from intel_core.compute.device import pick_device
    from intel_core.evaluation.run import load_run
    from intel_core.runs.folder import GROUP_FILE, seeds_of

    chosen = str(pick_device(device))
    kept: dict[Path, Run] = {}
    for path in paths:
        named = Path("runs") / path
        group = next((place for place in (path, named) if (place / GROUP_FILE).is_file()), None)
        inside = seeds_of(group) if group is not None else []
        runs = [load_run(folder, device=chosen) for folder in inside or [path]]
        ended = [run for run in runs if run.status == "finished"]
        if not ended:
            problem = _not_ended(runs[0])
            if len(paths) == 1 or (needs_first and not kept):
                raise RunError(problem)
            note(f"Warning: left out: {problem}")
        missing = _missing(group, ended) if group is not None else []
        if missing:
            count = f"{len(missing)} of {len(missing) + len(ended)} seeds"
            note(f"Warning: {group}: {count} did not end and are left out: {', '.join(missing)}")
        for run in ended:
            kept.setdefault(run.path.resolve(), run)
    if not kept:
        raise RunError("none of these runs has ended")
    return list(kept.values())


def _not_ended(run: Run) -> str:
    if run.status == "diverged":
        return f"{run.path} diverged at step {run.metrics.get('step')}; train it anew with other settings"
    return f"{run.path} is {run.status}; end it with: intel train --resume {quoted(run.path)}"


def _missing(group: Path, ended: Sequence[Run]) -> list[str]:
    """The seeds of some replicates that have not ended, each with its status."""
    from intel_core.runs.contents import GROUP_FILE, read

    have = {run.seed for run in ended}
    try:
        states = {one["seed"]: one["status"] for one in read(group, GROUP_FILE)["runs"]}
    except (RunError, FileNotFoundError) as error:
        note(f"Warning: {error}")
        return []
    # A run that was finished when the summary was written, and no longer is, has lost its files.
    return [
        f"{seed} ({'unfinished' if state == 'finished' else state})"
        for seed, state in states.items()
        if seed not in have
    ]
