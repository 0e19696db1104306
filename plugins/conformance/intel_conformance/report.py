"""What did the checks find? The results, and reports of them as text, JSON and JUnit XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

__all__ = ["STATUSES", "ConformanceError", "Report", "Reports", "Result", "Status", "grouped"]

Status = Literal["passed", "failed", "error", "warned", "skipped", "not_applicable", "xfailed", "xpassed"]
STATUSES: tuple[Status, ...] = get_args(Status)

_NOT_RUN: tuple[Status, ...] = ("skipped", "not_applicable")
_BAD: tuple[Status, ...] = ("failed", "error", "xpassed")


class ConformanceError(AssertionError):
    """A check failed, or no check ran."""


@dataclass(frozen=True)
class Result:
    """How one check ended.

    Attributes:
        id: of the check.
        status: ``passed``; ``failed``: the contract or a declaration is broken; ``error``: the check itself crashed;
            ``warned``: nothing is broken, but users will miss something; ``skipped``: it could not be tried here;
            ``not_applicable``: nothing of the kind is declared; ``xfailed`` and ``xpassed``: it was expected to fail,
            and did or did not.
        clause: the clause of the contract, or the declaration, that was checked.
        message: what was expected, what was found, and where; empty if the check passed.
        hint: the likely cause.
        cause: equal for checks that fail for one reason, as far as is known; see `Report.told`.
        evidence: numbers that support the message.
        repro: the command or call that repeats the check.
        seconds: how long it took.
    """

    id: str
    status: Status
    clause: str = ""
    message: str = ""
    hint: str = ""
    cause: str = ""
    evidence: Dictionary[str, Any] = field(default_factory=dict)
    repro: str = ""
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        """Whether the check ran, so that the result says something about the mapping."""
        return self.status not in _NOT_RUN

    @property
    def bad(self) -> bool:
        """Whether it makes the report fail."""
        return self.status in _BAD

    def __str__(self) -> str:
        lines = [f"{self.status.upper()} {self.id}  ({self.clause})", f"  {self.message}"]
        lines += [f"  likely: {self.hint}"] if self.hint else []
        lines += [f"  repro: {self.repro}"] if self.repro else []
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """The results of all checks of a mapping.

    Attributes:
        mapping: what was checked, as text; a component of another kind, if `kind` says so.
        y_dim: number of dimensions of y; 0 of a kind that is not built for one.
        z_dim: number of dimensions of z; that of y if it is no mapping.
        level: of the checks.
        seed: of parameters and draws.
        planned: ids of the checks that were to run.
        results: one for each check that was run; fewer than planned if the first failure stopped the others.
        versions: of the distributions involved.
        kind: ``mapping``, or one of `intel_conformance.kinds.KINDS`.
    """

    mapping: str
    y_dim: int
    z_dim: int
    level: str
    seed: int
    planned: tuple[str, ...]
    results: tuple[Result, ...]
    versions: Dictionary[str, str] = field(default_factory=dict)
    kind: str = "mapping"

    def told(self) -> list[tuple[Result, tuple[Result, ...]]]:
        """The failures, errors and warnings, each with those after it that have the same cause.

        That is the same exception, whatever the check, or the same hint within a group of checks.
        """
        return grouped(self.results)

    def of(self, *statuses: Status) -> tuple[Result, ...]:
        """The results with one of some statuses."""
        return tuple(result for result in self.results if result.status in statuses)

    @property
    def ran(self) -> int:
        """The number of checks that ran."""
        return sum(result.ran for result in self.results)

    @property
    def ok(self) -> bool:
        """Whether at least one check ran, and none failed."""
        return self.ran > 0 and not any(result.bad for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 if it passed; 1 if a check failed or none ran, since nothing was confirmed then."""
        return 0 if self.ok else 1

    def summary(self) -> str:
        """The counts in one line: ``23 of 41 planned ran: 23 passed · 18 not applicable``."""
        count = Counter(result.status for result in self.results)
        ran = ", ".join(
            f"{count[status]} {status.upper() if status in _BAD else status}"
            for status in STATUSES
            if count[status] and status not in _NOT_RUN
        )
        rest = [f"{count[status]} {status.replace('_', ' ')}" for status in _NOT_RUN if count[status]]
        return " · ".join([f"{self.ran} of {len(self.planned)} planned ran" + (f": {ran}" if ran else ""), *rest])

    def raise_if_failed(self) -> None:
        """Raise unless `ok`.

        Raises:
            ConformanceError: with all failures and the summary.
        """
        if not self.ok:
            bad = []
            for result, same in self.told():
                if result.bad:
                    others = f"\n  the same cause: {', '.join(one.id for one in same)}" if same else ""
                    bad.append(f"{result}{others}")
            raise ConformanceError("\n".join([f"{self.mapping} does not conform", *bad, self.summary()]))

    def to_json(self) -> dict[str, Any]:
        """The whole report, as values that JSON can represent."""
        return {
            "kind": self.kind,
            self.kind: self.mapping,
            **({"y_dim": self.y_dim} if self.y_dim else {}),
            **({"z_dim": self.z_dim} if self.kind == "mapping" else {}),
            "level": self.level,
            "seed": self.seed,
            "ok": self.ok,
            "planned": len(self.planned),
            "ran": self.ran,
            "counts": dict(Counter(result.status for result in self.results)),
            "versions": dict(self.versions),
            "results": [asdict(result) for result in self.results],
        }

    def to_junit(self) -> str:
        """The report as JUnit XML for continuous integration; if no check ran, that is an error of its own."""
        return _document([self._suite(f"intel check {self.mapping}")])

    def _suite(self, name: str) -> ElementTree.Element:
        suite = ElementTree.Element("testsuite", name=name, tests=str(len(self.results)))
        tags = {"failed": "failure", "xpassed": "failure", "error": "error"}
        for result in self.results:
            case = ElementTree.SubElement(
                suite, "testcase", classname=self.mapping, name=result.id, time=f"{result.seconds:.3f}"
            )
            if result.status == "passed":
                continue
            tag = tags.get(result.status, "skipped")
            text = f"{result.status}: {result.message}" if tag == "skipped" else result.message
            ElementTree.SubElement(case, tag, message=_printable(text)).text = _printable(str(result))
        if not self.ran:
            case = ElementTree.SubElement(suite, "testcase", classname=self.mapping, name="report.ran", time="0")
            ElementTree.SubElement(case, "error", message="no check ran")
        for attribute, statuses in (("failures", ("failed", "xpassed")), ("errors", ("error",))):
            count = sum(result.status in statuses for result in self.results)
            suite.set(attribute, str(count + (attribute == "errors" and not self.ran)))
        suite.set(
            "skipped",
            str(sum(tags.get(r.status, "skipped") == "skipped" for r in self.results if r.status != "passed")),
        )
        return suite


