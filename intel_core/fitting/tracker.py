"""What is a tracker? A spec that begins a record of a training somewhere else: TensorBoard, a server, a file.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import JsonValue

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

__all__ = ["Ending", "TrackedRun", "Tracker", "TrackerSpec"]


@dataclass(frozen=True)
class TrackedRun:
    """The run that a record is begun of, or gone on with.

    Attributes:
        name: of the run.
        folder: its directory.
        id: by which the record is found again; the same when the run goes on.
        is_new: whether this tracker has no record of it yet.
        step: from which it goes on; later lines of the record are told again.
        settings: the resolved spec, flat: ``schedules.lr`` for an entry of ``schedules``.
    """

    name: str
    folder: Path
    id: str
    is_new: bool
    step: int
    settings: dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Ending:
    """What became of a run.

    Attributes:
        status: ``finished``, ``interrupted``, ``diverged`` or ``failed``.
        step: the last one.
        numbers: the final ones, as in `Tracker.log`: ``test/elbo`` and so on; empty unless it is finished.
        verdict: whether the bias took, in words; empty if that was not asked.
        outcome: the verdict in a word, as `Verdict` has it; empty likewise.
        pictures: files of PNG.
    """

    status: str
    step: int
    numbers: dict[str, float]
    verdict: str = ""
    outcome: str = ""
    pictures: tuple[Path, ...] = ()


class Tracker(Protocol):
    """A record that is being kept. Whatever it raises is a warning, and then it is told nothing more."""

    def log(self, step: int, numbers: Dictionary[str, float]) -> None:
        """A logged line or an evaluation: ``train/elbo``, ``validation/kl``, ``weights/kl``, in nats per example."""

    def end(self, ending: Ending) -> None:
        """The end of this training; an interrupted run may go on later."""


class TrackerSpec(ComponentSpec):
    """Base of every tracker's spec, registered under the entry-point group ``intelvae.trackers``."""

    kind: ClassVar[str] = "trackers"

    def begin(self, run: TrackedRun) -> Tracker:
        """Begin the record of a run, or go on with it, and write its settings if it is new."""
        raise PluginError(f"{type(self).__name__} does not define begin(run)")


def flat(value: JsonValue, name: str = "") -> dict[str, str | int | float | bool]:
    """A JSON object as one level of names and plain values; lists of settings are texts, and nothing is left out.

    >>> flat({"mapping": ["circle", "cluster"], "schedules": {"lr": "constant"}, "patience": None})
    {'mapping': 'circle, cluster', 'schedules.lr': 'constant', 'patience': 'none'}
    """
    if isinstance(value, dict):
        parts = (flat(inner, f"{name}.{key}" if name else key) for key, inner in value.items())
        return {key: inner for part in parts for key, inner in part.items()}
    if isinstance(value, list):
        return {name: ", ".join(str(inner) for inner in value)}
    return {name: "none" if value is None else value}
