"""Which checks of priors and posteriors are there? Plain functions, registered by kind, as those of mappings are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

from intel_conformance.check import Check
from intel_conformance.levels import Level

__all__ = ["GROUPS", "Kind", "check", "checks_of"]

Kind = Literal["prior", "posterior"]
GROUPS = ("io", "rows", "mode", "finite", "density", "kl", "bound", "grad", "deploy", "plugin")
"""The groups in the order in which they run."""

_registered: dict[str, dict[str, Check]] = {"prior": {}, "posterior": {}}
_MODULES = ("calls", "survival", "densities", "bounds", "plugin")


def check(
    id: str, clause: str, level: Level = "quick", *, kinds: tuple[Kind, ...] = ("prior", "posterior")
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as the check of that id."""

    def register(run: Callable[[Any], None]) -> Callable[[Any], None]:
        assert id.partition(".")[0] in GROUPS, id
        assert run.__doc__, id
        for kind in kinds:
            assert id not in _registered[kind], id
            _registered[kind][id] = Check(id, level, clause, run)
        return run

    return register


def checks_of(kind: Kind) -> tuple[Check, ...]:
    """All checks of priors or of posteriors, in the order in which they run.

    >>> [check.id for check in checks_of("prior")][:2]
    ['io.shape', 'io.dtype']
    """
    for module in _MODULES:
        importlib.import_module(f"intel_conformance.distributions.{module}")
    return tuple(sorted(_registered[kind].values(), key=lambda check: GROUPS.index(check.group)))
