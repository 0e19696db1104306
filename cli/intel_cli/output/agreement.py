"""How is it written how well the clusters of runs agree: as a table, as Markdown, LaTeX or JSON?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intel_cli.output.comparison import latex_table, markdown_table
from intel_cli.output.console import console

if TYPE_CHECKING:
    from intel_core.evaluation.agreement import Agreement, ClusterComparison, Sizes

__all__ = ["agreement_as_json", "agreement_as_latex", "agreement_as_markdown", "show_agreement", "spread"]

_HEADS = ["clusters of", "beside", "NMI", "adjusted Rand", "pairs"]
_FEW = 12
"""So many sizes are listed; of more, the largest and the smallest."""


def spread(values: Sequence[float]) -> str:
    """The mean of some numbers, and the smallest and the largest of them.

    >>> spread([0.912, 0.95]), spread([0.5])
    ('0.93 (0.91 to 0.95)', '0.50')
    """
    told = f"{math.fsum(values) / len(values):.2f}"
    return told if len(values) == 1 else f"{told} ({min(values):.2f} to {max(values):.2f})"


def _rows(found: ClusterComparison) -> list[list[str]]:
    return [
        [one.of, _beside(one), spread(one.nmi), spread(one.rand), str(len(one.nmi)) if one.beside else "–"]
        for one in found.agreements
    ]


def _beside(one: Agreement) -> str:
    return "the labels" if not one.beside else "its other seeds" if one.beside == one.of else one.beside


def _legend(found: ClusterComparison) -> list[str]:
    """What the numbers are, and the sizes of the clusters, in sentences."""
    said = []
    if found.agreements:
        said.append(
            f"Clusters of {found.examples:,} test examples, means and ranges over pairs of runs. NMI is the mutual "
            "information over the mean of both entropies; adjusted Rand the share of pairs of examples that both put "
            "together or apart, less what chance explains. 1: the same clusters; 0: unrelated ones."
        )
    said += [f"{one.of}: {sizes(one)}." for one in found.sizes]
    return [*said, *found.notes]


def sizes(one: Sizes) -> str:
    """The sizes of the clusters of a group of runs, in words."""
    told = [f"{share:.1%}" for share in one.shares]
    if len(told) > _FEW:
        told = [*told[: _FEW - 2], "…", told[-1]]
    over = f", means over {one.runs} runs" if one.runs > 1 else ""
    empty = f"; {one.empty:.2g} of them hold no example" if one.empty else ""
    return f"{len(one.shares)} clusters of {', '.join(told)} (largest first{over}){empty}"


def show_agreement(found: ClusterComparison) -> None:
    """A table in the terminal, and what it means below it."""
    from rich.table import Table

    out, rows = console(), _rows(found)
    if rows:
        table = Table()
        for i, head in enumerate(_HEADS):
            table.add_column(head, justify="left" if i < 2 else "right", overflow="fold")
        for cells in rows:
            table.add_row(*cells)
        out.print(table)
    for text in _legend(found):
        out.print(text, soft_wrap=True)


def agreement_as_markdown(found: ClusterComparison) -> str:
    """A Markdown table, and what it means below it."""
    names = {one.of for one in found.sizes}
    rows = [[f"`{cell}`" if cell in names else cell for cell in cells] for cells in _rows(found)]
    return markdown_table(_HEADS, rows, _legend(found)) if rows else "\n\n".join(_legend(found))


def agreement_as_latex(found: ClusterComparison) -> str:
    """A table for LaTeX's ``tabular``, and what it means in comments below it."""
    rows = _rows(found)
    return latex_table("llrrr", _HEADS, rows, _legend(found)) if rows else "\n".join(f"% {s}" for s in _legend(found))


def agreement_as_json(found: ClusterComparison) -> dict[str, Any]:
    """Everything that was compared, for a program; `beside` is null for the labels of the data."""
    return {
        "examples": found.examples,
        "agreement": [one._asdict() | {"beside": one.beside or None} for one in found.agreements],
        "sizes": [one._asdict() for one in found.sizes],
        "legend": _legend(found),
    }
