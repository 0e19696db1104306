"""What have several seeds in common? Means and spreads of their numbers, kept in ``replicates.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intel_core.errors import RunError
from intel_core.evaluation.run import Run
from intel_core.evaluation.statistics import mean_and_std
from intel_core.runs.folder import GROUP_FILE, RunFolder

__all__ = ["Group", "Replicates", "summarise_again"]

FORMAT = 1


@dataclass(frozen=True)
class Replicates:
    """The runs of several seeds, and what they have in common.

    Attributes:
        path: the folder with their run directories ``seed-<s>``.
        runs: the runs by seed, also those that diverged or were not begun.
        summary: the content of ``replicates.json``: ``seeds``, ``stacked`` and, where not, ``why_not``; ``status``;
            ``runs`` with folder, status and test ELBO of each; and of the finished runs ``validation``, ``test`` and
            ``mapping``, a ``mean`` and a ``std`` (n - 1 in the denominator) of every number, in nats per example.
    """

    path: Path
    runs: list[Run]
    summary: dict[str, Any]


class Group:
    """The folder of several seeds.

    Args:
        folder: where their run directories lie.
        name: of the group.
        seeds: of all runs, those that are not there included.
        why_not: why they are trained one after another; empty if they are one stack.
        asked: the spec that was asked for, as ``run.json`` has it; None for a group of before it was kept.
    """

    def __init__(
        self, folder: RunFolder, name: str, seeds: list[int], why_not: str, asked: dict[str, Any] | None
    ) -> None:
        self.folder, self.name, self.seeds, self.why_not, self.asked = folder, name, seeds, why_not, asked

    @classmethod
    def read(cls, folder: RunFolder) -> Group:
        """The group in a folder.

        Raises:
            RunError: if the folder holds no group, or its summary is damaged.
        """
        before = folder.read(GROUP_FILE)
        try:
            seeds, asked = [int(entry["seed"]) for entry in before["runs"]], before.get("asked")
            name, why_not = str(before["name"]), str(before.get("why_not", ""))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder.path / GROUP_FILE} is damaged: {error!r}") from error
        return cls(folder, name, seeds, why_not, asked if isinstance(asked, dict) else None)

    def one(self, seed: int) -> RunFolder:
        """The run directory of one seed.

        Raises:
            RunError: if it is a link, by which another run would be written to.
        """
        path = self.folder.path / f"seed-{seed}"
        if path.is_symlink():
            raise RunError(f"{path} is a link, and links inside a folder of replicates are not followed")
        return RunFolder(path)

    def runs(self) -> dict[int, Run | None]:
        """The run of each seed, or None where it was not begun."""
        there = {seed: self.one(seed) for seed in self.seeds}
        return {seed: Run(one) if (one.path / "run.json").is_file() else None for seed, one in there.items()}

    def summarise(self) -> Replicates:
        """Write ``replicates.json`` from what the runs say now."""
        runs = self.runs()
        entries = [_entry(seed, run) for seed, run in runs.items()]
        done = [run.metrics for run in runs.values() if run is not None and run.status == "finished"]
        ended = all(entry["status"] in ("finished", "diverged") for entry in entries)
        summary = {
            "format": FORMAT,
            "name": self.name,
            "seeds": self.seeds,
            "status": "finished" if ended else "interrupted",
            "stacked": not self.why_not,
            **({"why_not": self.why_not} if self.why_not else {}),
            **({} if self.asked is None else {"asked": self.asked}),
            "runs": entries,
            **{part: mean_and_std(metrics[part] for metrics in done) for part in ("validation", "test", "mapping")},
            "seconds": mean_and_std({"seconds": metrics["seconds"]} for metrics in done).get("seconds"),
        }
        self.folder.write(GROUP_FILE, summary)
        return Replicates(self.folder.path, [run for run in runs.values() if run is not None], summary)


def _entry(seed: int, run: Run | None) -> dict[str, Any]:
    """The entry of one seed in the summary."""
    metrics = run.metrics if run is not None else {}
    return {
        "seed": seed,
        "folder": f"seed-{seed}",
        "status": run.status if run is not None else "missing",
        "step": metrics.get("step", 0),
        "test_elbo": metrics.get("test", {}).get("elbo"),
        **({"problem": metrics["problem"]} if "problem" in metrics else {}),
    }


def summarise_again(path: str | Path) -> Replicates:
    """Update and write the summary of a group, some of whose runs have been continued one by one.

    Raises:
        RunError: if the folder holds no group, or its summary is damaged.
    """
    return Group.read(RunFolder(Path(path))).summarise()
