"""A run that goes on with other held-out examples or labels is refused; runs of before that was kept are accepted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import IntelError, RunError, StopReason, fit, hookimpl, load_run, make_dataset, resume

X = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(100) % 3


class Stop:
    @hookimpl
    def logged(self, trainer: Any) -> None:
        trainer.stop(StopReason("signal TEST", "signal"))


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    settings: dict[str, Any] = {"encoder": "mlp:hidden=[4]", "steps": 20, "log_every": 10, "device": "cpu"}
    run = fit(data=X, labels=LABELS, run_dir=tmp_path / "run", hooks=[Stop()], **settings)
    assert run.status == "interrupted"
    return run.path


def row_of(part: str) -> int:
    return int((getattr(make_dataset("x", X), part).x[0] == X).all(1).nonzero())


@pytest.mark.parametrize(("part", "what"), [("validation", "validation examples"), ("test", "test examples")])
def test_other_held_out_examples_are_refused(part: str, what: str, interrupted: Path) -> None:
    other = X.clone()
    other[row_of(part)] += 0.5
    before = {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=f"was begun with other data: the {what} are not the same"):
        resume(interrupted, data=other, labels=LABELS)
    assert {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_another_label_of_any_part_is_refused(part: str, interrupted: Path) -> None:
    other = LABELS.clone()
    other[row_of(part)] = 7
    with pytest.raises(RunError, match="was begun with other data: the labels are not the same"):
        resume(interrupted, data=X, labels=other)
    with pytest.raises(RunError, match="the labels are not the same"):
        resume(interrupted, data=X)
    assert resume(interrupted, data=X, labels=LABELS).status == "finished"


def test_a_run_of_before_all_parts_were_kept_goes_on(interrupted: Path) -> None:
    info = json.loads((interrupted / "run.json").read_text())
    assert info["data"].pop("fingerprints").keys() == {"validation", "test", "labels"}
    (interrupted / "run.json").write_text(json.dumps(info))
    other = X.clone()
    other[row_of("test")] += 0.5
    with pytest.raises(RunError, match="trained on other data: the fingerprint of the training examples"):
        resume(interrupted, data=X + 1)
    assert resume(interrupted, data=other).status == "finished"


@pytest.mark.parametrize("stream", ["true", "false"])
def test_streamed_data_too(stream: str, tmp_path: Path) -> None:
    pytest.importorskip("intel_datasets")
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for i in range(60):
        (tmp_path / "images" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(tmp_path / "images" / "ab"[i % 2] / f"{i:02}.png")
    data = f"images:path={tmp_path}/images,stream={stream}"
    run = fit(
        data=data, encoder="mlp:hidden=[4]", steps=20, log_every=10, batch_size=10, device="cpu", hooks=[Stop()],
        run_dir=tmp_path / "run",
    )  # fmt: skip
    dataset = run.dataset()
    moved = next(path for path in sorted((tmp_path / "images" / "a").iterdir()) if _is_in(path, dataset.test.x))
    kept = moved.read_bytes()
    Image.new("L", (8, 8), 17).save(moved)
    with pytest.raises(RunError, match="the test examples are not the same"):
        resume(tmp_path / "run")
    moved.write_bytes(kept)
    (tmp_path / "images" / "a").rename(tmp_path / "images" / "c")
    with pytest.raises(RunError, match=r"trained on other data|not the same"):
        resume(tmp_path / "run")
    (tmp_path / "images" / "c").rename(tmp_path / "images" / "a")
    assert resume(tmp_path / "run").status == "finished"
    assert load_run(tmp_path / "run").status == "finished"


def _is_in(path: Path, x: torch.Tensor) -> bool:
    import numpy as np
    from PIL import Image

    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy())
    return bool((x[:, 0].flatten(1) == pixels.flatten()).all(1).any())


# --- neighbours: what is the same, and what is not -------------------------------------------------------------


def _copy(interrupted: Path) -> Path:
    return Path(shutil.copytree(interrupted, interrupted.with_name("copy"), dirs_exist_ok=False))


def test_the_same_rows_in_another_order_are_other_data(interrupted: Path) -> None:
    """The split and the order of batches go by row numbers."""
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    with pytest.raises(RunError, match="trained on other data: the fingerprint of the training examples"):
        resume(interrupted, data=X[order], labels=LABELS[order])


@pytest.mark.parametrize("dtype", [torch.float64, "numpy", "list"])
def test_the_same_values_in_another_number_format_go_on(dtype: Any, interrupted: Path) -> None:
    given: Any = X.to(dtype) if isinstance(dtype, torch.dtype) else X.numpy() if dtype == "numpy" else X.tolist()
    expected = resume(_copy(interrupted), data=X, labels=LABELS)
    run = resume(interrupted, data=given, labels=LABELS.to(torch.int16))
    assert (run.path / "model.safetensors").read_bytes() == (expected.path / "model.safetensors").read_bytes()


def test_half_the_digits_are_other_data(interrupted: Path) -> None:
    with pytest.raises(RunError, match="trained on other data"):
        resume(interrupted, data=X.half(), labels=LABELS)


def _write_table(path: Path) -> None:
    rows = [f"{a:.6f},{b:.6f}" for a, b in X.tolist()]
    path.write_text("\n".join(["a,b", *rows]) + "\n")


def _of_table(tmp_path: Path) -> Path:
    pytest.importorskip("intel_datasets")
    _write_table(tmp_path / "points.csv")
    settings: dict[str, Any] = {"encoder": "mlp:hidden=[4]", "steps": 20, "log_every": 10, "device": "cpu"}
    run = fit(data=f"table:path={tmp_path}/points.csv", run_dir=tmp_path / "run", hooks=[Stop()], **settings)
    assert run.status == "interrupted"
    return run.path


def _set_in(path: Path, old: str, new: str) -> None:
    """Change the text of a spec's setting in run.json."""
    text = (path / "run.json").read_text()
    assert old in text
    (path / "run.json").write_text(text.replace(old, new))


