"""`intel report`: one file with everything in it, the numbers of the run, and what it says where something lacks."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from intel_core import MappingSpec, Measurement, MetricSpec, Number, Properties, Subject, load_run, measure, register
from intel_core.components import discovery as plugins
from intel_core.evaluation.bias.evidence import Compared
from intel_core.evaluation.bias.price import bounds_of, from_metrics, likelihoods, paired


class _Ring(nn.Module):
    """The unit sphere of as many dimensions as there are."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.properties = Properties(norm_bound=1.0, betti=(1, 1) if y_dim == 2 else None)

    def forward(self, y):
        return y / y.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class RingSpec(MappingSpec):
    """A circle."""

    def build(self, y_dim):
        return _Ring(y_dim)


class Stack(nn.Module):
    """Each coordinate with half of the one before it."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.properties = Properties(injective=True)
        self.levels = tuple((i,) for i in range(y_dim))

    def forward(self, y):
        return y + 0.5 * torch.roll(y, 1, -1) * (torch.arange(self.y_dim) > 0)


class StackSpec(MappingSpec):
    """Levels."""

    def build(self, y_dim):
        return Stack(y_dim)


class Keep(nn.Module):
    """The largest coordinate alone."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.properties = Properties(sparsity=(0.9, 1.0))

    def forward(self, y):
        return y * (y.abs() == y.abs().amax(-1, keepdim=True))


class KeepSpec(MappingSpec):
    """Sparsity."""

    def build(self, y_dim):
        return Keep(y_dim)


class LikelihoodSpec(MetricSpec):
    """A likelihood that depends on the mapping."""

    def measure(self, subject):
        bias = "halves" in str(subject.run.spec.mapping[0])
        numbers = {
            "bound": Number(value=-9.0 if bias else -8.0, error=0.1, unit="nats per example", better="higher"),
            "share": Number(value=0.25, better="lower", beside={"Gaussian floor": 0.125}, about="a <share> & more"),
        }
        return Measurement(numbers=numbers, protocol={"draws": 16, "seed": self.seed}, notes=("Of 12 examples.",))


class ManifoldSpec(MetricSpec):
    """Share off the manifold."""

    def measure(self, subject):
        value = 0.1 if "halves" in str(subject.run.spec.mapping[0]) else 0.4
        return Measurement(numbers={"off": Number(value=value, error=0.01, better="lower")}, protocol={})


class NamedLikelihoodSpec(LikelihoodSpec):
    """Under the name that the verdict asks for."""


class NamedManifoldSpec(ManifoldSpec):
    """Alike."""


@pytest.fixture(autouse=True)
def _known(here, monkeypatch):
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for spec in (RingSpec, StackSpec, KeepSpec):
        register("mappings", spec.__name__[:-4].lower(), spec)
    # Under names of their own: others may be installed.
    register("metrics", "my_likelihood", LikelihoodSpec)
    register("metrics", "my_manifold", ManifoldSpec)


@pytest.fixture
def runs(trained, here):
    """Copies of the runs `points` and `images`, which may be written to."""
    for name in ("points", "images"):
        shutil.copytree(trained / name, here / name)
    return here


def page_of(ok, *args, file="page.html"):
    result = ok("report", *args, "-o", file)
    return Path(file).read_text(encoding="utf-8"), result


def json_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


SECTIONS = ("verdict", "trained", "curves", "samples", "reconstructions", "latent", "dimensions", "mapping", "metrics")


