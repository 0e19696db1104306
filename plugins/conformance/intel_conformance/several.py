"""How is something checked in several numbers of dimensions? In one after another, with a report for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from intel_conformance.kinds import kind_of
from intel_conformance.report import Report, Reports
from intel_conformance.runner import check_mapping, iter_checks
from intel_conformance.running import check_component, iter_component_checks
from intel_core.errors import SpecError

__all__ = ["check_dims", "distinct"]


def check_dims(what: Any, dims: Sequence[int], **settings: Any) -> Reports:
    """Check a mapping, a prior or a posterior in several numbers of dimensions of y.

    Code may take another path in three dimensions than in two, and right formulas may hold in a plane only.

    Args:
        what: as for `intel_conformance.check_mapping`; a prior or a posterior, with its kind before it if it is a text.
        dims: numbers of dimensions of y, in which it is built before the first check is run.
        settings: other arguments of `intel_conformance.check_mapping`. With ``on_fail="stop"`` the first failure also
            ends the checks in other numbers of dimensions.

    Raises:
        SpecError: if there are no dimensions or one is given twice, or it cannot be built in one of them or in any.
        PluginError: if the plugin cannot be loaded, or cannot build it.
        ConformanceError: with ``on_fail="raise"``, at the first failure.

    >>> reports = check_dims("identity", [2, 3, 8], level="quick", only=["rows"])
    >>> reports.ok, [report.y_dim for report in reports.reports]
    (True, [2, 3, 8])
    """
    dims = distinct(dims)
    kind = kind_of(what)
    run: Any = partial(check_component, kind) if kind else check_mapping
    plan: Any = partial(iter_component_checks, kind) if kind else iter_checks
    about = {name: value for name, value in settings.items() if name in ("level", "only", "seed", "device", "dtypes")}
    for y_dim in dims:
        next(iter(plan(what, y_dim=y_dim, **about)), None)
    reports: list[Report] = []
    for y_dim in dims:
        reports.append(run(what, y_dim=y_dim, **settings))
        if settings.get("on_fail") == "stop" and not reports[-1].ok:
            break
    return Reports(tuple(reports), dims)


def distinct(dims: Sequence[int]) -> tuple[int, ...]:
    """Some numbers of dimensions.

    Raises:
        SpecError: if there are none, or one of them is given twice.

    >>> distinct([2, 3])
    (2, 3)
    """
    if isinstance(dims, str | int) or not dims:
        raise SpecError(f"dims={dims!r}: expected numbers of dimensions, [2, 3] for instance")
    twice = [y_dim for number, y_dim in enumerate(dims) if y_dim in list(dims)[:number]]
    if twice:
        raise SpecError(f"{twice[0]} dimensions are given twice")
    return tuple(dims)
