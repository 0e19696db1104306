"""One damaged value of a JSON file of a run is named, and never ends in a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intel_core import RunError, SpecError, fit, fit_replicates, load_run
from intel_core.components.spec import parse_spec, texts_as_data
from intel_core.recipe.runspec import stored_settings
from intel_core.runs import contents
from intel_core.runs.folder import RunFolder, seeds_of

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
SETTINGS: dict[str, Any] = {"data": X, "steps": 4, "batch_size": 10, "encoder": "mlp:hidden=[4]", "device": "cpu"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(**SETTINGS, run_dir=tmp_path_factory.mktemp("finished") / "run").path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DESCRIPTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a count that is an object": (lambda d: d["data"].update(validation={"a": 1}), "data.validation is not"),
    "a count that is a truth": (lambda d: d["data"].update(train=True), "data.train is not"),
    "a count that is gone": (lambda d: d["data"].pop("test"), "data.test is missing"),
    "a component's name": (lambda d: d["components"][0].update(name=True), "components.0.name is not"),
    "a component without a version": (lambda d: d["components"][0].pop("version"), "components.0.version is missing"),
    "a shape without end": (lambda d: d["data"].update(shape=[2**64]), "data.shape.0 is not"),
    "a shape of nine dimensions": (lambda d: d["data"].update(shape=[1] * 9), "data.shape is not"),
    "too few deviations": (
        lambda d: d["data"].update(scaling={"mean": [0.0] * 3, "std": [1.0] * 2}),
        "scaling.std has 2 entries, expected 3",
    ),
    "a deviation of zero": (
        lambda d: d["data"].update(scaling={"mean": [0.0] * 3, "std": [1.0, 0.0, 1.0]}),
        "data.scaling.std.1 is not",
    ),
    "a mean that is a list": (
        lambda d: d["data"].update(scaling={"mean": [0.0, [1], 0.0], "std": [1.0] * 3}),
        "data.scaling.mean.1 is not",
    ),
    "too many names of columns": (lambda d: d["data"].update(columns=["a"] * 4), "columns has 4 entries, expected 3"),
    "a support of its own": (lambda d: d["data"].update(support="any"), "data.support is not"),
    "a seed in words": (lambda d: d["spec"].update(seed="one"), "spec.seed is not"),
    "processes in words": (lambda d: d["spec"].update(devices="two"), "spec.devices is not"),
    "a mapping that is none": (lambda d: d["spec"].update(mapping=[3]), "spec.mapping.0 is not"),
    "no parameters": (lambda d: d.pop("parameters"), "parameters is missing"),
    "threads in words": (lambda d: d.update(threads="two"), "threads is not"),
    "a day in words": (lambda d: d.update(created="yesterday"), "created is not"),
    "trials without seeds": (lambda d: d.update(trials=[{}]), "trials.0.seed is missing"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_damaged_value_of_run_json_is_named(run: Path, case: str) -> None:
    change, message = DESCRIPTIONS[case]
    edit(run / "run.json", change)
    with pytest.raises(RunError, match=rf"run\.json is damaged: .*{message}"):
        load_run(run)


METRICS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a step in words": (lambda d: d.update(step="x"), "step is not"),
    "a negative step": (lambda d: d.update(step=-1), "step is not"),
    "a status of its own": (lambda d: d.update(status="fine"), "status is not"),
    "no test numbers": (lambda d: d.pop("test"), "test is missing"),
    "a term in words": (lambda d: d["test"].update(kl="x"), "test.kl is not"),
    "a term too many, in words": (lambda d: d["test"].update(more={"a": 1}), "test.more is not"),
    "no terms": (lambda d: d.update(validation={}), "validation.loss is missing"),
    "a digest that is none": (lambda d: d.update(weights_sha256="x"), "weights_sha256 is not"),
}


@pytest.mark.parametrize("case", METRICS)
def test_a_damaged_value_of_metrics_json_is_named(run: Path, case: str) -> None:
    change, message = METRICS[case]
    edit(run / "metrics.json", change)
    with pytest.raises(RunError, match=rf"metrics\.json is damaged: {message}"):
        _ = load_run(run).status


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "train", "step": ' + "9" * 4000 + "}",
        '{"kind": "train", "step": -1}',
        '{"kind": "train", "step": true}',
        '{"kind": 3, "step": 1}',
        '{"kind": "train", "step": 1, "kl": {"a": 1}}',
        '{"kind": "train", "step": 1, "weights": [1]}',
        "[" * 100_000,
        '{"step": 3, "kin',
    ],
)
def test_a_line_of_the_log_that_is_none_is_passed_over(run: Path, line: str) -> None:
    before = load_run(run).records()
    with (run / "metrics.jsonl").open("a") as log:
        log.write(line + "\n")
    assert load_run(run).records() == before
    assert contents.last_step(run) == 4


def test_what_a_later_version_adds_may_be_there(run: Path) -> None:
    for name in ("run.json", "metrics.json"):
        edit(run / name, lambda d: d.update(later={"a": [1]}))
    edit(run / "run.json", lambda d: d["data"].update(later=1))
    edit(run / "metrics.json", lambda d: d["test"].update(later=1.0))
    assert load_run(run).sample(1).shape == (1, 3)


@pytest.mark.parametrize("folder", ["../run", "seed-1", "/etc", "."])
def test_a_group_names_its_own_folders_only(tmp_path: Path, folder: str) -> None:
    group = fit_replicates(1, **SETTINGS, run_dir=tmp_path / "group").path
    edit(group / "replicates.json", lambda d: d["runs"][0].update(folder=folder))
    with pytest.raises(RunError, match=r"replicates\.json is damaged: .*is not that of seed 0"):
        RunFolder(group).read("replicates.json")


def test_the_seeds_of_a_group_are_its_folders_and_no_links(tmp_path: Path, finished: Path) -> None:
    for seed in (10, 9):
        shutil.copytree(finished, tmp_path / "group" / f"seed-{seed}")
    (tmp_path / "group" / "seed-8").symlink_to(finished)
    (tmp_path / "group" / "seed-x").mkdir()
    assert [path.name for path in seeds_of(tmp_path / "group")] == ["seed-9", "seed-10"]


# --- texts in run.json are data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mapping", ["cluster:@{}"]),
        ("mapping", ["identity", "cluster: @{}"]),
        ("data", "digits:@{}"),
        ("encoder", "mlp:@{}"),
        ("objective", "elbo:@{}"),
        ("schedules", {"kl": "linear:@{}"}),
    ],
)
def test_a_text_in_run_json_reads_no_file(run: Path, tmp_path: Path, key: str, value: Any) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("token_hunter2: 1")
    filled = json.loads(json.dumps(value).replace("{}", str(secret)))
    edit(run / "run.json", lambda d: d["spec"].update({key: filled}))
    with pytest.raises(RunError, match="names a file of settings") as caught:
        _ = load_run(run).model
    assert "hunter2" not in str(caught.value)


# --- weights -----------------------------------------------------------------------------------------------------


def test_a_flipped_bit_of_the_final_weights_is_noticed(run: Path) -> None:
    path = run / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"model\.safetensors is damaged: it does not match the checksum"):
        load_run(run).sample(1)


def test_weights_of_before_there_was_a_checksum_load(run: Path) -> None:
    edit(run / "metrics.json", lambda d: d.pop("weights_sha256"))
    assert load_run(run).sample(1).shape == (1, 3)


def test_weights_that_are_not_finite_are_told_in_a_line(run: Path) -> None:
    import safetensors.torch

    path = run / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    path.write_bytes(safetensors.torch.save({name: value * float("nan") for name, value in tensors.items()}))
    edit(run / "metrics.json", lambda d: d.pop("weights_sha256"))
    with pytest.raises(RunError, match="holds NaN or infinity"):
        load_run(run).sample(1)


@pytest.mark.parametrize(
    ("latent", "said"),
    [(3, r"encoder\.2\.weight has shape \[4, 4\], expected \[6, 4\]"), (None, r"extra\.bias is unexpected")],
)
def test_a_mismatch_of_weights_says_what_differs(run: Path, latent: int | None, said: str) -> None:
    if latent is not None:
        edit(run / "run.json", lambda d: d["spec"].update(latent=latent))
    else:
        import safetensors.torch
        import torch

        path = run / "model.safetensors"
        path.write_bytes(safetensors.torch.save({**safetensors.torch.load_file(path), "extra.bias": torch.ones(1)}))
        edit(run / "metrics.json", lambda d: d.pop("weights_sha256"))
    with pytest.raises(RunError, match=f"do not fit its spec: .*{said}"):
        load_run(run).sample(1)


def test_a_large_model_is_not_built_for_weights_of_a_small_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(run / "run.json", lambda d: d["spec"].update(encoder="mlp:hidden=[9000,9000]"))
    monkeypatch.setattr("intel_core.runs.stored_run.build_model", None)
    with pytest.raises(
        RunError, match=r"do not fit its spec: they are [\d,]+ bytes, those of such a model would be 324,"
    ):
        load_run(run).sample(1)


def test_a_nested_text_in_run_json_reads_no_file_either(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("beta: 2")
    text = f"elbo:@{tmp_path / 'settings.yaml'}"
    with texts_as_data(), pytest.raises(SpecError, match="names a file of settings"):
        parse_spec("objectives", text)
    assert parse_spec("objectives", text) == parse_spec("objectives", "elbo:beta=2")
    with pytest.raises(SpecError, match="schedules names a file of settings"):
        stored_settings({"schedules": {"kl": f"linear:@{tmp_path / 'settings.yaml'}"}})


@pytest.mark.parametrize(
    ("shape", "encoder"), [([10**9], None), ([2**62], None), ([2**62] * 8, None), (None, "mlp:hidden=[1000000000]")]
)
def test_a_model_beyond_memory_is_refused_with_an_estimate(
    run: Path, shape: list[int] | None, encoder: str | None
) -> None:
    edit(run / "run.json", lambda d: d["data"].update(shape=shape or [3], columns=[], scaling=None))
    edit(run / "run.json", lambda d: d["spec"].update(encoder=encoder or "mlp:hidden=[1000,1000]"))
    with pytest.raises((RunError, SpecError), match=r"its model would take about .* GiB of memory"):
        load_run(run).sample(1)
