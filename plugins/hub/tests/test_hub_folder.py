"""Is a run that is handed on through a folder the same run, and does its card tell the truth?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from intel_cli.main import intel
from intel_hub import pull, push
from intel_hub.card import card
from intel_hub.packing import read_packed

from intel_core import Run, RunError, SpecError, fit

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
USUAL: dict[str, Any] = {"latent": 2, "steps": 20, "log_every": 5, "batch_size": 10, "device": "cpu", "start": "none"}
USUAL |= {"network": "mlp:hidden=[8]", "mapping": "cluster:k=2"}


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def test_it_is_the_same_run(tmp_path: Path, run: Run) -> None:
    assert push(run, tmp_path / "pushed", dataset=X) == str(tmp_path / "pushed")
    assert sorted(path.name for path in (tmp_path / "pushed").iterdir()) == ["README.md", "model.safetensors"]
    again = pull(tmp_path / "pushed", tmp_path / "pulled")
    assert torch.equal(again.sample(9), run.sample(9))
    assert torch.equal(again.encode(X).z, run.encode(X).z)
    assert again.info == run.info
    assert again.metrics == run.metrics
    assert again.records() == run.records()
    assert str(again.took(dataset=X)) == str(run.took(dataset=X))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_card_is_written_from_the_verdict(tmp_path: Path, run: Run) -> None:
    push(run, tmp_path / "with", dataset=X)
    front, body = card_of(tmp_path / "with")
    assert front["library_name"] == "intelvae"
    assert "cluster" in front["tags"]
    numbers = {one["type"]: one["value"] for one in front["model-index"][0]["results"][0]["metrics"]}
    assert numbers["elbo"] == pytest.approx(run.metrics["test"]["elbo"])
    for line in str(run.took(dataset=X)).replace(str(run.path), "RUN").splitlines():
        assert line in body
    assert str(run.path) not in body
    assert f"intel pull {tmp_path / 'with'}" in body
    assert "intelvae-cluster" in body
    push(run, tmp_path / "without")  # arrays, which nobody can load again
    assert "the data were not there" in card_of(tmp_path / "without")[1]


def test_the_hub_reads_the_front_matter(tmp_path: Path, run: Run) -> None:
    hub = pytest.importorskip("huggingface_hub")
    push(run, tmp_path / "pushed", dataset=X)
    data = hub.ModelCard.load(tmp_path / "pushed" / "README.md").data
    assert data.model_name == "two-clouds"
    assert {one.metric_type for one in data.eval_results} == {"elbo", "log_likelihood", "kl", "active_units"}


def test_names_are_no_markup(run: Run) -> None:
    name = "a](http://b) <script> `x` | ---\n# big"
    text = card(run, {**run.info, "name": name}, None, "x")
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["model-index"][0]["name"] == name
    assert body.startswith("\n# a\\](http://b) \\<script\\> \\`x\\` \\| --- \\# big\n")


def test_paths_of_data_are_cut_down_to_a_name(tmp_path: Path) -> None:
    path = tmp_path / "secret" / "mine.npy"
    path.parent.mkdir()
    np.save(path, X.numpy())
    run = fit(data=f"arrays:path={path}", run_dir=tmp_path / "run", **USUAL)
    push(run, tmp_path / "pushed")
    content = (tmp_path / "pushed" / "model.safetensors").read_bytes()
    assert b"mine.npy" in content
    assert b"secret" not in content
    assert "secret" not in (tmp_path / "pushed" / "README.md").read_text()
    assert "The bias" in card_of(tmp_path / "pushed")[1] or "cannot be told" in card_of(tmp_path / "pushed")[1]
    again = pull(tmp_path / "pushed", tmp_path / "pulled")
    assert torch.equal(again.sample(3), run.sample(3))
    assert str(again.spec.data).startswith("arrays:")


def test_a_module_of_ones_own_is_given_again(tmp_path: Path) -> None:
    encoder = torch.nn.Linear(2, 4)
    run = fit(data=X, encoder=encoder, run_dir=tmp_path / "run", **{**USUAL, "network": None, "decoder": "linear"})
    push(run, tmp_path / "pushed")
    assert "given to `load_run` as objects" in card_of(tmp_path / "pushed")[1]
    again = pull(tmp_path / "pushed", tmp_path / "pulled")
    with pytest.raises(SpecError, match="give it again"):
        again.sample(2)
    from intel_core import load_run

    assert torch.equal(load_run(again.path, encoder=torch.nn.Linear(2, 4)).sample(3), run.sample(3))


def test_a_long_log_is_thinned(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    from intel_hub import packing

    monkeypatch.setattr(packing, "_MOST_LINES", 10)
    kept = read_packed(packing.pack(run))["log"]
    assert len(kept) <= 12
    assert kept[-1] == run.records()[-1]
    assert {line["kind"] for line in kept} == {"train", "validation"}


# --- what is refused -------------------------------------------------------------------------------------------------


def test_only_a_finished_run_is_pushed_and_nothing_is_replaced(tmp_path: Path, run: Run, stop_at: Any) -> None:
    early = fit(data=X, run_dir=tmp_path / "early", hooks=[stop_at(5)], **USUAL)
    with pytest.raises(RunError, match="is interrupted"):
        push(early, tmp_path / "pushed")
    assert not (tmp_path / "pushed").exists()
    with pytest.raises(RunError, match="is a run directory"):
        push(run, run.path, force=True)
    push(run, tmp_path / "pushed")
    with pytest.raises(RunError, match="already; choose another folder, or say --force"):
        push(run, tmp_path / "pushed")
    push(run, tmp_path / "pushed", force=True)
    with pytest.raises(RunError, match="not empty"):
        pull(tmp_path / "pushed", tmp_path / "early")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://localhost/x", "cannot be pushed to a URL"),
        ("ftp://x", "no places of ftp"),
        ("hf://x", "expected hf://USER/NAME"),
        ("hf://a/..", "expected hf://USER/NAME"),
        ("", "is no folder"),
        ("a\0b", "is no folder"),
    ],
)
def test_places_that_are_none(run: Run, place: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        push(run, place)


def test_the_commands(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> Any:
        return CliRunner().invoke(intel, [str(word) for word in words])

    done = said("push", str(run.path), "out", "--json")
    assert json.loads(done.stdout) == {"pushed": "out"}, done.output
    pulled = [json.loads(said("pull", "out", "--json").stdout)["run_dir"] for _ in range(2)]
    assert pulled == ["runs/two-clouds", "runs/two-clouds-2"]
    assert said("sample", "two-clouds", "-n", "3", "-o", "x.npy").exit_code == 0
    missing = said("pull", "nowhere")
    assert missing.exit_code == 2
    assert missing.stderr == "Error: there is no file or folder 'nowhere'; the Hub is hf://USER/NAME\n"


def test_a_file_by_its_own_name(tmp_path: Path, run: Run, packed: bytes) -> None:
    (tmp_path / "other.safetensors").write_bytes(packed)
    assert torch.equal(pull(tmp_path / "other.safetensors", tmp_path / "pulled").sample(2), run.sample(2))
