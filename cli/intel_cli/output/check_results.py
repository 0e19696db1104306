"""What are the results of the checks of a mapping? One mark for each check, failures in full, and a summary."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from intel_cli.output.terminal import is_terminal, unfiltered, visible

if TYPE_CHECKING:
    from intel_conformance import Check, Report, Reports, Result

__all__ = ["MEANINGS", "Marks", "mark", "say", "show_list", "show_report", "show_reports", "tell"]

MEANINGS = {
    "passed": "passed",
    "failed": "failed: the contract or a promise is broken",
    "error": "error: the check itself broke down, with its traceback",
    "warned": "warned: no breach, but something that users will miss",
    "skipped": "skipped: it could not be tried here",
    "not_applicable": "not applicable: nothing of the kind is promised",
    "xfailed": "failed, as --expect says",
    "xpassed": "passed, although --expect says otherwise; counts as a failure",
}
_MARKS = {
    "passed": "✓",
    "failed": "✗",
    "error": "E",
    "warned": "w",
    "skipped": "s",
    "not_applicable": "-",
    "xfailed": "x",
    "xpassed": "X",
}
_COLOURS = {"passed": "green", "failed": "red", "error": "red", "xpassed": "red", "warned": "yellow"}
_TOLD = ("failed", "error", "xpassed", "warned")
"""Statuses that are always reported in full."""
_PLAIN = str.maketrans(
    {"✓": ".", "✗": "F", "·": "|", "‖": "||", "→": "->", "×": "x", "−": "-", "≤": "<=", "≥": ">=", "…": "..."}
)
_WIDTH = 11
"""Width of the column with the names of the groups."""


def _terminal() -> bool:
    """Whether a line on stdout can be rewritten."""
    return is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"


def _fits(text: str) -> bool:
    """Whether the encoding of stdout has all characters of a text."""
    try:
        text.encode(_encoding())
    except UnicodeError:
        return False
    return True


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def mark(status: str) -> str:
    """The sign of a status, as stdout can show it."""
    return _MARKS[status] if _fits("".join(_MARKS.values())) else _MARKS[status].translate(_PLAIN)


def say(text: str = "", *, end: bool = True, **style: Any) -> None:
    """Write to stdout, in colour on a terminal unless ``NO_COLOR`` is set."""
    if not _fits(text):
        text = text.translate(_PLAIN).encode(_encoding(), "replace").decode(_encoding())
    text = visible(text)
    if style and _terminal() and not os.environ.get("NO_COLOR"):
        text = click.style(text, **style)
    _put(text, end=end)


def _put(text: str, *, end: bool = False) -> None:
    """Write to stdout, control sequences and all."""
    click.echo(text, file=unfiltered(sys.stdout), nl=end)


class Marks:
    """A line of marks for each group of checks, one mark for each check that has ended.

    On a terminal the running check is named after the marks. Elsewhere nothing that was printed is changed.

    Args:
        planned: ids of the checks, in the order in which they run.
    """

    def __init__(self, planned: Sequence[str]) -> None:
        self.results: list[Result] = []
        self._ahead = list(planned)
        self._live = _terminal()
        self._begin()

    def add(self, result: Result) -> None:
        """Show how a check has ended."""
        self.results.append(result)
        self._ahead = self._ahead[1:]
        group = _group(result.id)
        if self._live:
            self._erase()
        elif len(self._begun(group)) == 1:
            say(f"{group:<{_WIDTH}}", end=False)
        say(mark(result.status), end=False, fg=_COLOURS.get(result.status), bold=result.bad or None)
        if not self._ahead or _group(self._ahead[0]) != group:
            self._end(group)
            self._begin()
        else:
            self._name_next()

    def close(self) -> None:
        """End an incomplete line after something has stopped the checks."""
        if not self._ahead:
            return
        group, self._ahead = _group(self._ahead[0]), []
        if self._live:
            self._erase()
        if self._begun(group):
            self._end(group)
        elif self._live:
            _put("\r\x1b[K")

    def _begun(self, group: str) -> list[Result]:
        return [result for result in self.results if _group(result.id) == group]

    def _begin(self) -> None:
        if self._ahead and self._live:
            say(f"{_group(self._ahead[0]):<{_WIDTH}}", end=False)
            self._name_next()

    def _name_next(self) -> None:
        """Name the running check after the marks, and move back to the place of the next mark."""
        if self._live:
            used = _WIDTH + len(self._begun(_group(self._ahead[0])))
            room = max(0, shutil.get_terminal_size().columns - used - 1)
            _put("\x1b7")
            say(f"  {self._ahead[0]}"[:room], end=False, dim=True)
            _put("\x1b8")

    def _erase(self) -> None:
        _put("\x1b[K")

    def _end(self, group: str) -> None:
        names = [result.id for result in self._begun(group) if result.status in _TOLD]
        say(f"  {', '.join(names)}" if names else "")


def _group(id: str) -> str:
    return id.partition(".")[0]


def tell(results: Iterable[Result], *, everything: bool = True) -> None:
    """Print all that is known of each failure, error and warning.

    Args:
        results: of checks.
        everything: whether failures of one cause are all told in full; else the first is, and the others are named.
    """
    from intel_conformance.report import grouped

    for first, same in grouped(results):
        if everything:
            for result in (first, *same):
                _tell_one(result)
        else:
            _tell_one(first, same)


def _tell_one(result: Result, same: Sequence[Result] = ()) -> None:
    say()
    say(f"{result.status.upper()} {result.id}", end=False, fg=_COLOURS[result.status], bold=True)
    say(f"  ({result.clause})")
    _indented(result.message)
    if result.hint:
        _indented(f"likely: {result.hint}")
    if result.status == "error":
        _indented(str(result.evidence.get("traceback", "")))
    if same:
        _indented(f"the same cause: {', '.join(one.id for one in same)} (-v tells each)")
    if result.repro:
        _indented(f"repro: {result.repro}")


def _indented(text: str) -> None:
    for line in text.strip("\n").splitlines():
        say(f"  {line}")


def show_report(report: Report, seconds: float, *, everything: bool) -> None:
    """Print what the marks stand for.

    Args:
        report: of all checks.
        seconds: how long they took.
        everything: whether each check gets a line with its time, and its reason if it did not pass.
    """
    if everything:
        say()
        wide = max((len(result.id) for result in report.results), default=0)
        for result in report.results:
            why = "" if result.status in _TOLD else " ".join(result.message.split())
            status = result.status.replace("_", " ")
            line = f"{mark(result.status)} {status:<15}{result.id:<{wide}}{result.seconds:>8.3f} s  {why}"
            say(line.rstrip(), fg=_COLOURS.get(result.status))
    tell(report.results, everything=everything)
    say()
    say(_verdict(report, everything=everything))
    left = len(report.planned) - len(report.results)
    stopped = f" · stopped, {left} not taken up" if left else ""
    colour = "green" if report.ok else "red" if report.ran else "yellow"
    say(f"{report.summary()}{stopped} · {seconds:.1f} s", fg=colour, bold=True)


def show_reports(found: Reports) -> None:
    """One line of what all numbers of dimensions say together."""
    good = [str(report.y_dim) for report in found.reports if report.ok]
    bad = [str(report.y_dim) for report in found.reports if not report.ok]
    left = [str(y_dim) for y_dim in found.dims[len(found.reports) :]]
    parts = (("passed in", good), ("did not pass in", bad), ("not tried in", left))
    say()
    told = " · ".join(f"{what} {', '.join(dims)}" for what, dims in parts if dims)
    say(f"Dimensions of y: {told}", fg="green" if found.ok else "red", bold=True)


def _verdict(report: Report, *, everything: bool) -> str:
    """What all marks say together, in a sentence, and how to see more."""
    more = "" if everything else "; with -v: each check, and why it did not run"
    if not report.ran:
        return f"Nothing is confirmed, since no check could run{more}."
    if report.ok:
        return f"The contract and all that is promised are kept, as far as these checks can tell{more}."
    return f"The contract or a promise is broken; each failure above says which, and how to see it again{more}."


def show_list(checks: Iterable[Check]) -> None:
    """Print each check with its level and what passes, under the clause of the contract that it tests."""
    for clause, held in itertools.groupby(checks, key=lambda check: check.clause):
        say(clause, bold=True)
        for check in held:
            say(f"  {check.id:<28}{check.level:<10}{check.summary}")