@pytest.mark.parametrize("name", ["points", "images"])
def test_every_section_is_there_and_nothing_is_fetched(ok, runs, name):
    page, result = page_of(ok, name)
    for section in SECTIONS:
        assert f'<section id="{section}"' in page
        assert f'href="#{section}"' in page
    addresses = re.findall(r'\b(?:src|href|srcset|action|poster)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert len(addresses) > len(SECTIONS)
    assert [a for a in addresses if not a.startswith(("#", "data:"))] == []
    assert "http://www.w3.org/2000/svg" in page  # a name, in the script, of what is never fetched
    assert re.findall(r"https?://(?!www\.w3\.org)", page) == []
    assert "default-src 'none'" in page.replace("&#39;", "'")
    assert "page.html" in result.stdout


def test_the_policy_allows_this_script_alone(ok, runs):
    import base64
    import hashlib

    page, _ = page_of(ok, "points")
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"script-src 'sha256-{digest}'" in page.replace("&#39;", "'")


def test_the_default_file_is_in_the_run_and_is_replaced_whole(ok, runs):
    target = runs / "points" / "report.html"
    target.write_text("old")
    ok("report", "points")
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert not list((runs / "points").glob(".*tmp*"))


def test_a_name_is_text_and_nothing_more(ok, runs):
    info = json.loads((runs / "points" / "run.json").read_text())
    info["name"] = '<script>alert(1)</script> " onload=x'
    (runs / "points" / "run.json").write_text(json.dumps(info))
    page, _ = page_of(ok, "points")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &#34; onload=x" in page


def test_class_names_are_text_too(runs):
    from intel_cli.report.gather import gather
    from intel_cli.report.page import render

    run = load_run("images")
    data = run.dataset()
    names = tuple(f"</script><b>{i}" for i in range(10))
    run.dataset = lambda folder=None: type(data)(data.name, data.train, data.validation, data.test, data.support, names)
    page = render(gather(run, None, None))
    assert "</script><b>" not in page
    assert "&lt;/script&gt;&lt;b&gt;3" in page


def test_the_numbers_are_those_of_the_run(ok, runs):
    page, _ = page_of(ok, "images")
    curves = json_of(page)["curves"]
    records = load_run("images").records()
    validation = [[r["step"], float(f"{r['elbo']:.5g}")] for r in records if r["kind"] == "validation"]
    assert validation in [curve["lines"].get("validation") for curve in curves]
    assert f"{load_run('images').metrics['test']['elbo']:.2f}".replace("-", "−") in page


def test_a_walk_decodes_what_the_run_decodes(ok, runs):
    import base64
    import io

    import numpy as np
    from PIL import Image

    page, _ = page_of(ok, "images")
    data, run = json_of(page), load_run("images")
    walk = re.search(r'data-dim="(\d+)">\s*<div class="frame"[^>]*><img src="data:image/png;base64,([^"]+)"', page)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(walk[2]))))
    assert pixels.shape == (8 * len(data["bases"]), 8 * len(data["steps"]))
    y = run.encode(run.dataset().test.x).mean
    row, column = 1, 12
    first = int(re.search(r"test (\d+)", data["bases"][row]["name"])[1])
    moved = y[first : first + 1].clone()
    moved[0, int(walk[1])] = data["steps"][column]
    expected = (run.decode(run.model.mapping(moved).detach())[0, 0] * 255).round().numpy()
    assert np.abs(pixels[row * 8 : row * 8 + 8, column * 8 :][:, :8].astype(float) - expected).max() <= 1


@pytest.mark.parametrize(
    ("mapping", "data", "latent", "said"),
    [
        ("ring", "toy_points", 2, "Do the data use the whole shape?"),
        ("ring", "toy_space", 3, "at most 1 away from the origin"),
        ("stack", "toy_images", 3, "Does each level build on those above?"),
        ("keep", "toy_wide", 4, "Does each row use few dimensions?"),
        ("halves", "toy_line", 1, "Are the clusters as large as the model assumed?"),
        ("halves:dims=2-3", "toy_images", 5, "Do the clusters match the labels?"),
        ("identity", "toy_space", 1, "no bias to judge"),
    ],
)
def test_every_sort_of_mapping_and_data(ok, tiny, mapping, data, latent, said):
    ok(
        "train",
        "--data",
        data,
        "--mapping",
        mapping,
        "--latent",
        latent,
        *tiny,
        "--quiet",
        "--no-pictures",
        "--run-dir",
        "r",
    )
    result = ok("report", "r", "--json")
    verdict = json.loads(result.stdout)
    everything = json.dumps(verdict)
    assert said in everything
    page = Path(verdict["file"]).read_text(encoding="utf-8")
    assert verdict["headline"] in page
    assert 'class="chart plane"' in page


def test_against_a_run_without_the_bias(ok, runs, tiny):
    ok(
        "train",
        "--data",
        "toy_points",
        "--mapping",
        "identity",
        *tiny,
        "--quiet",
        "--no-pictures",
        "--run-dir",
        "plain",
    )
    page, result = page_of(ok, "points", "--against", "plain")
    assert "without the bias" in page
    assert "paired" in result.stdout
    assert "±" in result.stdout
    assert "--mapping identity" not in result.stdout
    assert 'class="curve vanilla"' in page