def test_a_file_under_another_name_with_the_same_content_goes_on(tmp_path: Path) -> None:
    path = _of_table(tmp_path)
    (tmp_path / "points.csv").rename(tmp_path / "renamed.csv")
    with pytest.raises(IntelError, match=r"points\.csv"):
        resume(path)
    _set_in(path, "points.csv", "renamed.csv")
    assert resume(path).status == "finished"


def test_a_file_with_other_content_under_the_same_name_is_refused(tmp_path: Path) -> None:
    path = _of_table(tmp_path)
    text = (tmp_path / "points.csv").read_text().splitlines()
    (tmp_path / "points.csv").write_text("\n".join([text[0], *reversed(text[1:])]) + "\n")
    with pytest.raises(RunError, match="trained on other data"):
        resume(path)


def test_another_split_is_refused(interrupted: Path) -> None:
    """Its parts hold other rows, though all rows together are the same."""
    parts = make_dataset("x", X, LABELS, standardize=False)
    run = load_run(interrupted)
    run.require_its_data(parts, whole=True)
    swapped = replace(parts, validation=parts.test, test=parts.validation)
    with pytest.raises(RunError, match="the validation examples are not the same"):
        run.require_its_data(swapped, whole=True)
    moved = replace(parts, train=parts.test)
    with pytest.raises(RunError, match="trained on other data"):
        run.require_its_data(moved, whole=True)


@pytest.mark.parametrize("stream", ["true", "false"])
def test_images_that_were_stored_anew_are_refused_though_their_pixels_are_the_same(stream: str, tmp_path: Path) -> None:
    """Folders of images are known by the names and bytes of their files, since reading all pixels takes minutes."""
    pytest.importorskip("intel_datasets")
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    (tmp_path / "images").mkdir()
    for i in range(60):
        pixels = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i:02}.png", compress_level=9)
    run = fit(
        data=f"images:path={tmp_path}/images,stream={stream}", encoder="mlp:hidden=[4]", steps=20, log_every=10,
        batch_size=10, device="cpu", hooks=[Stop()], run_dir=tmp_path / "run",
    )  # fmt: skip
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image:
            image.load()
        image.save(path, compress_level=0)
    with pytest.raises(RunError, match="trained on other data: the fingerprint of the training examples"):
        resume(run.path)
