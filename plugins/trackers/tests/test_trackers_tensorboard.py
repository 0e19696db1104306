"""Are TensorBoard's files what TensorBoard's own reader reads back: lines, settings, verdict and pictures?"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from intel_cli.main import intel

from intel_core import fit, fit_replicates, resume

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
USUAL: dict[str, Any] = {"data": X, "latent": 2, "steps": 20, "log_every": 5, "evaluate_every": 10, "batch_size": 10}
USUAL |= {"device": "cpu", "network": "mlp:hidden=[8]", "save_every": 5}


def read(folder: Path) -> Any:
    found = accumulator.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.Reload()
    return found


def scalars(found: Any, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(name)]


def lines(run: Any, kind: str, key: str) -> list[tuple[int, float]]:
    return [(r["step"], pytest.approx(r[key], rel=1e-6)) for r in run.records() if r["kind"] == kind]


def text(found: Any, name: str) -> str:
    (event,) = found.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_lines_settings_and_verdict_are_read_back(tmp_path: Path) -> None:
    run = fit(mapping="cluster:k=2", start="none", track="tensorboard", run_dir=tmp_path / "run", **USUAL)
    found = read(run.path / "tensorboard")
    for kind in ("train", "validation"):
        assert scalars(found, f"{kind}/elbo") == lines(run, kind, "elbo") != []
    assert scalars(found, "final/test/elbo") == [(20, pytest.approx(run.metrics["test"]["elbo"], rel=1e-6))]
    assert "| batch_size | 10 |" in text(found, "settings")
    assert text(found, "verdict").startswith(run.took(dataset=X).headline)
    assert text(found, "status") == "finished"


def test_a_run_that_goes_on_is_one_record_without_what_was_lost(tmp_path: Path, stop_at: Any) -> None:
    run = fit(track=f"tensorboard:folder={tmp_path}/all", run_dir=tmp_path / "run", hooks=[stop_at(18)], **USUAL)
    (run.path / "checkpoints" / "step-0000000018" / "state.json").write_text("")  # so that it goes on from step 15
    with pytest.warns(UserWarning, match="going on from step-0000000015"):
        run = resume(run.path, data=X, track=f"tensorboard:folder={tmp_path}/all")
    (folder,) = (tmp_path / "all").iterdir()
    found = read(folder)
    assert scalars(found, "train/elbo") == lines(run, "train", "elbo")
    assert [step for step, _ in scalars(found, "train/elbo")] == [5, 10, 15, 20]
    assert "batch_size" in text(found, "settings")  # once


def test_pictures_of_the_command_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", "digits", "--steps", "5", "--latent", "2", "--network", "mlp:hidden=[8]", "--device", "cpu"]
    done = CliRunner().invoke(intel, ["train", *words, "--track", "tensorboard", "--run-dir", "run", "--quiet"])
    assert done.exit_code == 0, done.output
    found = read(tmp_path / "run" / "tensorboard")
    pictures = sorted(path.stem for path in (tmp_path / "run").glob("*.png"))
    assert sorted(found.Tags()["images"]) == [f"pictures/{name}" for name in pictures] != []
    (image,) = found.Images("pictures/latent")
    assert image.encoded_image_string == (tmp_path / "run" / "latent.png").read_bytes()
    assert min(image.width, image.height) > 100


def test_each_seed_has_files_of_its_own(tmp_path: Path) -> None:
    track = f"tensorboard:folder={tmp_path / 'all'}"
    group = fit_replicates(2, run_dir=tmp_path / "group", track=track, **USUAL)
    found = [scalars(read(folder), "final/test/elbo")[0][1] for folder in (tmp_path / "all").iterdir()]
    assert sorted(found) == pytest.approx(sorted(run.metrics["test"]["elbo"] for run in group.runs), rel=1e-6)


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="tracker tensorboard failed .* the training goes on"):
        run = fit(track=f"tensorboard:folder={tmp_path / 'file'}", run_dir=tmp_path / "run", **USUAL)
    assert run.status == "finished"


def test_nothing_is_written_through_a_link(tmp_path: Path, stop_at: Any) -> None:
    run = fit(run_dir=tmp_path / "run", hooks=[stop_at(13)], **USUAL)
    (tmp_path / "elsewhere").mkdir()
    (run.path / "tensorboard").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="tracker tensorboard failed .* link"):
        resume(run.path, data=X, track="tensorboard")
    assert list((tmp_path / "elsewhere").iterdir()) == []
