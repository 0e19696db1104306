"""Are pages made from the numbers alone, the same as before, and without torch?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from intel_study import Results, Study, run_study, write_pages
from intel_study.pages import all_claims, as_html, as_latex, as_markdown, command_of

from intel_core import RunError

CLAIM = {
    "sentence": "The ring | covers more",
    "paper": "<b>Figure 4</b>",
    "number": "coverage",
    "arm": "ring",
    "against": "plain",
    "direction": "above",
    "margin": 5,
}


@pytest.fixture
def results(study_with: Callable[..., Study], tmp_path: Path) -> Results:
    study = study_with(
        title="Rings & <loops>",
        numbers={"coverage": "manifold.coverage", "elbo": None},
        arms={"plain": {"label": "100 % plain_"}, "ring": {"settings": {"mapping": "circle"}, "note": "round"}},
        claims=[CLAIM],
        figures=[{"kind": "samples"}, {"kind": "numbers", "x": "elbo", "y": "coverage"}],
    )
    found = run_study(study, tmp_path / "out", name="rings")
    found.write(tmp_path / "out" / "study.json")
    write_pages(found, tmp_path / "out", samples=tmp_path / "out" / "samples")
    return found


def test_pages_are_made_again_from_the_numbers_alone(results: Results, tmp_path: Path) -> None:
    code = (
        "import sys; from intel_study.command import study; "
        "study(['table', sys.argv[1], '--out', sys.argv[2]], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out" / "study.json"), str(tmp_path / "again")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    for name in ("table.md", "table.tex", "figure-2-numbers.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert found.stdout.strip() == (tmp_path / "out" / "table.md").read_text(encoding="utf-8").strip()


def test_the_numbers_survive_the_file(results: Results, tmp_path: Path) -> None:
    again = Results.read(tmp_path / "out" / "study.json")
    assert again.cells == results.cells
    assert again.study == results.study
    assert again.cells[0].metrics["manifold"].protocol
    content = json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))
    named = [cell["metrics"]["manifold"]["protocol"] for cell in content["cells"]]
    assert len(set(named)) == 1  # written once, however many cells have it
    assert content["shared"][named[0]] == again.cells[0].metrics["manifold"].protocol


def test_names_are_text_in_every_page(results: Results) -> None:
    text = as_markdown(results)
    assert "The ring \\| covers more" in text
    assert "100 \\% plain\\_" in as_latex(results)
    page = as_html(results, {})
    assert "Rings &amp; &lt;loops&gt;" in page
    assert "<b>Figure" not in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)


def test_pictures_of_samples_stay_where_the_samples_are_gone(results: Results, tmp_path: Path) -> None:
    drawn = tmp_path / "out" / "figure-1-samples.png"
    before = drawn.read_bytes()
    write_pages(results, tmp_path / "out")
    assert drawn.read_bytes() == before
    assert "data:image/png" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        ("{", "cannot be read"),
        ("[1]", "does not hold the numbers of a study"),
        (
            '{"format": 9, "name": "", "study": {}, "seeds": [], "cells": []}',
            "has format 9, this version reads up to 1",
        ),
        ('{"format": 1, "name": "", "study": {}, "seeds": [], "cells": [3]}', "is damaged"),
        ('{"format": 1, "name": "", "study": {"arms": {}}, "seeds": [], "cells": []}', "is damaged: study.arms"),
    ],
)
def test_a_file_that_holds_no_study_is_refused(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "study.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunError, match=re.escape(expected)):
        Results.read(path)


def test_claims_of_several_studies_are_one_table(results: Results, tmp_path: Path) -> None:
    fewer = results.model_copy(update={"seeds": (0,), "name": "fewer", "is_full": True})
    text = all_claims([results, fewer])
    assert text.count("The ring \\| covers more") == 2
    assert "| `intel study rings` |" in text
    assert "| `intel study fewer --full --seeds 1` |" in text
    assert text.splitlines()[-1].startswith("2 claims: ")
    assert command_of(results.model_copy(update={"seeds": (4, 5)})) == "intel study rings --first-seed 4"


def test_columns_and_problems_without_a_number_are_left_out(results: Results) -> None:
    numbers = {"coverage": results.study.column("coverage"), "kl_y": results.study.column("kl_y")}
    only_plain = tuple(cell for cell in results.cells if cell.arm == "plain")
    study = results.study.model_copy(update={"numbers": numbers})
    text = as_markdown(results.model_copy(update={"study": study, "cells": only_plain}))
    assert "|  | coverage (%) | seeds |" in text
    assert "No run has a number 'kl_y'" in text
