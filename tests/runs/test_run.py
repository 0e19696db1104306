"""What a trained run can do, and what its directory holds."""

import ast
import json
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy import stats
from torch import nn

import intel_core
import intel_core.runs.stored_run
from intel_core import DataError, IntelError, RunError, SpecError, fit, hookimpl, load_run, make_dataset, register
from intel_core.components import discovery as plugins
from intel_core.mappings.contract import MappingSpec

VECTORS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(60, 1, 6, 5), dtype=np.uint8)
BASE = {"steps": 12, "batch_size": 16, "log_every": 5, "evaluate_every": 6, "device": "cpu", "latent": 3, "seed": 1}
CONV = {"encoder": "conv:channels=[2,3]", "likelihood": "continuous_bernoulli"}
KINDS = {
    "vectors": (VECTORS, {"encoder": "mlp:hidden=[8]", "likelihood": "gaussian"}),
    "images": (IMAGES, CONV | {"precision": "float32"}),
    "images in bfloat16": (IMAGES, CONV | {"precision": "bfloat16"}),
}
SHAPES = {"vectors": (4,), "images": (1, 6, 5), "images in bfloat16": (1, 6, 5)}
each_kind = pytest.mark.parametrize("kind", KINDS)


class Widened(nn.Module):
    """z = (y, tanh y): another number of dimensions, so that y and z cannot be taken for each other."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim, self.z_dim = y_dim, 2 * y_dim

    def forward(self, y):
        return torch.cat([y, torch.tanh(y)], -1)


class WidenedSpec(MappingSpec):
    """z = (y, tanh y)."""

    def build(self, y_dim):
        return Widened(y_dim)


@pytest.fixture(autouse=True)
def _mapping():
    register("mappings", "widened", WidenedSpec)


def train(folder, kind="vectors", *hooks, **settings):
    data, own = KINDS[kind]
    return fit(data=data, run_dir=folder, hooks=hooks, **(BASE | own | settings))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "registered", dict(plugins.registered))
        register("mappings", "widened", WidenedSpec)
        return {kind: train(root / kind, kind, mapping="widened") for kind in KINDS}


def examples(kind, n=7):
    return KINDS[kind][0][:n]


def applied(kind, network, x):
    """What a network says in the precision of a kind."""
    with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in kind):
        return network(x).float()


# --- encode, decode, sample --------------------------------------------------------------------------------------


@each_kind
def test_shapes(kind, trained):
    run, x = trained[kind], examples(kind)
    code = run.encode(x)
    assert [tuple(part.shape) for part in code] == [(7, 3), (7, 3), (7, 3), (7, 6), (7, 6)]
    assert run.decode(code.z).shape == run.reconstruct(x).shape == run.sample(7).shape == (7, *SHAPES[kind])
    assert run.sample(2, noise=True).shape == (2, *SHAPES[kind])
    assert all(part.device.type == "cpu" and part.dtype == torch.float32 for part in code)


@each_kind
@torch.no_grad()
def test_encoding_is_what_the_parts_of_the_model_say(kind, trained):
    run = trained[kind]
    x = torch.as_tensor(examples(kind)).float() / (1 if kind == "vectors" else 255)
    mean, log_variance = applied(kind, run.model.encoder, x).chunk(2, -1)
    code = run.encode(examples(kind))
    torch.testing.assert_close(code.mean, mean)
    torch.testing.assert_close(code.std, log_variance.exp().sqrt())
    for y, z in ((code.y, code.z), (code.mean, code.z_mean)):
        torch.testing.assert_close(z, torch.cat([y, y.tanh()], -1))
    output = applied(kind, run.model.decoder, code.z_mean)
    expected = output[:, :4] if kind == "vectors" else run.model.likelihood.mean(output)
    torch.testing.assert_close(run.reconstruct(examples(kind)), expected)
    torch.testing.assert_close(run.decode(code.z_mean), expected)


def test_samples_of_the_posterior_have_its_mean_and_deviation(trained):
    run = trained["vectors"]
    code = run.encode(np.repeat(examples("vectors", 1), 20_000, 0))
    standard = ((code.y - code.mean) / code.std).double().numpy()
    for column in standard.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(standard.T) - np.eye(3)).max() < 5 / np.sqrt(20_000)


@torch.no_grad()
def test_samples_come_from_the_prior_through_the_same_mapping(trained):
    """The mean over 50,000 samples, within 5 standard errors, against a normal latent drawn here."""
    run, n = trained["vectors"], 50_000
    y = torch.randn(n, 3, generator=torch.Generator().manual_seed(123))
    theirs = run.model.decoder(torch.cat([y, y.tanh()], -1))[:, :4]
    ours, noisy = run.sample(n), run.sample(n, noise=True)
    for sample in (ours, noisy):
        error = (theirs.var(0) + sample.var(0)).sqrt() / np.sqrt(n)
        assert ((sample.mean(0) - theirs.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(ours.std(0), theirs.std(0), rtol=0.03, atol=0)
    assert (noisy.var(0) > ours.var(0) + 0.05).all()


@each_kind
def test_randomness_follows_the_seed_alone(kind, trained):
    run, x = trained[kind], examples(kind)
    before = torch.get_rng_state()
    for draw in (
        lambda seed: run.encode(x, seed=seed).y,
        lambda seed: run.sample(5, seed=seed),
        lambda seed: run.sample(5, seed=seed, noise=True),
    ):
        assert torch.equal(draw(3), draw(3))
        assert not torch.equal(draw(3), draw(4))
    assert torch.equal(run.encode(x, seed=3).mean, run.encode(x, seed=4).mean)
    assert torch.equal(run.encode(x).y, run.encode(x, seed=0).y)
    assert torch.equal(run.reconstruct(x), run.reconstruct(x))
    assert torch.equal(before, torch.get_rng_state())


@each_kind
def test_rows_do_not_depend_on_their_batch(kind, trained):
    """The model is in evaluation mode, whatever was done to it before."""
    run, x = trained[kind], examples(kind, 40)
    run.model.train()
    whole = run.encode(x)
    alone = run.encode(x[3:4])
    for name in ("mean", "std", "z_mean"):
        torch.testing.assert_close(getattr(whole, name)[3:4], getattr(alone, name), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run.reconstruct(x)[3:4], run.reconstruct(x[3:4]), rtol=1e-4, atol=1e-5)


@each_kind
@pytest.mark.parametrize("rows", [1, 7, 32, 40])
def test_taking_some_rows_at_a_time_does_not_change_results(kind, rows, trained, monkeypatch):
    run, x = trained[kind], examples(kind, 40)

    def results():
        code = run.encode(x)
        return {
            "mean": code.mean,
            "std": code.std,
            "z_mean": code.z_mean,
            "reconstruct": run.reconstruct(x),
            "sample": run.sample(40),
            "y": code.y,
            "z": code.z,
        }

    whole = results()
    monkeypatch.setattr(intel_core.runs.stored_run, "_ROWS", rows)
    for name, part in results().items():
        torch.testing.assert_close(part, whole[name], rtol=1e-4, atol=1e-5, msg=name)


@each_kind
def test_more_rows_than_are_taken_at_a_time(kind, trained):
    run = trained[kind]
    x = np.concatenate([examples(kind, 60)] * 42)
    mean = run.encode(x).mean
    assert mean.shape == (2520, 3)
    torch.testing.assert_close(mean[1980:2040], mean[:60], rtol=1e-5, atol=1e-6)
    assert run.sample(2520).shape[0] == 2520


@each_kind
def test_loaded_run_is_the_run_in_memory(kind, trained):
    run, x = trained[kind], examples(kind)
    loaded = load_run(run.path)
    for first, second in zip(run.encode(x, seed=5), loaded.encode(x, seed=5), strict=True):
        assert torch.equal(first, second)
    assert torch.equal(run.reconstruct(x), loaded.reconstruct(x))
    assert torch.equal(run.sample(6, noise=True), loaded.sample(6, noise=True))
    assert loaded.spec == run.spec
    assert loaded.metrics == run.metrics
    assert (loaded.status, loaded.info) == (run.status, run.info)
    assert run.model.state_dict().keys() == loaded.model.state_dict().keys()


@pytest.mark.parametrize(
    "given", ["array", "tensor", "list", "doubles", "integers", "without channel", "not contiguous"]
)
def test_examples_may_be_given_in_many_forms(given, trained):
    run, x = trained["images"], examples("images")
    forms = {
        "array": x,
        "tensor": torch.as_tensor(x),
        "list": (x / np.float32(255)).tolist(),
        "doubles": x / 255.0,
        "integers": x.astype(np.uint8).copy(),
        "without channel": x[:, 0],
        "not contiguous": np.asfortranarray(x)[::-1][::-1],
    }
    torch.testing.assert_close(run.encode(forms[given]).mean, run.encode(x).mean, rtol=1e-4, atol=1e-5)


# --- what does not fit -------------------------------------------------------------------------------------------


def _with(value):
    x = VECTORS[:5].copy()
    x[3, 2] = value
    return x


@pytest.mark.parametrize(
    "x",
    [
        VECTORS[:, :3],
        VECTORS[0, :3],
        np.float32(1.0),
        VECTORS[None],
        IMAGES,
        _with(np.nan),
        _with(np.inf),
        _with(-np.inf),
        np.full((3, 4), 1e300),
        [[1.0, 2.0, 3.0, 4.0], [1.0]],
        [["a", "b", "c", "d"]],
        np.array([[None] * 4], dtype=object),
        None,
        "digits",
        np.ones((2, 4), dtype=np.complex64),
    ],
    ids=lambda x: type(x).__name__,
)
@pytest.mark.parametrize("method", ["encode", "reconstruct"])
def test_examples_that_do_not_fit_are_refused(method, x, trained):
    with pytest.raises(DataError):
        getattr(trained["vectors"], method)(x)


def test_no_examples_at_all_give_no_codes_or_are_refused(trained):
    for kind, run in trained.items():
        try:
            code = run.encode(examples(kind, 0))
        except DataError:
            continue
        assert [len(part) for part in code] == [0] * 5


@pytest.mark.parametrize(
    "z",
    [np.zeros((2, 3)), np.zeros(6), np.zeros((1, 2, 6)), [[1.0], [1.0, 2.0]], "z", None],
    ids=lambda z: type(z).__name__,
)
def test_latents_that_do_not_fit_are_refused(z, trained):
    with pytest.raises(DataError):
        trained["vectors"].decode(z)


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_less_than_one_sample_or_a_broken_number_is_refused(n, trained):
    with pytest.raises(DataError, match=f"^{n} samples were asked for; expected a whole number, at least 1$"):
        trained["vectors"].sample(n)


# --- the directory -----------------------------------------------------------------------------------------------


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@each_kind
def test_all_files_are_valid_json_or_safetensors(kind, trained):
    path = trained[kind].path
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        if file.suffix == ".json":
            assert isinstance(strict_json(file.read_text(encoding="utf-8")), dict)
        elif file.suffix == ".jsonl":
            assert all(isinstance(strict_json(line), dict) for line in file.read_text().splitlines())
        else:
            assert file.suffix == ".safetensors"
            assert safetensors.torch.load_file(file)
    names = {p.name for p in path.iterdir()}
    assert names == {"run.json", "metrics.json", "metrics.jsonl", "model.safetensors", "checkpoints"}


@each_kind
def test_components_versions_and_data_are_recorded(kind, trained):
    info = strict_json((trained[kind].path / "run.json").read_text())
    components = {(c["kind"], c["name"]): (c["distribution"], c["version"]) for c in info["components"]}
    core = ("intelvae-core", metadata.version("intelvae-core"))
    network, likelihood, schedule = {
        "vectors": ("mlp", "gaussian", "linear"),
        "images": ("conv", "continuous_bernoulli", "constant"),
    }[kind.partition(" ")[0]]
    assert components == {
        ("mappings", "widened"): ("this-process", "0"),
        ("priors", "standard"): core,
        ("posteriors", "gaussian"): core,
        ("datasets", "memory"): core,
        ("likelihoods", likelihood): core,
        ("networks", network): core,
        ("objectives", "elbo"): core,
        ("optimizers", "adam"): core,
        ("schedules", schedule): core,
        ("starts", "none"): core,
    }
    for name in ("torch", "numpy", "intelvae-core"):
        assert info["versions"][name] == metadata.version(name)
    assert info["data"]["shape"] == list(SHAPES[kind])
    assert (info["data"]["train"], info["data"]["validation"], info["data"]["test"]) == (48, 6, 6)
    assert info["parameters"] == sum(p.numel() for p in trained[kind].model.parameters())
    assert info["spec"]["steps"] == 12
    assert info["spec"]["likelihood"].startswith(likelihood)


@each_kind
def test_final_weights_are_those_of_the_model(kind, trained):
    saved = safetensors.torch.load_file(trained[kind].path / "model.safetensors")
    state = trained[kind].model.state_dict()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in saved)


def test_run_is_named_after_what_it_is_and_numbered_where_the_name_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [train(None, steps=1).path for _ in range(3)]
    assert paths == [Path(f"runs/memory-identity-seed1{suffix}") for suffix in ("", "-2", "-3")]
    assert train(None, steps=1, name="my.run").path == Path("runs/my.run")
    assert train(None, steps=1, name="my.run").path == Path("runs/my.run-2")
    assert train(None, steps=1, mapping=["widened", "identity"]).path == Path("runs/memory-widened-identity-seed1")
    assert load_run("runs/my.run-2").status == "finished"


@pytest.mark.parametrize("name", ["", "..", ".", "...", "a/b", "/tmp/x", "a b", "x" * 101, "a\nb"])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntelError):
        train(None, steps=1, name=name)
    assert not [p for p in tmp_path.rglob("*") if p.name != "runs"]


@pytest.mark.parametrize("occupant", ["file in it", "run in it", "is a file"])
def test_directory_that_is_in_use_is_refused_and_left_alone(occupant, tmp_path):
    folder = tmp_path / "taken"
    if occupant == "is a file":
        folder.write_text("mine")
    elif occupant == "file in it":
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    else:
        train(folder, steps=1)
    before = {p: p.read_bytes() for p in [folder, *folder.rglob("*")] if p.is_file()}
    with pytest.raises(RunError):
        train(folder, steps=1)
    assert before == {p: p.read_bytes() for p in [folder, *folder.rglob("*")] if p.is_file()}


def test_empty_directory_and_missing_parents_are_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    assert train(tmp_path / "empty", steps=1).status == "finished"
    assert train(tmp_path / "a" / "b" / "c", steps=1).status == "finished"


class BadHook:
    """Implements a hook that does not exist."""

    @hookimpl
    def step_finished(self, trainer):
        """Never called."""


@pytest.mark.parametrize(
    ("settings", "hooks"),
    [
        ({"latent": 0}, ()),
        ({"schedules": {"kll": "constant"}}, ()),
        ({"mapping": "identity:dims=0-9"}, ()),
        ({"encoder": "conv"}, ()),
        ({"likelihood": "bernoulli"}, ()),
        ({}, (BadHook(),)),
    ],
    ids=["field", "schedule", "mapping", "network", "likelihood", "hook"],
)
def test_mistake_in_the_settings_leaves_no_directory_behind(settings, hooks, tmp_path):
    """So that the mended command works."""
    with pytest.raises(IntelError):
        train(tmp_path / "run", "vectors", *hooks, **settings)
    train(tmp_path / "run", steps=1)


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "\x00\xff", '{"format": 999}', "{}"])
def test_damaged_run_json_is_an_error_that_names_it(content, tmp_path):
    path = train(tmp_path / "run", steps=1).path
    (path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match=r"run|format"):
        _ = load_run(path).model


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights_are_an_error(keep, tmp_path):
    path = train(tmp_path / "run", steps=1).path
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"model\.safetensors"):
        load_run(path).sample(1)


def test_weights_of_another_model_are_an_error(tmp_path):
    path, other = train(tmp_path / "run", steps=1).path, train(tmp_path / "other", steps=1, latent=2).path
    (path / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"does not match the checksum in metrics\.json"):
        load_run(path).sample(1)
    metrics = json.loads((path / "metrics.json").read_text())
    del metrics["weights_sha256"]  # as in a run of before there was one
    (path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(RunError, match=r"do not fit its spec: encoder\..* has shape \[.*\], expected \["):
        load_run(path).sample(1)


def test_missing_directory_is_an_error_that_knows_the_neighbours(tmp_path):
    train(tmp_path / "first-run", steps=1)
    with pytest.raises(RunError, match="first-run"):
        load_run(tmp_path / "frist-run")


def test_arrays_cannot_be_loaded_again(trained):
    with pytest.raises(DataError, match="passed as arrays"):
        trained["vectors"].dataset()


def test_data_is_split_as_make_dataset_does(trained):
    summary = make_dataset("d", VECTORS).summary()
    assert trained["vectors"].info["data"]["fingerprint"] == summary["fingerprint"]


# --- nothing in a run can run code -------------------------------------------------------------------------------

SOURCES = sorted(Path(intel_core.__file__).parent.rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {("torch", "load"), ("torch", "save"), ("yaml", "load"), ("yaml", "unsafe_load"), ("numpy", "load")}


def forbidden(source):
    """Imports and calls that read or write pickles, or evaluate text."""
    tree, found = ast.parse(source), []
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                aliases[name.asname or name.name.partition(".")[0]] = name.name.partition(".")[0]
                found += [name.name] if name.name.partition(".")[0] in FORBIDDEN_MODULES else []
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").partition(".")[0]
            found += [module] if module in FORBIDDEN_MODULES else []
            found += [f"{module}.{n.name}" for n in node.names if (module, n.name) in FORBIDDEN_CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            call = (aliases.get(node.value.id, node.value.id), node.attr)
            found += [".".join(call)] if call in FORBIDDEN_CALLS else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            found.append(node.func.id)
    return found


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from pickle import loads", "import torch\ntorch.load('x')", "import torch as t\nt.save(1, 'x')",
     "import numpy as np\nnp.load('x')", "from torch import load", "import yaml\nyaml.load('')", "eval('1')"],
)  # fmt: skip
def test_the_search_for_pickles_finds_them(source):
    assert forbidden(source)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_ever_unpickled_or_evaluated(path):
    assert not forbidden(path.read_text(encoding="utf-8"))


def test_a_run_of_a_former_version_with_a_setting_that_is_gone_is_read(trained, tmp_path):
    former = tmp_path / "run"
    shutil.copytree(trained["vectors"].path, former)
    info = json.loads((former / "run.json").read_text())
    info["spec"]["strategy"] = "auto"
    (former / "run.json").write_text(json.dumps(info))
    assert load_run(former).spec == trained["vectors"].spec
    with pytest.raises(SpecError, match="no setting 'strategy'"):
        fit(data=VECTORS, strategy="auto")
