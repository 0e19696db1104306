"""Are costs those of what has ended, and estimates corrected by it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from intel_study import Study
from intel_study.costs import Costs, spoken
from intel_study.jobs import Job
from intel_study.planning import Planner


@pytest.fixture
def jobs(study_with: Callable[..., Study], tmp_path: Path) -> list[Job]:
    study = study_with(problems={"x": {}, "y": {}}, seeds=1, metrics=[])
    return Planner(study, tmp_path).jobs(study.seeds)


def test_nothing_is_known_of_what_nobody_did(jobs: list[Job]) -> None:
    assert Costs(jobs).of(jobs[0]) is None


def test_a_job_takes_as_long_as_its_like(jobs: list[Job]) -> None:
    plain_x, ring_x, plain_y, ring_y = jobs
    costs = Costs(jobs)
    costs.add(plain_x, 10)
    assert costs.of(plain_x) == 10
    assert costs.of(plain_y) == 10  # the same arm elsewhere
    costs.add(ring_x, 30)
    assert (costs.of(plain_y), costs.of(ring_y)) == (10, 30)
    assert costs.of(ring_y, rough=False) is None


def test_estimates_are_corrected_by_what_has_ended(jobs: list[Job]) -> None:
    plain_x, ring_x, *_ = jobs
    costs = Costs(jobs, lambda job: 2.0 if job.arm == "plain" else 5.0)
    assert (costs.of(plain_x), costs.of(ring_x)) == (2, 5)
    costs.add(plain_x, 6)
    assert costs.of(ring_x) == 15


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_times_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
