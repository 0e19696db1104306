"""Is nothing lost and nothing done twice on a Dask cluster, a worker of which is killed in the middle?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from intel_study import Study, run_study
from intel_study.crews import Cluster

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of distributed and of what it imports


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(study_with: Callable[..., Study], tmp_path: Path) -> None:
    base = {
        "data": "circle:n=300",
        "latent": 2,
        "steps": 600,
        "network": "mlp:hidden=[4]",
        "batch_size": 20,
        "save_every": 50,
        "log_every": 10,
    }
    study = study_with(base=base, seeds=2, metrics=[])
    out = tmp_path / "cluster"
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        """The worker of the first run that has a checkpoint."""
        while not killed and not over.is_set():
            for path in out.glob("runs/*/checkpoints/step-*"):
                progress = out / ".running" / f"{path.parents[1].name}.json"
                with contextlib.suppress(OSError, ValueError):
                    pid = json.loads(progress.read_text(encoding="utf-8"))["pid"]
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return
            time.sleep(0.005)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            results = run_study(study, out, crew=Cluster(cluster.scheduler_address, patience=60))
        finally:
            over.set()
            killer.join()
    assert killed
    assert [cell.status for cell in results.cells] == ["measured"] * 4
    assert not results.missing
    expected = run_study(study, tmp_path / "here")
    assert [cell.training for cell in results.cells] == [cell.training for cell in expected.cells]
    for run in out.glob("runs/*"):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        steps = [line["step"] for line in lines if line["kind"] == "train"]
        assert steps == sorted(set(steps))
    assert len(list(out.glob("runs/*"))) == 4


def test_nobody_at_the_address_is_told_in_one_line() -> None:
    from intel_core import EnvironmentProblem

    with pytest.raises(EnvironmentProblem, match="no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:9", patience=0.3)
