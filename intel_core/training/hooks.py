"""What may a plugin do during a run? The hook specifications, and guarded loading of hook plugins.

A hook plugin is a module (or object) whose functions are marked with `hookimpl` and named as in `RunHooks`,
registered under the entry-point group ``intelvae.hooks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from intel_core.training.trainer import Trainer


__all__ = [
    "RunHooks",
    "hookimpl",
]

_PROJECT = "intelvae"
hookspec = pluggy.HookspecMarker(_PROJECT)
hookimpl = pluggy.HookimplMarker(_PROJECT)
"""Marks a function as the implementation of one of the hooks in `RunHooks`."""


class RunHooks:
    """The moments of a run at which plugins are called; take only the arguments you need."""

    @hookspec
    def tried(self, record: dict[str, Any]) -> None:
        """After each trial of a run with restarts: ``start``, ``of``, ``seed``, ``step`` and validation ``loss``."""

    @hookspec
    def run_start(self, trainer: Trainer) -> None:
        """Once, before the first step of a run or of its continuation."""

    @hookspec
    def step_end(self, trainer: Trainer) -> None:
        """After every step; costs time only if some plugin implements it."""

    @hookspec
    def logged(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After every logged line: means of each term since the last one, in nats per example."""

    @hookspec
    def evaluated(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After every evaluation on the validation data."""

    @hookspec
    def saved(self, trainer: Trainer, path: str) -> None:
        """After every checkpoint, with its folder."""

    @hookspec
    def run_end(self, trainer: Trainer) -> None:
        """Once, after the last step, before the final evaluation."""
