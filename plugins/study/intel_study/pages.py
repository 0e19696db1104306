"""How are the results of a study shown? As Markdown, LaTeX and one HTML page, made from its numbers alone.

Nothing here imports torch.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path

from intel_core import files
from intel_core.errors import RunError
from intel_study.claims import Verdict, verdicts
from intel_study.design import Claim, Column
from intel_study.figures import draw
from intel_study.results import Results
from intel_study.summary import Entry, Row, Table, described, notes, shown, tables, unknown_numbers

__all__ = ["all_claims", "as_html", "as_latex", "as_markdown", "claims_as_markdown", "command_of", "write_pages"]

_MARKS = {"": "", "better": " ▲", "worse": " ▼", "differs": " ◆"}
_LATEX = {"": "", "better": "$^{\\blacktriangle}$", "worse": "$^{\\blacktriangledown}$", "differs": "$^{\\ast}$"}
_LEGEND = "▲ better, ▼ worse, ◆ different, by more than noise."


def write_pages(results: Results, folder: Path, *, samples: Path | None = None) -> list[Path]:
    """Write all pages of a study: ``table.md``, ``table.tex``, ``figure-….png`` and ``index.html``.

    Args:
        results: the numbers.
        folder: where to.
        samples: the folder with the samples of runs, for the pictures of them; without it, those that are there stay.

    Raises:
        RunError: if they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}") from error
    pictures = draw(results, folder, samples)
    texts = {"table.md": as_markdown(results), "table.tex": as_latex(results), "index.html": as_html(results, pictures)}
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return [*(folder / name for name in texts), *pictures.values()]


def _filled(results: Results) -> list[Table]:
    """The tables that have a number, all if none has, without columns that have none."""
    found = []
    whole = tables(results)
    for table in whole:
        names = [name for name in table.columns if any(row.entries[name] is not None for row in table.rows)]
        if names:
            found.append(table._replace(columns={name: table.columns[name] for name in names}))
    return found or whole


# --- Markdown ------------------------------------------------------------------------------------------------------


def as_markdown(results: Results) -> str:
    """Every table, the claims and what a reader must know."""
    parts = [f"# {results.study.title or results.name}"]
    if results.study.question:
        parts.append(results.study.question)
    found = _filled(results)
    for table in found:
        if table.problem:
            parts.append(f"## {table.problem}")
        parts.append(_markdown(table))
    entries = [entry for table in found for row in table.rows for entry in row.entries.values()]
    if any(entry is not None and entry.mark for entry in entries):
        parts.append(_LEGEND)
    if results.study.claims:
        parts.append("## Claims")
        parts.append(claims_as_markdown(results))
    parts.append("\n".join(f"- {note}" for note in notes(results)))
    arms = [f"- **{results.study.label(name)}**: {arm.note}" for name, arm in results.study.arms.items() if arm.note]
    if arms:
        parts.append("\n".join(arms))
    return "\n\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    heads = ["", *(_heading(column) for column in table.columns.values()), "seeds"]
    lines = [f"| {' | '.join(map(_cell, heads))} |", "|---|" + "---|" * (len(heads) - 1)]
    for row in table.rows:
        cells = [row.label, *(_entry(row, name, column) for name, column in table.columns.items()), str(row.seeds)]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _heading(column: Column) -> str:
    return f"{column.label} ({column.unit})" if column.unit else column.label


def _entry(row: Row, name: str, column: Column) -> str:
    entry = row.entries[name]
    return "–" if entry is None else f"{shown(column, entry.mean, entry.std)}{_MARKS[entry.mark]}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def claims_as_markdown(results: Results) -> str:
    """A row for each claim."""
    lines = ["| claim | the paper | here | verdict |", "|---|---|---|---|"]
    for claim, verdict in verdicts(results):
        said = _verdict(claim, verdict, results)
        where = f" ({claim.problem})" if claim.problem else ""
        lines.append(f"| {' | '.join(map(_cell, (claim.sentence + where, claim.paper or '–', *said)))} |")
    return "\n".join(lines)


def all_claims(studies: Sequence[Results]) -> str:
    """The claims of several studies as one Markdown table: sentence, paper, what was found, verdict and command.

    A study without numbers, `Results.of_nothing`, has its claims there too, as not run.
    """
    lines = ["| claim | the paper | here | verdict | command |", "|---|---|---|---|---|"]
    counts: dict[str, int] = {}
    for results in studies:
        for claim, verdict in verdicts(results):
            where = f" ({claim.problem})" if claim.problem else ""
            said = (claim.sentence + where, claim.paper or "–", *_verdict(claim, verdict, results))
            lines.append(f"| {' | '.join(map(_cell, said))} | `{command_of(results)}` |")
            counts[verdict.outcome] = counts.get(verdict.outcome, 0) + 1
    total = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return "\n".join([*lines, "", f"{sum(counts.values())} claims: {total}." if counts else "No claims."]) + "\n"


