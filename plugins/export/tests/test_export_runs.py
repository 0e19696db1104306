"""Is what is exported of a run the run itself, in the units of its data, whatever it was trained in?"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from intel_cli.main import intel
from intel_export import export, formats
from torch import Tensor

from intel_core import InteLVAE, MappingSpec, RunError, SpecError, fit, register
from intel_core.errors import EnvironmentProblem
from intel_core.model.vae import plainly

USUAL: dict[str, Any] = {"steps": 5, "batch_size": 10, "device": "cpu", "start": "none", "network": "mlp:hidden=[8]"}
OWN = {key: value for key, value in USUAL.items() if key != "network"}


def close(found: object, expected: Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected.detach(), rtol=1e-5, atol=1e-5)


def loaded(path: Path) -> Any:
    """A function of arrays by another way than the command's own."""
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()

        def call(*x: Any) -> tuple[Tensor, ...]:
            found = module(*map(torch.as_tensor, x))
            return found if isinstance(found, tuple) else (found,)

        return call
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
    names = [argument.name for argument in session.get_inputs()]
    return lambda *x: session.run(None, dict(zip(names, map(np.asarray, x), strict=True)))


# Both are made of one graph, and the files of torch are read by themselves below.
@pytest.fixture(params=["onnx", pytest.param("torch", marks=pytest.mark.slow)])
def format_(request: pytest.FixtureRequest) -> str:
    if request.param == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    return str(request.param)


CONV = pytest.param((1, 28, 28), "conv:channels=[4,8]", marks=pytest.mark.slow)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, as it loads what it saved
def test_convolutions_trained_in_bfloat16_are_exported_in_float32(tmp_path: Path, format_: str) -> None:
    x = torch.rand(30, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    settings = {
        **USUAL,
        "network": "conv:channels=[4,8]",
        "precision": "bfloat16",
        "mapping": "cluster:k=3",
        "latent": 2,
    }
    run = fit(data=x, run_dir=tmp_path / "run", **settings)
    done = export(run, format_)
    assert done.trained_in == "bfloat16"
    assert done.difference is not None
    assert done.difference <= 1e-5
    exact: InteLVAE = copy.deepcopy(run.model)
    exact.apply_network = plainly
    for n in (1, 4):
        mean, std = loaded(done.files["encoder"])(x[:n])
        q = exact.encode(x[:n])
        close(mean, q.mean)
        close(std, q.std)
        (z,) = loaded(done.files["mapping"])(mean)
        close(z, exact.mapping(q.mean))
        (again,) = loaded(done.files["generator"])(z)
        close(again, exact.likelihood.mean(exact.decode(torch.as_tensor(z))))
    rounded = run.encode(x[:4]).mean
    assert float((rounded - q.mean.detach()).abs().max()) > 1e-4  # as the run itself computes: this test could tell


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_tables_go_in_and_come_out_in_their_units(tmp_path: Path, format_: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, dtype=torch.float64, generator=generator)
    x = x * torch.tensor([1.0, 1e3, 1e-3]) + torch.tensor([1e8, 0, 5])
    run = fit(data=x, standardize=True, mapping="circle", latent=2, run_dir=tmp_path / "run", **USUAL)
    done = export(run, format_, tmp_path / "out")
    assert [path.parent for path in done.files.values()] == [tmp_path / "out"] * 3
    encoding = run.encode(x[:7])
    mean, std = loaded(done.files["encoder"])(x[:7])
    close(mean, encoding.mean)
    close(std, encoding.std)
    (z,) = loaded(done.files["mapping"])(mean)
    close(z, encoding.z_mean)
    close(loaded(done.files["generator"])(z)[0], run.decode(z))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("shape", "network"), [((3,), "mlp:hidden=[8]"), CONV])
def test_conditions_are_a_second_argument(shape: tuple[int, ...], network: str, tmp_path: Path, format_: str) -> None:
    x = torch.rand(60, *shape, generator=torch.Generator().manual_seed(0))
    if len(shape) == 1:
        x = x * 1e3 + 5
    conditions = {"batch": ["a", "b", "c"] * 20, "age": np.arange(60.0)}
    settings = {**USUAL, "network": network, "mapping": "circle", "latent": 2}
    run = fit(data=x, conditions=conditions, standardize=len(shape) == 1, run_dir=tmp_path / "run", **settings)
    done = export(run, format_)
    asked = {"batch": ["b", "a", "c", "c"], "age": [3.0, 80.0, 0.0, 1.0]}
    about = run.info["data"]["conditions"]["columns"]
    levels, age = about[0]["levels"], about[1]
    seen = [
        [*(float(level == batch) for level in levels), (value - age["mean"]) / age["std"]]
        for batch, value in zip(asked["batch"], asked["age"], strict=True)
    ]
    c = np.array(seen, dtype=np.float32)  # as the documentation says it
    given = x[:4].double() if len(shape) == 1 else x[:4]
    mean, std = loaded(done.files["encoder"])(given, c)
    encoding = run.encode(x[:4], conditions=asked)
    close(mean, encoding.mean)
    close(std, encoding.std)
    (z,) = loaded(done.files["mapping"])(mean)
    (found,) = loaded(done.files["generator"])(z, c)
    close(found, run.decode(encoding.z_mean, conditions=asked))
    with pytest.raises((TypeError, ValueError)):
        loaded(done.files["generator"])(z)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_prior_of_another_kind_is_a_file_of_its_own(tmp_path: Path, format_: str) -> None:
    run = fit(data=torch.rand(40, 4), prior="vamp:components=3", latent=2, run_dir=tmp_path / "run", **USUAL)
    done = export(run, format_)
    prior = run.model.current_prior()
    noise = torch.randn(9, prior.noise_dim, generator=torch.Generator().manual_seed(1))
    close(loaded(done.files["prior"])(noise)[0], prior.draw(noise))
    assert "prior" not in export(run, format_, parts=["mapping"]).files