def grouped(results: Iterable[Result]) -> list[tuple[Result, tuple[Result, ...]]]:
    """As `Report.told`, of results as they come."""
    found: dict[Any, list[Result]] = {}
    for result in results:
        if not result.bad and result.status != "warned":
            continue
        why: Any = re.sub(r"\d+", "#", result.cause) if result.cause else (result.id.partition(".")[0], result.hint)
        key = (result.bad, why) if result.cause or result.hint else result.id
        found.setdefault(key, []).append(result)
    return [(first, tuple(same)) for first, *same in found.values()]


@dataclass(frozen=True)
class Reports:
    """The reports of one mapping in several numbers of dimensions; it passed if it passed in each of them.

    Attributes:
        reports: one for each number of dimensions, in the order in which they were asked for.
        dims: these numbers; there are fewer reports if a failure stopped the checks.
    """

    reports: tuple[Report, ...]
    dims: tuple[int, ...]

    @property
    def ran(self) -> int:
        """The number of checks that ran, in all numbers of dimensions together."""
        return sum(report.ran for report in self.reports)

    @property
    def ok(self) -> bool:
        """Whether it was checked in each number of dimensions, and passed."""
        return 0 < len(self.reports) == len(self.dims) and all(report.ok for report in self.reports)

    @property
    def exit_code(self) -> int:
        """0 if it passed in each number of dimensions, else 1."""
        return 0 if self.ok else 1

    def summary(self) -> str:
        """The counts, one line for each number of dimensions."""
        return "\n".join(f"{report.y_dim} dimensions: {report.summary()}" for report in self.reports)

    def raise_if_failed(self) -> None:
        """Raise unless `ok`.

        Raises:
            ConformanceError: with all failures and the summary of each number of dimensions that has some.
        """
        said = []
        for report in self.reports:
            try:
                report.raise_if_failed()
            except ConformanceError as error:
                said.append(f"in {report.y_dim} dimensions, {error}")
        if not self.ok:
            raise ConformanceError("\n".join(said) or "nothing was checked")

    def to_json(self) -> dict[str, Any]:
        """All reports, as values that JSON can represent."""
        told = [report.to_json() for report in self.reports]
        return {"y_dims": list(self.dims), "ok": self.ok, "ran": self.ran, "reports": told}

    def to_junit(self) -> str:
        """All reports as JUnit XML, a suite for each number of dimensions."""
        return _document(r._suite(f"intel check {r.mapping} in {r.y_dim} dimensions") for r in self.reports)


def _document(suites: Iterable[ElementTree.Element]) -> str:
    root = ElementTree.Element("testsuites")
    root.extend(suites)
    ElementTree.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
