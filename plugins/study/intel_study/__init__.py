"""How are many runs compared over seeds, and what does the comparison say?

A study is data: settings that all runs share, arms that differ, seeds, metrics and claims (`Study`). `run_study` trains
and measures what is missing, `Results` is what came out, and `write_pages` makes tables, figures and a page of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_study.claims import Verdict as Verdict
    from intel_study.claims import judge as judge
    from intel_study.design import Study as Study
    from intel_study.pages import write_pages as write_pages
    from intel_study.published import StudySpec as StudySpec
    from intel_study.reading import read_study as read_study
    from intel_study.results import Results as Results
    from intel_study.running import run_study as run_study

_HOMES = {
    "claims": ("Verdict", "judge"),
    "design": ("Study",),
    "pages": ("write_pages",),
    "published": ("StudySpec",),
    "reading": ("read_study",),
    "results": ("Results",),
    "running": ("run_study",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
