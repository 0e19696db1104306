"""Does each published study describe runs and metrics that there are, and say which claims it is about?"""

from __future__ import annotations

import subprocess
import sys

import pytest
from intel_study import Study, read_study
from intel_study.layers import cell_settings
from intel_study.planning import metrics_of
from intel_study.reading import find_study

from intel_core import available
from intel_core.recipe.contradictions import refuse_contradictions
from intel_core.recipe.runspec import make_run_spec

NAMES = [component.name for component in available("studies") if component.distribution == "intelvae-study"]


def protocols(name: str) -> list[Study]:
    study = read_study(find_study(name)[1])
    return [study] if study.full is None else [study, study.in_full()]


def test_the_studies_of_the_paper_and_one_more_are_there() -> None:
    tables = {"table1", "table2", "table3", "table4", "b1"}
    assert set(NAMES) == tables | {"fig3", "fig4", "fig7", "fig8", "c3", "ablation", "strength"}


@pytest.mark.parametrize("name", NAMES)
def test_every_run_and_metric_of_it_can_be_described(name: str) -> None:
    for study in protocols(name):
        assert metrics_of(study)[0]
        for problem in study.problem_names:
            for arm in study.arm_names(problem):
                refuse_contradictions(make_run_spec(**cell_settings(study, problem, arm), seed=0))


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_asks_and_what_the_paper_claims(name: str) -> None:
    (study, *_) = protocols(name)
    assert study.title
    assert study.question
    assert study.numbers
    assert study.claims
    assert study.reference
    assert all(claim.paper for claim in study.claims)
    assert min(study.seeds) >= 10  # settings were chosen on the first ones


def test_listing_studies_and_their_schema_imports_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from intel_study import Study; Study.model_json_schema(); "
        "from intel_study.command import study; study([])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert {line.split()[0] for line in found.stdout.splitlines()} >= set(NAMES)