def command_of(results: Results) -> str:
    """The command that gives these numbers."""
    study, seeds = results.study, results.seeds
    words = ["intel", "study", results.file or results.name, *(["--full"] if results.is_full else [])]
    own = study.seeds
    if seeds != own and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        words += [] if seeds[0] == own[0] else ["--first-seed", str(seeds[0])]
        words += [] if len(seeds) == len(own) else ["--seeds", str(len(seeds))]
    return " ".join(words)


def _verdict(claim: Claim, verdict: Verdict, results: Results) -> tuple[str, str]:
    """What was found, and the verdict with its reason, as texts."""
    column = described(results, claim.number)
    if verdict.arm is None or verdict.outcome == "not run":
        unknown = unknown_numbers(results).get(claim.number)
        return "–", f"**{verdict.outcome}**" + (f": {unknown[:1].lower()}{unknown[1:]}" if unknown else "")
    mine = shown(column, *verdict.arm[:2])
    label = results.study.label(claim.arm)
    here = f"{column.label}: {label} {mine}"
    if verdict.against is not None:
        other = f"{results.study.label(claim.against)} " if isinstance(claim.against, str) else ""
        theirs = shown(column, *verdict.against[:2]) if other else f"{verdict.against[0]:g}"
        here += f", against {other}{theirs}"
    if verdict.interval is not None:
        low, high = (f"{end:.3g}" for end in verdict.interval)
        word = {"above": "higher by", "below": "lower by", "same": "apart by"}[claim.direction]
        here += f"; {word} {verdict.difference:.3g}, interval {low} to {high}"
    why = verdict.why
    if verdict.power is not None and claim.margin:
        counts = [n for _, _, n in (verdict.arm, verdict.against or verdict.arm) if n]
        seeds = f"{counts[0]} seeds" if len(set(counts)) == 1 else f"{' and '.join(map(str, counts))} seeds"
        why += f" (margin {claim.margin:g}; power of {seeds} to see that: {verdict.power:.0%})"
    elif claim.margin:
        why += f" (margin {claim.margin:g})"
    return here, f"**{verdict.outcome}**: {why}"


# --- LaTeX ---------------------------------------------------------------------------------------------------------


def as_latex(results: Results) -> str:
    """Every table, with the rules of booktabs."""
    parts = [_latex(table) for table in _filled(results)]
    legend = (
        "% \\usepackage{booktabs,amssymb}; "
        "triangles: better or worse than the reference by more than noise, asterisk: different"
    )
    return "\n\n".join([legend, *parts]) + "\n"


def _latex(table: Table) -> str:
    lines = [f"% {table.problem}"] if table.problem else []
    lines += [f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}", "\\toprule"]
    lines += [" & ".join(["", *(_tex(_heading(column)) for column in table.columns.values())]) + " \\\\", "\\midrule"]
    for row in table.rows:
        cells = [_tex(row.label)]
        for name, column in table.columns.items():
            entry = row.entries[name]
            cells.append("--" if entry is None else _tex_number(column, entry))
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _tex_number(column: Column, entry: Entry) -> str:
    return f"${shown(column, entry.mean, entry.std, sign=chr(92) + 'pm')}${_LATEX[entry.mark]}"


_TEX = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


