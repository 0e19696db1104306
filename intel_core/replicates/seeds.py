"""Which seeds have the replicates of a run, and what is their folder called? Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.errors import SpecError

if TYPE_CHECKING:
    from intel_core.recipe.runspec import RunSpec

__all__ = ["check_replicates", "group_name"]

_LARGEST = 1000


def check_replicates(spec: RunSpec, replicates: int) -> list[int]:
    """The seeds of some replicates of a run: ``seed``, ``seed + 1``, ….

    Raises:
        SpecError: if there are too many or too few.
    """
    if not 1 <= replicates <= _LARGEST:
        raise SpecError(f"{replicates} replicates were asked for, expected 1 to {_LARGEST:,}")
    if spec.seed + replicates > 2**63:
        raise SpecError(f"seeds end at {2**63 - 1}, which leaves no room for {replicates} of them from {spec.seed} on")
    return list(range(spec.seed, spec.seed + replicates))


def group_name(spec: RunSpec, replicates: int) -> str:
    """The name of a group's folder in ``runs``: the run's name, or its label with all seeds.

    >>> from intel_core.recipe.runspec import make_run_spec
    >>> group_name(make_run_spec(mapping="identity", data="memory:examples=4,shape=[2]", seed=3), 10)
    'memory-identity-seeds3-12'
    """
    return spec.name or f"{spec.label.rpartition('seed')[0]}seeds{spec.seed}-{spec.seed + replicates - 1}"
