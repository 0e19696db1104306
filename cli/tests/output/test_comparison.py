"""Do the texts of a comparison agree with its verdicts?"""

from __future__ import annotations

import re

import pytest
from intel_cli.output.comparison import as_json, as_latex, as_markdown

from intel_core.evaluation.comparing import Cell, Comparison, Row, SeedTest


class _Group:
    def __init__(self, name: str) -> None:
        self.name, self.runs, self.again = name, [_Run(0), _Run(1)], []


class _Run:
    def __init__(self, seed: int) -> None:
        self.seed, self.path = seed, f"run-{seed}"


@pytest.mark.parametrize(("alone", "shown"), [(0.0497, "0.0497"), (0.04, "0.04")])
def test_a_p_value_that_passes_alone_is_shown_below_the_level(alone: float, shown: str) -> None:
    test = SeedTest("Welch's t-test", -1.0, 0.4, (-2.0, 0.0), alone, 3 * alone, "test", 3)
    cells = (
        Cell(1.0, 0.1, (0.9, 1.1), None, "reference"),
        Cell(0.0, 0.1, (-0.1, 0.1), test, "not significant after correction"),
    )
    groups = (_Group("a"), _Group("b"))
    comparison = Comparison(groups, (Row("test", "elbo", "nats", "higher", cells),), 0.05, 1)  # type: ignore[arg-type]
    assert f"alone {shown}; 3 tests" in as_markdown(comparison)
    assert as_json(comparison)["rows"][0]["cells"][1]["test"]["p_alone"] == alone


# --- LaTeX ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    r"a_b & 50% #1 {x} \end{tabular} \input{/etc/passwd}",
    "$x^2$ ~tilde~ <a|b> \"q\" 'r' `s`",
    "}{",
    "\\",
    "%",
    "[2cm] after the end of a row",
    "* starred",
    "β=4, λ ≤ 0.5, 10² ± 3 → ∞ … – −1 × 2 · 3",
    "naïve Łódź",
    "群 🙂 \u202e\x1b[31mred\x00",
    "two\nlines\tand \\\\ more",
    "a--b---c",
    "-0.5 and --steps=-3",
]
COMMANDS = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "textbackslash", "textasciitilde", "textasciicircum"),
    *("textless", "textgreater", "textbar", "char", "pm", "to", "dots", "times", "textsuperscript", "leq", "geq"),
    *("infty", "cdot", "beta", "lambda"),
}


def cells_of_latex(text: str) -> list[int]:
    """Cells of each row of a tabular; fails where pdfTeX would, or would set something else than the text."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert lines[0].startswith(r"\begin{tabular}{")
    assert lines[-1] == r"\end{tabular}"
    assert [line for line in lines if line.startswith(r"\end")] == lines[-1:]
    rows = [line for line in lines[1:-1] if line not in (r"\toprule", r"\midrule", r"\bottomrule")]
    counts = []
    for row in rows:
        assert row.endswith(r" \\")
        assert not row.startswith(("[", "*"))
        left, depth, in_math, cells = row.removesuffix(r" \\"), 0, False, 1
        assert all(" " <= sign <= "\u017f" for sign in left)
        while left:
            escaped = re.match(r"\\([#$%&_{}])", left)
            command = re.match(r"\\([A-Za-z]+)(\d*)", left)
            if escaped:
                left = left[2:]
            elif command:
                assert command[1] in COMMANDS, command[0]
                assert command[1] not in ("begin", "end")
                assert in_math or left[command.end() :].startswith("{")  # or it would take a space, or what follows
                left = left[command.end() :]
            else:
                sign, left = left[0], left[1:]
                assert sign not in "\\#%_^~\"'`<>|", (sign, left)
                depth += {"{": 1, "}": -1}.get(sign, 0)
                assert depth >= 0
                in_math ^= sign == "$"
                assert not (sign == "&" and (depth or in_math))
                cells += sign == "&"
        assert depth == 0
        assert not in_math
        counts.append(cells)
    return counts


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_is_sound_whatever_runs_metrics_and_units_are_called(name: str) -> None:
    test = SeedTest("Welch's t-test", -1.0, 0.4, (-2.0, 0.0), 0.04, 0.04, "test", 1)
    cells = (Cell(-1.0, 0.1, (0.9, 1.1), None, "reference"), Cell(0.0, None, (0.0,), test, "worse"), None)
    rows = (
        Row("test", "elbo", name, "higher", cells),
        Row(name, name, "", None, cells),
        Row("m", name, "%", None, cells),
    )
    groups = (_Group(name), _Group(f"{name}, x"), _Group("third"))
    said = as_latex(Comparison(groups, rows, 0.05, 1, (name, f"{name}.")))  # type: ignore[arg-type]
    counts = cells_of_latex(said)
    columns = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", said.splitlines()[1])
    assert columns is not None
    assert counts == [len(columns[1])] * 4


def test_the_parser_of_these_tests_finds_what_is_not_sound() -> None:
    sound = as_latex(Comparison((_Group("a"),), (), 0.05, 0))  # type: ignore[arg-type]
    assert cells_of_latex(sound) == [3]
    for bad in ("a_b", "50% more", r"\frac{1}{2}", "{", "}", "$x", "#1", r"\textless", '"', "β", "~"):
        with pytest.raises(AssertionError):
            cells_of_latex(sound.replace(" & a & ", f" & {bad} & "))
    assert cells_of_latex(sound.replace(" & a & ", " & b & c & ")) == [4]