def test_the_metadata_say_what_it_is(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run = fit(data=torch.rand(40, 4), mapping="circle", latent=3, run_dir=tmp_path / "run", **USUAL)
    path = export(run, parts=["encoder"]).files["encoder"]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kept = json.loads({entry.key: entry.value for entry in model.metadata_props}["intelvae"])
    assert kept["spec"] == json.loads((run.path / "run.json").read_text())["spec"]
    assert kept["weights_sha256"] == run.metrics["weights_sha256"]
    assert kept["values"] == {
        "x": {"shape": ["n", 4], "type": "float32"},
        "mean": {"shape": ["n", 3], "type": "float32"},
        "std": {"shape": ["n", 3], "type": "float32"},
    }
    assert kept["versions"]["intelvae-export"]
    sizes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert sizes == [["n", 4], ["n", 3], ["n", 3]]
    extra = {"intelvae.json": ""}
    torch.export.load(export(run, "torch", parts=["encoder"]).files["encoder"], extra_files=extra)
    assert json.loads(extra["intelvae.json"]) == kept


@pytest.mark.slow
def test_a_pt2_file_needs_torch_alone(tmp_path: Path) -> None:
    run = fit(data=torch.rand(40, 4), mapping="cluster:k=3", latent=2, run_dir=tmp_path / "run", **USUAL)
    path = export(run, "torch", parts=["mapping"]).files["mapping"]
    code = f"""
import sys
for name in ("intel_core", "intel_cluster", "intel_export"):
    sys.modules[name] = None
import torch
print(torch.export.load({str(path)!r}).module()(torch.ones(2, 2)).tolist())
"""
    printed = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    close(json.loads(printed.stdout), run.model.mapping(torch.ones(2, 2)))


# --- what cannot be exported -----------------------------------------------------------------------------------------


class _Odd(torch.nn.Module):
    y_dim = z_dim = 2

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, y: Tensor) -> Tensor:
        if self.kind == "turncoat":
            return y + 1 if torch.compiler.is_compiling() else y
        return y if float(y.detach().sum()) < 1e30 else -y


class _OddSpec(MappingSpec):
    """One that tracing cannot follow, or that is another one when it is traced."""

    how: str = "branching"

    def build(self, y_dim: int) -> Any:
        return _Odd(self.how)


@pytest.mark.parametrize(
    ("how", "said"),
    [("branching", "mapping odd.* cannot be exported as torch"), ("turncoat", "mapping odd:.* differs .* by 1")],
)
def test_what_cannot_be_exported_is_named_and_nothing_is_written(
    tmp_path: Path, how: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    register("mappings", "odd", _OddSpec)
    run = fit(data=torch.rand(40, 2), mapping=f"odd:how={how}", latent=2, run_dir=tmp_path / "run", **USUAL)
    with pytest.raises(RunError, match=said) as caught:
        export(run, "torch")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # nor does torch print anything
    assert "without it: --part encoder --part generator" in str(caught.value)
    assert not (run.path / "export").exists()
    assert set(export(run, "torch", parts=["encoder", "generator"]).files) == {"encoder", "generator"}


def test_bad_words_and_missing_packages_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fit(data=torch.rand(40, 2), latent=2, run_dir=tmp_path / "run", **USUAL)
    with pytest.raises(SpecError, match="did you mean 'onnx'"):
        export(run, "onx")
    with pytest.raises(SpecError, match="did you mean 'encoder'"):
        export(run, "torch", parts=["encode"])
    with pytest.raises(RunError, match="cannot be made"):
        export(run, "torch", run.path / "run.json")
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"intelvae-export\[onnx\]"):
        export(run)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    run = fit(data=torch.rand(40, 2), latent=2, run_dir=tmp_path / "run", **USUAL)
    (tmp_path / "elsewhere").mkdir()
    (run.path / "export").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="link"):
        export(run, "torch", parts=["mapping"])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_module_of_ones_own_is_exported(tmp_path: Path) -> None:
    encoder = torch.nn.Linear(2, 4)
    run = fit(data=torch.rand(40, 2), latent=2, encoder=encoder, decoder="linear", run_dir=tmp_path / "run", **OWN)
    module = torch.export.load(export(run, "torch", parts=["encoder"]).files["encoder"]).module()
    x = torch.rand(5, 2)
    close(module(x)[0], run.model.encode(x).mean)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit(data=torch.rand(40, 2), latent=2, run_dir="runs/mine", **USUAL)
    done = CliRunner().invoke(intel, ["export", "mine", "--format", "torch", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["difference"] <= 1e-5
    assert all(Path(path).is_file() for path in told["files"].values())
    failed = CliRunner().invoke(intel, ["export", "other"])
    assert failed.exit_code == 2
    assert failed.stderr.startswith("Error: other is not a run directory")
