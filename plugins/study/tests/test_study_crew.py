"""Is a job whose process is gone tried again, and given up after the third time?"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from intel_study import Study, run_study
from intel_study.crews import Here, LocalProcesses
from intel_study.planning import Planner
from intel_study.watching import Until
from intel_study.working import work

from intel_core import SpecError, load_run


class Mortal(Here):
    """A crew whose process is gone the first times that it is given a job of some arm."""

    def __init__(self, arm: str, times: int) -> None:
        self.arm, self.left, self.tried = arm, times, 0

    def submit(self, job: Any, until: Any) -> Future[Any]:
        if job.arm != self.arm or self.left == 0:
            return super().submit(job, until)
        self.tried += 1
        self.left -= 1
        future: Future[Any] = Future()
        future.set_exception(BrokenProcessPool("killed"))
        return future


@pytest.mark.parametrize(("times", "status"), [(2, "measured"), (3, "failed")])
def test_a_job_is_tried_three_times(study_with: Callable[..., Study], tmp_path: Path, times: int, status: str) -> None:
    crew = Mortal("ring", times)
    said: list[str] = []
    results = run_study(study_with(seeds=1), tmp_path, crew=crew, tell=lambda progress: said.append(progress.said))
    plain, ring = results.cells
    assert (plain.status, ring.status) == ("measured", status)
    assert crew.tried == times
    assert any("its process is gone; it is tried again" in line for line in said)
    if status == "failed":
        assert ring.reason == "its process was gone 3 times"
        assert run_study(study_with(seeds=1), tmp_path).cells[1].status == "measured"  # another day, another try


def test_an_error_of_a_job_is_not_the_end_of_the_study(
    study_with: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intel_study import working as doing

    original = doing.fit

    def broken(spec: Any, **others: Any) -> Any:
        if spec.label.startswith("circle-circle"):
            raise KeyError("a bug")
        return original(spec, **others)

    monkeypatch.setattr(doing, "fit", broken)
    plain, ring = run_study(study_with(seeds=1), tmp_path).cells
    assert plain.status == "measured"
    assert (ring.status, ring.reason) == ("failed", "KeyError: 'a bug'")


def test_no_process_is_none_too_few() -> None:
    with pytest.raises(SpecError, match="0 jobs at once, expected 1 to 1,024"):
        LocalProcesses(0)


def test_what_runs_when_the_time_is_over_is_saved_and_goes_on(study_with: Callable[..., Study], tmp_path: Path) -> None:
    study = study_with(seeds=1)
    job, _ = Planner(study, tmp_path / "out").jobs(study.seeds)
    assert work(job, Until(str(tmp_path / "stop"), time=time.time())).status == "stopped"
    assert load_run(job.run_dir).status == "interrupted"
    assert not job.cell_path(0).exists()
    found = work(job, Until(str(tmp_path / "stop")))
    assert (found.status, found.resumed) == ("done", True)
    whole = run_study(study, tmp_path / "whole").cells[0]
    assert run_study(study, tmp_path / "out").cells[0].training == whole.training


def test_a_file_stops_what_runs(study_with: Callable[..., Study], tmp_path: Path) -> None:
    study = study_with(seeds=1)
    job, _ = Planner(study, tmp_path / "out").jobs(study.seeds)
    (tmp_path / "stop").touch()
    assert work(job, Until(str(tmp_path / "stop"))).status == "stopped"
    assert load_run(job.run_dir).status == "interrupted"
