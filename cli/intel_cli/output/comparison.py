"""How is a comparison of runs written: as a table in a terminal, as Markdown, LaTeX or JSON?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from intel_cli.output.console import console, four_digits
from intel_cli.output.terms import TERMS

if TYPE_CHECKING:
    from intel_core.evaluation.comparing import Cell, Comparison, Row

__all__ = ["as_json", "as_latex", "as_markdown", "latex_table", "markdown_table", "show"]

_NAMES = {**TERMS, "active_units": "active units"}
"""Of the numbers that runs have of their test data."""
_NONE, _BREAK, _VERDICT = "–", "  ", "verdict"
"""What stands where there is no number, between a difference and what is said of it, and above that."""
_GREEK = "alpha beta gamma delta varepsilon theta lambda mu pi rho sigma varphi chi psi omega"
_LATEX = {sign: f"\\{sign}" for sign in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "…": r"\dots{}",
    "×": r"$\times$",
    "²": r"\textsuperscript{2}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "·": r"$\cdot$",
    **{letter: rf"$\{name}$" for letter, name in zip("αβγδεθλμπρσφχψω", _GREEK.split(), strict=True)},
}
"""Characters that LaTeX reads as commands, or does not know in every font."""
_LAST_LETTER = "\u017f"
"""LaTeX sets letters up to this one as they are, in UTF-8."""
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


class _Table(NamedTuple):
    """A heading for each column and the rows; the first column is text, the last the unit."""

    heads: list[str]
    rows: list[list[str]]


def _label(row: Row, rows: tuple[Row, ...]) -> str:
    """The metric and the number; the settings of the metric are added if two of one name are shown."""
    from intel_core.evaluation.comparing import TEST, short_name

    if row.metric == TEST:
        return f"{TEST} {_NAMES.get(row.number, row.number)}"
    short = short_name(row.metric)
    alike = {other.metric for other in rows if short_name(other.metric) == short}
    return f"{short if len(alike) == 1 else row.metric} {row.number}".replace("_", " ")


def _value(cell: Cell | None, runs: int) -> str:
    """Mean and standard deviation, and how many runs have the number if some lack it."""
    if cell is None:
        return _NONE
    spread = "" if cell.std is None else f" ± {cell.std:.2g}"
    of = "" if len(cell.values) == runs else f" of {len(cell.values)} run{'s'[: len(cell.values) != 1]}"
    return f"{four_digits(cell.mean)}{spread}{of}"


def _difference(cell: Cell | None, level: float) -> str:
    """The difference with its standard error, what the test says of it, and p with the size of its family."""
    if cell is None or cell.test is None:
        return _NONE
    test = cell.test
    tests = f"{test.tests} test{'s'[: test.tests != 1]}"
    alone = f", alone {_p(test.p_alone, level)}" if test.p_alone < level <= test.p else ""
    return f"{_signed(test.difference, test.error)}{_BREAK}{cell.verdict} (p {_p(test.p, level)}{alone}; {tests})"


def _p(p: float, level: float) -> str:
    """A p-value in two digits, or as many as keep it on its side of the level.

    >>> _p(0.0497, 0.05), _p(0.04997, 0.05), _p(0.0502, 0.05), _p(0.2412, 0.05), _p(0.0002, 0.05)
    ('0.0497', '0.04997', '0.0502', '0.24', '<0.001')
    """
    if p < 0.001 <= level:
        return "<0.001"
    texts = (f"{p:.{digits}g}" for digits in range(2, 17))
    return next((text for text in texts if (float(text) < level) == (p < level) and float(text) != level), f"{p:.2g}")


def _signed(value: float, error: float) -> str:
    """A difference with as many decimals as its error has in two digits.

    >>> _signed(-0.16811, 0.0291), _signed(2.0, 0.0), _signed(1234.5, 80.0)
    ('-0.168 ± 0.029', '+2 ± 0', '+1234 ± 80')
    """
    if not 0 < error < math.inf or abs(math.log10(error)) > 6:
        return f"{value:+.4g} ± {error:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:+.{decimals}f} ± {error:.{decimals}f}"


def _table(comparison: Comparison) -> _Table:
    """A column for each group, and after those that are tested one for the difference from the first."""
    groups = comparison.groups
    tested = [any(cell is not None and cell.test is not None for cell in column) for column in _columns(comparison)]
    heads = ["", *(name for i, g in enumerate(groups) for name in [g.name, *[f"less {groups[0].name}"] * tested[i]])]
    rows = []
    for row in comparison.rows:
        cells = [_label(row, comparison.rows)]
        for i, (cell, group) in enumerate(zip(row.cells, groups, strict=True)):
            cells.append(_value(cell, len(group.runs)))
            if tested[i]:
                cells.append(_difference(cell, comparison.level))
        rows.append([*cells, row.unit])
    return _Table([*heads, "unit"], rows)


def _columns(comparison: Comparison) -> list[list[Cell | None]]:
    return [[row.cells[i] for row in comparison.rows] for i in range(len(comparison.groups))]


def _legend(comparison: Comparison) -> list[str]:
    """What the numbers in the table are, which tests were made, and what they do not say, in sentences."""
    first, sizes = comparison.groups[0].name, sorted({len(group.runs) for group in comparison.groups})
    seeds = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = f"mean ± standard deviation over {seeds} seed{'' if sizes == [1] else 's'}"
    if len(comparison.groups) == 1:
        return [f"{said}."]
    if not comparison.tests:
        return [f"{said}. No test: at least two runs that differ in their seed alone are needed on both sides."]
    several = len(comparison.groups) > 2
    return [
        f"{said}; less {first}: difference ± its standard error.",
        *_tests(comparison),
        f"p is adjusted by Holm's method within a family, the numbers by which one metric answers one question"
        f"{' of one group' if several else ''}: {_families(comparison)}. A difference counts if p < "
        f"{comparison.level:g}, which holds for each family by itself.",
        *_meanings(comparison),
    ]


def _tests(comparison: Comparison) -> list[str]:
    """Which test was made of which group."""
    first, said = comparison.groups[0], []
    for group, column in zip(comparison.groups[1:], _columns(comparison)[1:], strict=True):
        names = [cell.test.name for cell in column if cell is not None and cell.test is not None]
        if not names:
            said.append(f"{group.name}: no test, for lack of two runs with other seeds on both sides.")
        elif "paired t-test" in names:
            seeds = ", ".join(str(run.seed) for run in group.runs)
            others = names.count("Welch's t-test")
            also = f"; Welch's t-test for {others} whose differences do not vary or have no two pairs" if others else ""
            said.append(f"{group.name}: paired t-test over seeds, the same ({seeds}) on the same data{also}.")
        else:
            same = [run.seed for run in group.runs] == [run.seed for run in first.runs]
            why = "differences do not vary" if same else f"its seeds or data are not those of {first.name}"
            said.append(f"{group.name}: Welch's t-test over seeds, since {why}.")
    return said


def _families(comparison: Comparison) -> str:
    """Each family with the number of its tests; those of several groups where they differ."""
    sizes: dict[str, list[int]] = {}
    for row in comparison.rows:
        for cell in row.cells:
            if cell is not None and cell.test is not None:
                sizes.setdefault(cell.test.family, []).append(cell.test.tests)
    short = {family: re.sub(r"^(\w+):\S*", r"\1", family) for family in sizes}
    names = {family: name if list(short.values()).count(name) == 1 else family for family, name in short.items()}
    told = (f"{names[f]} ({' or '.join(map(str, dict.fromkeys(found)))})" for f, found in sizes.items())
    return ", ".join(told).replace("_", " ")


def _meanings(comparison: Comparison) -> list[str]:
    """Words of the table that a reader could take for more than they say."""
    verdicts = {cell.verdict for column in _columns(comparison) for cell in column if cell is not None}
    said = []
    if "within noise" in verdicts:
        said.append("Within noise: smaller than its standard error.")
    if verdicts & {"within noise", "no difference shown", "not significant after correction"}:
        said.append("No difference shown is not the same as equal: see the standard error.")
    return [" ".join(said)] if said else []


def show(comparison: Comparison) -> None:
    """A table in the terminal, and what it means below it."""
    from rich.table import Table

    made, out = _in_two(_table(comparison), comparison.groups[0].name), console()
    table = Table()
    sizes = {group.name: len(group.runs) for group in comparison.groups}
    for i, head in enumerate(made.heads):
        last = i in (0, len(made.heads) - 1)
        count = f"\n{sizes[head]} run{'s'[: sizes[head] != 1]}" if head in sizes and not last else ""
        words = last or head == _VERDICT
        table.add_column(f"{head}{count}", justify="left" if words else "right", overflow="fold")
    for cells in made.rows:
        table.add_row(*cells)
    out.print(table)
    for text in (*_legend(comparison), *comparison.notes):
        out.print(text, soft_wrap=True)


def as_markdown(comparison: Comparison) -> str:
    """A Markdown table, and what it means below it."""
    made = _table(comparison)
    heads = [f"`{head}`" if 0 < i < len(made.heads) - 1 else head for i, head in enumerate(made.heads)]
    return markdown_table(heads, made.rows, (*_legend(comparison), *comparison.notes))


def markdown_table(heads: list[str], rows: list[list[str]], below: Iterable[str]) -> str:
    """A Markdown table, and paragraphs below it."""
    lines = [_markdown_row(heads), f"|{'---|' * len(heads)}", *map(_markdown_row, rows)]
    return "\n".join([*lines, *(f"\n{text}" for text in below)])


def _markdown_row(cells: list[str]) -> str:
    first, *rest = (cell.replace("|", "\\|") for cell in cells)
    return f"| {first} | {' | '.join(rest)} |" if first else f"| | {' | '.join(rest)} |"


def as_latex(comparison: Comparison) -> str:
    r"""A table for LaTeX's ``tabular`` with the rules of booktabs; what it means is in comments below it.

    Every character that LaTeX reads as a command is escaped.
    """
    made = _in_two(_table(comparison), comparison.groups[0].name)
    columns = f"l{'r' * (len(made.heads) - 2)}l"
    return latex_table(columns, made.heads, made.rows, (*_legend(comparison), *comparison.notes))


def latex_table(columns: str, heads: list[str], rows: list[list[str]], below: Iterable[str]) -> str:
    """The same for any table, with the columns of a ``tabular``; sentences below it are comments."""
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_escaped, heads)) + r" \\",
        r"\midrule",
        *(" & ".join(map(_escaped, cells)) + r" \\" for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {' '.join(text.split())}" for text in below),
    ]
    return "\n".join(lines)


def _in_two(table: _Table, first: str) -> _Table:
    """The same table with a difference and what is said of it in two columns."""
    halved = [head == f"less {first}" for head in table.heads]

    def split(cells: list[str], second: str) -> list[str]:
        parts = (
            [*cell.split(_BREAK, 1), second][:2] if half else [cell] for cell, half in zip(cells, halved, strict=True)
        )
        return [one for two in parts for one in two]

    return _Table(split(table.heads, _VERDICT), [split(cells, "") for cells in table.rows])


def _escaped(text: str) -> str:
    r"""Text for LaTeX, with a minus sign before negative numbers.

    >>> print(_escaped("cluster:k=3,learnable=true"), _escaped("-0.17 ± 0.03 & 5 %"))
    cluster:k=3,learnable=true $-$0.17 $\pm$ 0.03 \& 5 \%
    """
    marked = _MINUS.sub("−", " ".join(text.split()))
    known = "".join(_LATEX.get(sign) or (sign if _is_set(sign) else f"[U+{ord(sign):04X}]") for sign in marked)
    known = known.replace("--", "-{}-") if "--" in text else known  # which would be one dash
    return f"{{}}{known}" if known.startswith(("[", "*")) else known  # or the end of the row above would take it


def _is_set(sign: str) -> bool:
    return sign.isprintable() and sign <= _LAST_LETTER


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything that was compared, for a program."""
    return {
        "groups": [{"name": group.name, "runs": [str(run.path) for run in group.runs]} for group in comparison.groups],
        "rows": [
            {**row._asdict(), "cells": [None if cell is None else _cell_as_json(cell) for cell in row.cells]}
            for row in comparison.rows
        ],
        "test": "against the first group over seeds, the paired t-test where seeds and data are the same, Welch's "
        "elsewhere; p-values adjusted by Holm's method within each family",
        "tests": comparison.tests,
        "level": comparison.level,
        "legend": _legend(comparison),
        "notes": comparison.notes,
    }


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    test = None if cell.test is None else cell.test._asdict()
    return {**cell._asdict(), "test": test, "p": None if cell.test is None else cell.test.p}