def test_measurements_stand_beside_their_floor_with_the_protocol(ok, runs, tiny):
    ok(
        "train",
        "--data",
        "toy_points",
        "--mapping",
        "identity",
        *tiny,
        "--quiet",
        "--no-pictures",
        "--run-dir",
        "plain",
    )
    for name in ("points", "plain"):
        assert all(m.status == "measured" for m in measure(Subject(load_run(name)), [LikelihoodSpec(), ManifoldSpec()]))
    page, _ = page_of(ok, "points", "--against", "plain")
    row = re.search(r"<tr><th scope=\"row\">share.*?</tr>", page, re.DOTALL)[0]
    assert "Gaussian floor 0.125" in row
    assert "a &lt;share&gt; &amp; more" in row
    assert "−" not in row
    bound = re.search(r"<tr><th scope=\"row\">bound.*?</tr>", page, re.DOTALL)[0]
    assert "−9.00 ± 0.10" in bound
    assert "−8.00 ± 0.10" in bound
    assert "Protocol of my_likelihood" in page
    assert "&#34;draws&#34;: 16" in page
    assert "Of 12 examples." in page


def test_a_measured_likelihood_goes_before_the_one_computed_here_with_the_error_of_pairs(ok, runs, tiny):
    register("metrics", "likelihood", NamedLikelihoodSpec)
    register("metrics", "manifold", NamedManifoldSpec)
    metrics = [NamedLikelihoodSpec(), NamedManifoldSpec()]
    ok(
        "train",
        "--data",
        "toy_points",
        "--mapping",
        "identity",
        *tiny,
        "--quiet",
        "--no-pictures",
        "--run-dir",
        "plain",
    )
    mine, other = (list(measure(Subject(load_run(r)), metrics)) for r in ("points", "plain"))
    names = [one.name for one in mine]
    found = from_metrics(names[0], mine, other, "higher")
    assert (found.value, found.vanilla) == (-9.0, -8.0)
    assert found.error == pytest.approx(0.1 * 2**0.5)
    assert from_metrics(names[1], mine, other, "lower").vanilla == 0.4
    assert from_metrics(names[1], mine, [], "lower") is None
    assert from_metrics("nothing", mine, other, "lower") is None
    assert names == ["likelihood", "manifold"]
    x = load_run("points").dataset().test.x
    error = paired(bounds_of(load_run("points"), x), bounds_of(load_run("plain"), x)).error
    _, result = page_of(ok, "points", "--against", "plain")
    assert "−9.00 nats per example with the bias, −8.00 without it" in result.stdout
    assert "Measured: likelihood bound." in result.stdout
    assert f"a difference of −1.00 ± {error:.2f}" in result.stdout
    assert "a difference of −0.300 ± 0.014" in result.stdout
    assert "--metric" not in result.stdout


def test_the_error_of_a_difference_is_that_of_the_examples_measured(runs):
    points, images = load_run("points"), load_run("points")
    images.model.decoder.requires_grad_(False)[-1].bias += 0.3  # another model on the same data
    x = points.dataset().test.x
    measured = Compared("log p", -9.0, -8.0, 0.1, n=5)
    assert len(x) == 12
    for n in (5, 12, 1200):
        spread = (bounds_of(points, x[:n]) - bounds_of(images, x[:n])).std()
        found = likelihoods(points, images, x, replace(measured, n=n))
        assert found.error == pytest.approx(float(spread) / n**0.5)
        assert (found.value, found.vanilla) == (-9.0, -8.0)
    assert likelihoods(points, images, x, None).value == pytest.approx(float(bounds_of(points, x).mean()))


def test_what_the_mapping_says_is_told_once():
    from types import SimpleNamespace

    from intel_cli.report.tables import diagnosis_of

    details = {"data shares": [0.5, 0.5], "level change": [0.1, 0.9]}
    measured = SimpleNamespace(name="diagnosis", measurement=Measurement(numbers={}, protocol={}, details=details))
    own = {"data_shares": [0.5, 0.5], "classes": [0, 1], "contingency": [[1, 2], [3, 4]], "purity": None}
    found = diagnosis_of(own, [measured], ("zero", "one"))
    assert [one.name for one in found] == ["data shares", "contingency", "level change"]
    assert found[1].columns == ("zero", "one")
    assert [width for _, width, _ in found[2].bars] == pytest.approx([100 / 9, 100])


