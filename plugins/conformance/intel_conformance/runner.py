"""How is a mapping checked? The checks one after another, none of which stops the others."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from intel_conformance.check import Check, Level, choose, level_of, names_of
from intel_conformance.outcomes import Outcome
from intel_conformance.report import Report, Result, Status
from intel_conformance.subject import Checkable, Subject
from intel_core.components.discovery import find
from intel_core.components.loading import name_of
from intel_core.errors import SpecError

__all__ = ["Planned", "check_mapping", "iter_checks", "reason_for"]


@dataclass(frozen=True)
class Planned:
    """One check of one mapping, ready to be run."""

    check: Check
    subject: Subject

    @property
    def id(self) -> str:
        """Of the check."""
        return self.check.id

    def run(self, *, expected: str = "") -> Result:
        """How it ends; nothing that the mapping does is raised.

        Args:
            expected: why it is expected to fail, if it is.
        """
        status: Status = "passed"
        message, likely, evidence = "", "", {}
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a mapping's own warnings are not what is checked
                self.check.run(self.subject)
        except Outcome as outcome:
            status = outcome.status  # type: ignore[assignment]
            message, likely, evidence = outcome.message, outcome.likely, outcome.evidence
        except Exception as error:
            status, message = "error", f"{type(error).__name__}: {error}"
            evidence = {"traceback": traceback.format_exc(limit=-6)}
        if expected and status in ("failed", "error", "warned"):
            status, message = "xfailed", f"{expected} ({message})"
        elif expected and status == "passed":
            status, message = "xpassed", f"expected to fail ({expected}), but it passed; take it off the list"
        return Result(
            id=self.id,
            status=status,
            clause=self.check.clause,
            message=message,
            hint=likely,
            evidence=evidence,
            repro=self.subject.repro(self.id) if status in ("failed", "error", "warned") else "",
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
    """Every check of a mapping that is to run, for a front end of one's own; see `check_mapping`.

    >>> [planned.id for planned in iter_checks("identity", only=["rows"])][:2]
    ['rows.replace_others', 'rows.permute']
    """
    checks = choose(level_of(level), only, skip)
    subject = Subject(what, y_dim=y_dim, seed=seed, device=device, dtypes=dtypes, level=level)
    for check in checks:
        yield Planned(check, subject.at_least(check.level))


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
    """Hold a mapping to the contract and to everything that it declares.

    Args:
        what: a spec or its text, several of them to be composed, a mapping that is built already, or what builds one
            from a number of dimensions.
        level: ``quick`` (a second or two), ``standard``, or ``deep`` (many more draws, Betti numbers).
        only: ids of checks or names of groups; all of the level if empty. What is named runs at any level.
        skip: ids or groups to leave out.
        expected_failures: reasons by check id; such a check that passes is a failure, ``xpassed``.
        y_dim: number of dimensions of y; the fewest from 2 on that it takes if None.
        seed: of parameters and draws; the same seed gives the same report.
        device: where the mapping computes.
        dtypes: in which precisions, of ``float32`` and ``float64``. Continuity, derivatives and declared properties are
            always checked in float64.
        on_fail: ``collect`` every result, ``stop`` after the first failure, or ``raise`` then.
        callback: called with each result as it comes.

    Returns:
        The report; `Report.ok` tells whether it passed, `Report.raise_if_failed` says it loudly.

    Raises:
        SpecError: if there is no such mapping, check, level or dtype.
        PluginError: if the plugin will not load.
        ConformanceError: with ``on_fail="raise"``, at the first failure.

    >>> report = check_mapping("identity", level="quick", only=["rows", "mode"])
    >>> report.ok, report.summary()
    (True, '9 of 9 planned ran: 9 passed')
    """
    if on_fail not in ("collect", "raise", "stop"):
        raise SpecError(f"on_fail is 'collect', 'stop' or 'raise', not {on_fail!r}")
    reasons = dict(expected_failures or {})
    names_of(list(reasons))
    planned = list(
        iter_checks(what, level=level, only=only, skip=skip, y_dim=y_dim, seed=seed, device=device, dtypes=dtypes)
    )
    results: list[Result] = []
    for one in planned:
        result = one.run(expected=reason_for(one.id, reasons))
        results.append(result)
        if callback is not None:
            callback(result)
        if result.bad and on_fail != "collect":
            break
    report = _report(what, planned, results, level, seed)
    if on_fail == "raise":
        report.raise_if_failed()
    return report


def reason_for(id: str, reasons: Dictionary[str, str]) -> str:
    """Why a check is expected to fail, by its own id or by its group's name."""
    return reasons.get(id) or reasons.get(id.partition(".")[0], "")


def _report(what: Checkable, planned: Sequence[Planned], results: Sequence[Result], level: Level, seed: int) -> Report:
    subject = planned[0].subject if planned else Subject(what, seed=seed, level=level)
    return Report(
        subject=subject.label,
        y_dim=subject.y_dim,
        z_dim=subject.z_dim,
        level=level,
        seed=seed,
        planned=tuple(one.id for one in planned),
        results=tuple(results),
        versions=_versions(subject),
    )


def _versions(subject: Subject) -> dict[str, str]:
    """Of the plugins, the core and torch."""
    found = {}
    for spec in subject.specs or ():
        try:
            component = find("mappings", name_of("mappings", type(spec)))
        except SpecError:
            continue  # registered under no name
        found[component.distribution] = component.version
    for name in ("intelvae-core", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # run from its sources
    return found
