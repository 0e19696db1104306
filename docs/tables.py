"""What did the studies of the paper find? Puts their tables into the pages of results, and all claims into one page.

python docs/tables.py            says which pages are not what the numbers give; exit status 1 if one is
python docs/tables.py --write    writes them

The numbers of a study are `docs/results/NAME.json`, which is its study.json. A page takes its table between two lines,
of which the first is ``<!-- table: NAME -->``; ``claims`` has the claims of every study that is published,
also of those that were not run.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from intel_study.pages import all_claims, as_markdown
from intel_study.reading import find_study, read_study
from intel_study.results import Results

from intel_core.components import discovery

RESULTS = Path(__file__).parent / "results"
ORDER = ("table1", "table2", "table3", "table4", "fig3", "fig4", "fig7", "c3", "fig8", "b1", "ablation")
"""As in the paper; studies of other distributions come after them."""
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", flags=re.DOTALL)


def found(name: str) -> Results:
    """The numbers of a study, or that there are none."""
    path = RESULTS / f"{name}.json"
    return Results.read(path) if path.is_file() else Results.of_nothing(name, read_study(find_study(name)[1]))


def without_title(results: Results) -> str:
    """The tables of a study as a part of a page, which has a title and says what the question is."""
    text = as_markdown(results).partition("\n")[2].strip()
    return text.removeprefix(results.study.question or "").strip().replace("\n## ", "\n### ")


def table(name: str) -> str:
    """What stands between the lines of a name."""
    if name != "claims":
        return without_title(found(name))
    names = [component.name for component in discovery.available("studies")]
    studies = [found(one) for one in sorted(names, key=lambda one: (*ORDER, one).index(one))]
    return all_claims(studies).strip()


def pages() -> dict[Path, str]:
    """What each page should be."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("*.md"))}
    return {
        path: BLOCK.sub(lambda block: f"{block[1]}\n{table(block[2])}\n\n{block[3]}", text)
        for path, text in texts.items()
    }


if __name__ == "__main__":
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if "--write" in sys.argv:
            path.write_text(text, encoding="utf-8")
        print(path.name)
    sys.exit(1 if stale and "--write" not in sys.argv else 0)
