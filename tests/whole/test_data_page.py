"""Do the examples of docs/data.md run, one after another?"""

from __future__ import annotations

import importlib.util
import re
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
LIBRARIES = ("anndata", "datasets")
"""What is not installed for the tests; examples that import one run where it is."""


@pytest.mark.filterwarnings("ignore")
def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("intel_core.components.discovery.registered", {})
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        wanted = re.findall(r"^import (\w+)", block, flags=re.MULTILINE)
        if any(name in LIBRARIES and importlib.util.find_spec(name) is None for name in wanted):
            continue
        exec(compile(textwrap.dedent(block), str(PAGE), "exec"), names)
