"""What is to be done for a study? Jobs: one arm in one problem with one seed, or with the seeds of one stack.

A job and everything in it can be pickled, and nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intel_core.recipe.runspec import RunSpec

__all__ = ["Job", "blocks", "digest_of", "slug", "what_decides"]

_NO_RESULT = (
    "name",
    "seed",
    "device",
    "devices",
    "nodes",
    "keep_checkpoints",
    "log_every",
    "save_every",
    "save_minutes",
)
"""Settings on which no number of a run hangs."""


def slug(*words: str, longest: int = 60) -> str:
    """A name for a file from words of any kind.

    >>> slug("circle, ELBO", "mapping in y")
    'circle-ELBO-mapping-in-y'
    """
    text = "-".join(part for word in words if (part := re.sub(r"[^\w.+]+", "-", word, flags=re.ASCII).strip("-.")))
    return text[:longest].strip("-.") or "runs"


def blocks(seeds: Sequence[int], stack: int) -> list[tuple[int, ...]]:
    """The groups in which seeds are trained, by multiples of the size of a stack.

    A group is always trained whole, so that its numbers do not depend on which of its seeds were asked for.

    >>> blocks([3, 4, 7], 2)
    [(2, 3), (4, 5), (6, 7)]
    >>> blocks([3, 4], 1)
    [(3,), (4,)]
    """
    firsts = dict.fromkeys(seed - seed % stack for seed in seeds)
    return [tuple(range(first, first + stack)) for first in firsts]


def what_decides(spec: RunSpec) -> dict[str, Any]:
    """The settings on which the numbers of a run hang, as JSON."""
    return {key: value for key, value in spec.model_dump(mode="json").items() if key not in _NO_RESULT}


def digest_of(spec: Mapping[str, Any], data: tuple[str, str], seeds: Sequence[int]) -> str:
    """What decides the numbers of a job, as a short hash: its resolved settings, its data and the size of its stack."""
    decides = {"spec": spec, "data": data, "stack": len(seeds)}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Job:
    """What one process does in one go: train, resume or read the runs of some seeds, and measure them.

    Attributes:
        problem: its name; empty where the study has no problems.
        arm: its name.
        seeds: one, or those of a stack.
        settings: of the runs, as texts and numbers, without the seed.
        spec: the resolved spec without seed and name, which is kept with the results.
        digest: of the resolved spec, the data and the stack: what decides the numbers.
        data: hash of the training examples.
        others: hashes of the other parts and of labels.
        metrics: by the name by which numbers refer to them, the metric's whole text.
        versions: by the same names, the distribution that measures and its version.
        out: the study's folder.
        data_dir: where data files lie, if that was said.
        cwd: the folder from which paths are meant.
        pictured: examples that are kept of the runs of `picture_seed`; 0 for none.
        picture_seed: the seed whose samples are kept.
        keep_runs: whether run directories stay once their numbers are there.
    """

    problem: str
    arm: str
    seeds: tuple[int, ...]
    settings: dict[str, Any] = field(repr=False)
    spec: dict[str, Any] = field(repr=False)
    digest: str
    data: str
    metrics: dict[str, str]
    versions: dict[str, str]
    out: str
    data_dir: str | None
    cwd: str
    others: str = ""
    pictured: int = 0
    picture_seed: int | None = None
    keep_runs: bool = True

    @property
    def label(self) -> str:
        """Arm, problem and seeds in words."""
        where = f"{self.arm}@{self.problem}" if self.problem else self.arm
        several = len(self.seeds) > 1
        return f"{where} seed{'s' if several else ''} {self.seeds[0]}{f'-{self.seeds[-1]}' if several else ''}"

    @property
    def name(self) -> str:
        """The name of its run directory."""
        several = len(self.seeds) > 1
        seeds = f"seeds{self.seeds[0]}-{self.seeds[-1]}" if several else f"seed{self.seeds[0]}"
        return f"{slug(self.problem, self.arm)}-{seeds}-{self.digest}"

    @property
    def run_dir(self) -> Path:
        """Where its run, or the folder of its runs, lies."""
        return Path(self.out) / "runs" / self.name

    @property
    def lock_dir(self) -> Path:
        """A folder that is locked while somebody does it."""
        return Path(self.out) / ".locks" / self.name

    @property
    def progress(self) -> Path:
        """A file that says how far it is."""
        return Path(self.out) / ".running" / f"{self.name}.json"

    def cell_name(self, seed: int) -> str:
        """The name of the result of a seed."""
        return f"{slug(self.problem, self.arm)}-seed{seed}-{self.digest}"

    def cell_path(self, seed: int) -> Path:
        """Where the numbers of a seed lie."""
        return Path(self.out) / "cells" / f"{self.cell_name(seed)}.json"

    def picture_path(self, seed: int) -> Path:
        """Where the samples of a seed lie."""
        return Path(self.out) / "samples" / f"{self.cell_name(seed)}.npz"
