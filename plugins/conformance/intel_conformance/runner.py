"""How is a mapping checked? One check after another; a failure does not stop the others."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from torch import nn

from intel_conformance.candidate import Candidate, Checkable
from intel_conformance.catalogue import choose, names_of
from intel_conformance.check import Check
from intel_conformance.examined import Examined
from intel_conformance.levels import Level, level_of
from intel_conformance.outcomes import Outcome, first_line
from intel_conformance.report import Report, Result, Status
from intel_core.components.discovery import find
from intel_core.components.loading import name_of
from intel_core.compute.threads import on_threads, threads_for
from intel_core.errors import SpecError

__all__ = ["PREFLIGHT", "Planned", "check_mapping", "iter_checks", "plan", "reason_for", "run_all"]


PREFLIGHT = "io.preflight"
"""The check without which all others would say the same."""


@dataclass(frozen=True)
class Planned:
    """One check of one mapping or other component, ready to be run."""

    check: Check
    candidate: Any

    @property
    def id(self) -> str:
        """Of the check."""
        return self.check.id

    def run(self, *, expected: str = "") -> Result:
        """Run the check, on one thread unless ``INTEL_THREADS`` says otherwise; what the mapping raises is a result.

        Args:
            expected: why it is expected to fail; empty if it is not.
        """
        status: Status = "passed"
        message, likely, cause, evidence = "", "", "", {}
        began = time.perf_counter()
        try:
            # Its tensors are small: several threads would wait for each other, on a busy machine twenty times as long.
            with on_threads(threads_for(nn.Identity())), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings of the mapping itself are not checked
                self.check.run(self.candidate)
        except Outcome as outcome:
            status = outcome.status  # type: ignore[assignment]
            message, likely, cause, evidence = outcome.message, outcome.likely, outcome.cause, outcome.evidence
        except Exception as error:
            status, message = "error", f"{type(error).__name__}: {error}"
            cause = f"raised {type(error).__name__}: {first_line(error)}"
            evidence = {"traceback": traceback.format_exc(limit=-6)}
        if status == "failed":
            self.candidate.failed.add(self.id)
        if expected and status in ("failed", "error", "warned"):
            status, message = "xfailed", f"{expected} ({message})"
        elif expected and status == "passed":
            status, message = "xpassed", f"expected to fail ({expected}), but it passed; remove it from the list"
        return Result(
            id=self.id,
            status=status,
            clause=self.check.clause,
            message=message,
            hint=likely,
            cause=cause,
            evidence=evidence,
            repro=self.candidate.repro(self.id) if status in ("failed", "error", "warned") else "",
            seconds=time.perf_counter() - began,
        )


def iter_checks(
    what: Checkable,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    y_dim: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    dtypes: Sequence[str] = ("float32", "float64"),
) -> Iterator[Planned]:
    """The checks of a mapping that are to run, one by one, for front ends; see `check_mapping`.

    >>> [planned.id for planned in iter_checks("identity", only=["rows"])][:2]
    ['rows.replace_others', 'rows.permute']
    """
    checks = choose(level_of(level), only, skip)
    yield from plan(checks, Candidate(what, y_dim=y_dim, seed=seed, device=device, dtypes=dtypes, level=level))


def plan(checks: Sequence[Check], candidate: Examined) -> Iterator[Planned]:
    """Some checks of a candidate, each at the level that it needs at least."""
    for check in checks:
        yield Planned(check, candidate.at_least(check.level))


def check_mapping(
    what: Checkable,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Dictionary[str, str] | None = None,
    y_dim: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    dtypes: Sequence[str] = ("float32", "float64"),
    on_fail: Literal["collect", "raise", "stop"] = "collect",
    callback: Callable[[Result], None] | None = None,
) -> Report:
    """Check whether a mapping keeps the contract, and whether everything that it declares is true.

    Args:
        what: a spec or its text, several of these to be composed, a mapping that is already built, or a function that
            builds one from a number of dimensions.
        level: ``quick`` (a second or two), ``standard``, or ``deep`` (many more draws, Betti numbers).
        only: ids of checks or names of groups, which run whatever their level; if empty, all checks of the level.
        skip: ids or groups to leave out.
        expected_failures: reasons by check id; if such a check passes, that is a failure, ``xpassed``.
        y_dim: number of dimensions of y; if None, the fewest from 2 on in which it can be built.
        seed: of parameters and draws; the same seed gives the same report.
        device: where the mapping computes.
        dtypes: the precisions to check, of ``float32`` and ``float64``. Continuity, derivatives and declared properties
            are always checked in float64.
        on_fail: ``collect`` all results, ``stop`` after the first failure, or ``raise`` an error after it.
        callback: called with each result as it comes.

    Returns:
        The report. `Report.ok` says whether the mapping passed; `Report.raise_if_failed` raises an error if it did not.

    Raises:
        SpecError: if there is no such mapping, check, level or dtype.
        PluginError: if the plugin cannot be loaded, or cannot build the mapping.
        ConformanceError: with ``on_fail="raise"``, at the first failure.

    >>> report = check_mapping("identity", level="quick", only=["rows", "mode"])
    >>> report.ok, report.summary()
    (True, '13 of 14 planned ran: 13 passed · 1 not applicable')
    """
    settings: dict[str, Any] = {"level": level, "y_dim": y_dim, "seed": seed, "device": device, "dtypes": dtypes}
    return run_all(
        lambda: iter_checks(what, only=only, skip=skip, **settings),
        lambda: Candidate(what, seed=seed, level=level),
        expected_failures,
        level,
        on_fail=on_fail,
        callback=callback,
    )


def run_all(
    plan: Callable[[], Iterable[Planned]],
    alone: Callable[[], Examined],
    expected_failures: Dictionary[str, str] | None,
    level: Level,
    *,
    among: Sequence[Check] | None = None,
    on_fail: Literal["collect", "raise", "stop"] = "collect",
    callback: Callable[[Result], None] | None = None,
    kind: str = "mapping",
) -> Report:
    """Run checks and report, for `check_mapping` and its likes.

    Args:
        plan: makes the checks that are to run.
        alone: makes the candidate where there are none.
        expected_failures: see `check_mapping`.
        level: for the report.
        among: all checks of the kind; those of mappings if None.
        on_fail: see `check_mapping`.
        callback: see `check_mapping`.
        kind: for the report.
    """
    if on_fail not in ("collect", "raise", "stop"):
        raise SpecError(f"on_fail is 'collect', 'stop' or 'raise', not {on_fail!r}")
    reasons = dict(expected_failures or {})
    names_of(list(reasons), among)
    planned = list(plan())
    candidate = planned[0].candidate if planned else alone()
    results: list[Result] = []
    for one in planned:
        result = one.run(expected=reason_for(one.id, reasons))
        results.append(result)
        if callback is not None:
            callback(result)
        if result.bad and (on_fail != "collect" or one.id == PREFLIGHT):
            break
    report = Report(
        mapping=candidate.label,
        y_dim=candidate.y_dim,
        z_dim=candidate.z_dim,
        level=level,
        seed=candidate.seed,
        planned=tuple(one.id for one in planned),
        results=tuple(results),
        versions=_versions(candidate),
        kind=kind,
    )
    if on_fail == "raise":
        report.raise_if_failed()
    return report


def reason_for(id: str, reasons: Dictionary[str, str]) -> str:
    """Why a check is expected to fail, found by its id or by the name of its group; empty if it is not expected to."""
    return reasons.get(id) or reasons.get(id.partition(".")[0], "")


def _versions(candidate: Any) -> dict[str, str]:
    """The versions of the plugins, the core and torch."""
    found = {}
    for spec in candidate.specs or ():
        try:
            component = find(spec.kind, name_of(spec.kind, type(spec)))
        except SpecError:
            continue  # it is not registered
        found[component.distribution] = component.version
    for name in ("intelvae-core", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # it is run from its sources
    return found