# --- HTML ----------------------------------------------------------------------------------------------------------

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem }
h1 { font-size: 1.5rem }
h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: .8rem 0 }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; vertical-align: top }
th { border-bottom: 1px solid #1b1f24; font-weight: 600 }
td { border-bottom: 1px solid #e3e6ea }
th:first-child, td:first-child, .claims td, .claims th { text-align: left }
.better, .confirmed { color: #0a6b2d }
.worse, .denied { color: #a3261b }
.differs { color: #7a4b00 }
.scroll { overflow-x: auto }
img { max-width: 100% }
small, .quiet { color: #57606a }
details { margin: .6rem 0 }
pre { overflow-x: auto }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e4e7ea }
  th { border-color: #e4e7ea }
  td { border-color: #2b3036 }
  .better, .confirmed { color: #6fd08c }
  .worse, .denied { color: #ff8f84 }
  .differs { color: #e3b341 }
  img { background: #fff }
  small, .quiet { color: #9aa4ae }
}
"""


def as_html(results: Results, pictures: dict[int, Path]) -> str:
    """One page that needs no other file."""
    study, title = results.study, html.escape(results.study.title or results.name)
    body = [f"<h1>{title}</h1>"]
    if study.question:
        body.append(f"<p>{html.escape(study.question)}</p>")
    if study.claims:
        body += ["<h2>Claims</h2>", _html_claims(results)]
    for table in _filled(results):
        body.append(f"<h2>{html.escape(table.problem or 'Numbers')}</h2>")
        body.append(_html_table(table))
    for place, path in pictures.items():
        figure = study.figures[place]
        body.append(f"<h2>{html.escape(figure.title or figure.kind.capitalize())}</h2>")
        data = base64.b64encode(path.read_bytes()).decode()
        alt = html.escape(figure.title or figure.kind)
        body.append(f'<p><img alt="{alt}" src="data:image/png;base64,{data}"></p>')
    body.append("<h2>What a reader must know</h2><ul>")
    body += [f"<li>{html.escape(note)}</li>" for note in [_LEGEND, *notes(results)]]
    body += [
        f"<li><b>{html.escape(study.label(name))}</b>: {html.escape(arm.note)}</li>"
        for name, arm in study.arms.items()
        if arm.note
    ]
    body.append("</ul>")
    body.append(_html_settings(results))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        + "\n".join(body)
        + "</body></html>\n"
    )


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{html.escape(_heading(column))}</th>" for column in table.columns.values())
    rows = [f"<tr><th></th>{heads}<th>seeds</th></tr>"]
    for row in table.rows:
        cells = []
        for name, column in table.columns.items():
            entry = row.entries[name]
            if entry is None:
                cells.append("<td>–</td>")
                continue
            values = ", ".join(f"seed {seed}: {value:.6g}" for seed, value in entry.values.items())
            p = "" if entry.p is None else f"; p {entry.p:.2g}"
            text = html.escape(shown(column, entry.mean, entry.std) + _MARKS[entry.mark])
            cells.append(f'<td class="{entry.mark}" title="{html.escape(values + p)}">{text}</td>')
        rows.append(f"<tr><td>{html.escape(row.label)}</td>{''.join(cells)}<td>{row.seeds}</td></tr>")
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _html_claims(results: Results) -> str:
    rows = ["<tr><th>claim</th><th>the paper</th><th>here</th><th>verdict</th></tr>"]
    for claim, verdict in verdicts(results):
        here, said = _verdict(claim, verdict, results)
        reason = html.escape(re.sub(r"^\*\*.*?\*\*: ", "", said))
        where = f"<br><small>{html.escape(claim.problem)}</small>" if claim.problem else ""
        css = verdict.outcome if verdict.outcome in ("confirmed", "denied") else "quiet"
        rows.append(
            f"<tr><td>{html.escape(claim.sentence)}{where}</td><td>{html.escape(claim.paper or '–')}</td>"
            f'<td>{html.escape(here)}</td><td><b class="{css}">{verdict.outcome}</b><br>'
            f"<small>{reason}</small></td></tr>"
        )
    return f'<div class="scroll"><table class="claims">{"".join(rows)}</table></div>'


def _html_settings(results: Results) -> str:
    """The settings of every arm, and by which protocol each metric measured."""
    parts = ["<h2>Settings and protocols</h2>"]
    for problem, arms in results.specs.items():
        for arm, spec in arms.items():
            lines = "\n".join(f"{key}: {value}" for key, value in spec.items() if value not in (None, {}, []))
            label = f"{arm} @ {problem}" if problem else arm
            parts.append(f"<details><summary>{html.escape(label)}</summary><pre>{html.escape(lines)}</pre></details>")
    seen: set[str] = set()
    for cell in results.cells:
        for alias, one in cell.metrics.items():
            if one.status == "measured" and one.metric not in seen:
                seen.add(one.metric)
                lines = "\n".join(
                    [one.metric, one.version, *(f"{k}: {v}" for k, v in one.protocol.items()), *one.notes]
                )
                parts.append(
                    f"<details><summary>metric {html.escape(alias)}</summary><pre>{html.escape(lines)}</pre></details>"
                )
    versions = {name: version for cell in results.cells for name, version in cell.versions.items()}
    parts.append(
        f"<details><summary>versions and machines</summary><pre>"
        f"{html.escape(chr(10).join(f'{n} {v}' for n, v in versions.items()))}\n\n"
        f"{html.escape(chr(10).join(sorted(set(results.kinds_of_machine()))))}</pre></details>"
    )
    return "\n".join(parts)
