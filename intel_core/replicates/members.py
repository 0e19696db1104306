"""Are the runs in the folder of a group those that it was begun with? Some may be gone, moved or of another group."""

from __future__ import annotations

import warnings

from intel_core.errors import RunError
from intel_core.evaluation.run import Run
from intel_core.replicates.summary import Group
from intel_core.runs.folder import GROUP_FILE

__all__ = ["gone", "require_own", "tell_of_gone"]


def require_own(group: Group, runs: dict[int, Run | None]) -> None:
    """Refuse folders that hold something else than the run of their seed.

    Args:
        group: the folder of all.
        runs: the run of each seed, None where there is none.

    Raises:
        RunError: if a folder holds files but no run, the run of another seed, or one with other settings.
    """
    first: Run | None = None
    for seed, run in runs.items():
        path = group.one(seed).path
        if run is None:
            if (path / "checkpoints").is_dir() or (path / "metrics.jsonl").is_file():
                raise RunError(
                    f"{path} has lost its run.json; put that back, or move the folder away to train the seed again"
                )
            continue
        if run.seed != seed:
            raise RunError(f"{path} holds the run of seed {run.seed}; was it moved? Put it back under its own name")
        first = first or run
        if other := _differing(first, run):
            raise RunError(f"{path} is no run of this group; it has other settings than {first.path}: {other}")


def _differing(one: Run, other: Run) -> str:
    """The settings in which two runs differ, but for seed and name."""
    ours, theirs = (run.spec.model_dump(mode="json", exclude={"seed", "name"}) for run in (one, other))
    return ", ".join(key for key in ours if ours[key] != theirs[key])


def gone(group: Group, runs: dict[int, Run | None]) -> list[int]:
    """The seeds that the summary knows as begun, and whose run directory is not there."""
    entries = group.folder.read(GROUP_FILE)["runs"]
    begun = {entry["seed"] for entry in entries if entry["status"] != "missing"}
    return [seed for seed in group.seeds if runs[seed] is None and seed in begun]


def tell_of_gone(group: Group, lost: list[int]) -> None:
    """Warn, for each seed whose run is gone, that it is trained again."""
    entries = {entry["seed"]: entry for entry in group.folder.read(GROUP_FILE)["runs"]}
    for seed in lost:
        status, step = entries[seed]["status"], entries[seed].get("step", 0)
        was = f"{status} at step {step:,}" if step else "begun"
        how = "" if group.why_not else " and alone, so it will differ by rounding from that of an uninterrupted group"
        how = " with the whole group" if len(lost) == len(group.seeds) else how
        warnings.warn(
            f"{group.one(seed).path} was {was} and is not there any more (deleted or moved?); it is trained again from "
            f"its first step{how}",
            stacklevel=4,
        )