def test_an_interrupted_run_is_shown_with_a_warning(ok, runs):
    metrics = json.loads((runs / "points" / "metrics.json").read_text())
    (runs / "points" / "metrics.json").write_text(json.dumps({**metrics, "status": "interrupted", "step": 10}))
    page, _ = page_of(ok, "points")
    assert "This run is interrupted" in page
    assert "It reached step 10 of 20." in page


def test_a_run_that_has_not_ended_is_shown_from_its_checkpoint(ok, runs):
    (runs / "images" / "metrics.json").unlink()
    (runs / "images" / "model.safetensors").unlink()
    page, _ = page_of(ok, "images")
    assert "This run is unfinished" in page
    assert "intel train --resume images" in page
    assert '<section id="latent"' in page


def test_without_its_data_a_run_shows_the_prior_and_says_why(ok, here, tiny):
    import numpy as np

    np.save("x.npy", np.random.default_rng(0).normal(size=(60, 2)).astype("float32"))
    ok("train", "--data", "x.npy", "--mapping", "ring", *tiny, "--quiet", "--no-pictures", "--run-dir", "r")
    (here / "x.npy").unlink()
    page, result = page_of(ok, "r")
    assert "Whether the bias took effect cannot be told" in result.stdout
    assert "The data cannot be loaded here" in page
    assert "intel evaluate r --metrics diagnosis" in page
    assert '<section id="reconstructions"' not in page
    assert '<section id="dimensions"' in page


def test_many_points_are_thinned_and_counted(ok, tiny):
    ok("train", "--data", "toy_points:n=30000", *tiny, "--quiet", "--no-pictures", "--run-dir", "r")
    page, _ = page_of(ok, "r")
    assert "1,500 of 3,000 points are drawn" in page
    assert len(page) < 1_000_000


NONSENSE = {
    "no run": (("nowhere",), "nowhere"),
    "a folder that is no run": ((".",), "run"),
    "no such folder for the file": (("points", "-o", "a/b/c.html"), "there is no folder 'a/b'; make it first"),
    "another kind of file": (("points", "-o", "page.pdf"), ".html"),
    "no such other run": (("points", "--against", "nowhere"), "nowhere"),
    "other data": (("points", "--against", "images"), "was trained on other data than points"),
    "itself": (("points", "--against", "points"), "cannot be held against itself"),
    "no such data folder": (("points", "--data-dir", "nowhere"), "is not a folder"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense(refused, runs, case):
    args, expected = NONSENSE[case]
    refused("report", *args, says=expected, code=3 if case == "no such data folder" else 2)


def test_a_run_without_weights(call, runs):
    (runs / "points" / "model.safetensors").unlink()
    shutil.rmtree(runs / "points" / "checkpoints")
    result = call("report", "points")
    assert result.exit_code == 2
    assert "points" in result.stderr
    assert not (runs / "points" / "report.html").exists()


def test_a_folder_of_replicates_is_several_runs(call, here):
    (here / "group").mkdir()
    (here / "group" / "replicates.json").write_text("{}")
    result = call("explore", "group")
    assert result.exit_code == 2
    assert "choose one of them, such as group/seed-" in result.stderr


def test_data_that_have_become_others(call, runs):
    info = json.loads((runs / "points" / "run.json").read_text())
    info["data"]["fingerprint"] = "0" * 16
    (runs / "points" / "run.json").write_text(json.dumps(info))
    result = call("report", "points")
    assert result.exit_code == 2
    assert "trained on other data" in result.stderr


def test_an_error_as_json(call, here):
    result = call("report", "nowhere", "--json")
    assert result.exit_code == 2
    assert "nowhere" in json.loads(result.stdout)["error"]


def test_open_hands_the_file_to_a_browser(ok, runs, monkeypatch):
    import click

    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    ok("report", "points", "--open")
    assert opened == [str((runs / "points" / "report.html").resolve())]


def test_commands_for_copying_are_quoted(ok, runs):
    shutil.copytree(runs / "points", runs / "my points")
    assert "`intel report 'my points' --against 'my points-identity'`" in ok("report", "my points").stdout
