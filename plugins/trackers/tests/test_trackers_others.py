"""Do Weights & Biases and MLflow keep what they are told, offline, and is a package that is missing told in a line?

Both packages are large and not part of the set-up: their tests run where they are installed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from intel_trackers import specs

from intel_core import fit, parse_spec, resume

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
USUAL: dict[str, Any] = {"data": X, "latent": 2, "steps": 20, "log_every": 5, "evaluate_every": 10, "batch_size": 10}
USUAL |= {"device": "cpu", "network": "mlp:hidden=[8]", "save_every": 5, "mapping": "cluster:k=2", "start": "none"}


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_package_that_is_missing_costs_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(specs.importlib.util, "find_spec", lambda package: None)
    with pytest.warns(
        UserWarning, match=rf"the package {name} is not installed: pip install 'intelvae-trackers\[{name}\]'"
    ):
        run = fit(track=name, run_dir=tmp_path / "run", **{**USUAL, "steps": 1})
    assert run.status == "finished"


@pytest.mark.parametrize(
    "text", ["tensorboard:folder=a/b", "wandb:project=p,mode=offline", "mlflow:uri=sqlite:///a.db"]
)
def test_settings_survive_as_text(text: str) -> None:
    spec = parse_spec("trackers", text)
    assert parse_spec("trackers", str(spec)) == spec


@pytest.mark.filterwarnings("default")
def test_mlflow_keeps_one_run_with_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: Any) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = (tmp_path / "store").as_uri()
    track = f"mlflow:uri={uri},experiment=bars"
    fit(track=track, run_dir=tmp_path / "run", hooks=[stop_at(18)], **USUAL)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("bars").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]
    run = resume(tmp_path / "run", data=X, track=track)
    (kept,) = client.search_runs([experiment])
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == run.info["name"]
    assert kept.data.params["batch_size"] == "10"
    assert kept.data.metrics["final/test/elbo"] == pytest.approx(run.metrics["test"]["elbo"])
    found = [(m.step, m.value) for m in client.get_metric_history(kept.info.run_id, "train/elbo")]
    assert found == [(r["step"], pytest.approx(r["elbo"])) for r in run.records() if r["kind"] == "train"]
    assert kept.data.tags["intelvae.outcome"] == run.took(dataset=X).outcome
    assert [one.path for one in client.list_artifacts(kept.info.run_id)] == ["verdict.txt"]


def records(log: bytes) -> Iterator[bytes]:
    """The records of a log in the format of LevelDB, after a header of 7 bytes, as wandb writes them offline."""
    at, begun = 7, b""
    while at + 7 <= len(log):
        if 32768 - at % 32768 < 7:  # the rest of a block that no record fits into
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<4xHB", log[at : at + 7])
        begun += log[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield begun
            begun = b""


@pytest.mark.filterwarnings("default")
def test_wandb_keeps_the_lines_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: Any) -> None:
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(track="wandb:project=bars", run_dir=tmp_path / "run", hooks=[stop_at(18)], **USUAL)
    run = resume(tmp_path / "run", data=X, track="wandb:project=bars")
    wandb.teardown()  # which waits for the process that writes
    ids, history, config, summary = set(), [], {}, {}
    for path in sorted(
        (tmp_path / "run").glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns
    ):
        for content in records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                ids.add((record.run.project, record.run.run_id, record.run.display_name))
                config |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
            if record.HasField("history"):
                history.append(
                    {one.key or one.nested_key[0]: json.loads(one.value_json) for one in record.history.item}
                )
            summary |= {one.key: json.loads(one.value_json) for one in record.summary.update}
    (known,) = ids
    assert known == ("bars", json.loads((tmp_path / "run" / "trackers.json").read_text())["id"], run.info["name"])
    assert config["batch_size"] == 10
    found = [(line["step"], line["train/elbo"]) for line in history if "train/elbo" in line]
    assert found == [(r["step"], pytest.approx(r["elbo"])) for r in run.records() if r["kind"] == "train"]
    assert summary["final/test/elbo"] == pytest.approx(run.metrics["test"]["elbo"])
    assert summary["outcome"] == run.took(dataset=X).outcome
