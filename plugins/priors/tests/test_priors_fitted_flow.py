"""Is a flow that is fitted after training the aggregate posterior, kept as data, and never taken for the prior?"""

from __future__ import annotations

import json
import math
import sys

import pytest
import torch
from intel_priors.fitted_flow import Shape, of_tensors
from intel_priors.fitted_flow import fit as fit_flow

from intel_core import PluginError, SpecError, fit, load_run, make_dataset
from intel_core.errors import EnvironmentProblem

SMALL = Shape("nsf", 2, (32, 32), 8)
TINY = "flow:transforms=1,hidden=[8],bins=4,steps=100"
WIDTH = 0.15


def ring(n, seed):
    """Points at the distance 2 ± 0.15 from 0, in all directions."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    radius = 2 + WIDTH * torch.randn(n, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)


def log_density_of_ring(y):
    radius = y.norm(dim=-1)
    return torch.distributions.Normal(2, WIDTH).log_prob(radius) - math.log(2 * math.pi) - radius.log()


@pytest.fixture(scope="module")
def flow():
    return of_tensors(fit_flow(ring(3000, 0), ring(800, 1), SMALL, steps=1000).tensors, SMALL)


@pytest.mark.slow
def test_the_density_of_a_ring_is_found_to_a_tenth_of_a_nat(flow):
    unseen = ring(10_000, 2)
    truth, found = (float(log(unseen).mean()) for log in (log_density_of_ring, flow.log_prob))
    gaussian = torch.distributions.MultivariateNormal(unseen.mean(0), unseen.T.cov())
    assert truth - 0.1 < found < truth + 0.02
    assert found > float(gaussian.log_prob(unseen).mean()) + 0.5


@pytest.mark.slow
def test_its_density_integrates_to_one_and_its_draws_have_it(flow):
    side = torch.linspace(-4, 4, 600)
    mass = flow.log_prob(torch.cartesian_prod(side, side)).exp().double().sum() * float(side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=0.01)
    y = flow.draw(torch.randn(10_000, 2, generator=torch.Generator().manual_seed(0)))
    assert float((y.norm(dim=-1) < 1).double().mean()) < 0.02  # the hole, where a Gaussian has a fifth of its mass
    assert float(y[:, 0].gt(0).double().mean()) == pytest.approx(0.5, abs=0.04)
    entropy = -float(flow.log_prob(y).mean())
    assert entropy == pytest.approx(-float(log_density_of_ring(ring(10_000, 3)).mean()), abs=0.1)


@pytest.mark.slow
def test_held_out_likelihood_decides_when_to_stop():
    few = ring(60, 0)
    long = fit_flow(few, ring(400, 1), SMALL, steps=2000)
    assert long.facts["steps"] < long.facts["steps tried"] < 2000  # it would learn 60 points by heart
    kept = of_tensors(long.tensors, SMALL)
    with torch.no_grad():
        found = float(kept.log_prob(ring(400, 1)).double().mean())
    assert found == pytest.approx(long.facts["log-likelihood of validation encodings"], abs=1e-6)


@pytest.mark.promptly("realnvp")
@pytest.mark.parametrize("form", ["nsf", "maf", "realnvp"])
def test_a_seed_gives_the_same_flow_whatever_was_drawn_before_and_on_any_number_of_threads(form):
    shape = Shape(form, 2, (8,), 4)
    torch.manual_seed(1)
    one = fit_flow(ring(200, 0), ring(50, 1), shape, steps=100, seed=3)
    torch.manual_seed(2)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    two = fit_flow(ring(200, 0), ring(50, 1), shape, steps=100, seed=3)
    torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    other = fit_flow(ring(200, 0), ring(50, 1), shape, steps=100, seed=4)
    assert one.facts == two.facts
    assert one.tensors.keys() == two.tensors.keys()
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert any(not torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("width", [1, 3])
def test_a_dimension_in_which_nothing_varies_is_drawn_as_it_is(width):
    y = torch.full((100, width), 1.5)
    shape = Shape("nsf", 1, (8,), 4)
    flow = of_tensors(fit_flow(y, y[:20], shape, steps=50).tensors, shape)
    assert flow.draw(torch.randn(50, width, generator=torch.Generator().manual_seed(0))) == pytest.approx(1.5, abs=1e-4)


@pytest.mark.parametrize(
    "broken",
    [
        {"mean": None},
        {"mean": torch.zeros(3)},
        {"scale": torch.tensor([1.0, 0.0])},
        {"scale": torch.ones(2, dtype=torch.float64)},
        {"mean": torch.zeros(10**6), "scale": torch.ones(10**6)},  # no network for so many is made
        {"more": torch.zeros(1)},
        {"first": None},
    ],
    ids=["none", "of other shape", "no scale", "of other type", "too wide", "one too many", "one too few"],
)
def test_tensors_of_no_flow_are_refused(broken):
    shape = Shape("maf", 1, (32,), 4)
    tensors = fit_flow(ring(40, 0), ring(10, 1), shape, steps=1).tensors
    first = next(name for name in tensors if name.startswith("flow."))
    broken = {first if name == "first" else name: value for name, value in broken.items()}
    with pytest.raises(ValueError, match=r"tensors|dimension"):
        of_tensors({name: value for name, value in {**tensors, **broken}.items() if value is not None}, shape)


@pytest.fixture(scope="module")
def data():
    return make_dataset("ring", ring(600, 0))


@pytest.fixture
def run(tmp_path, data):
    return fit(data=data, latent=2, steps=40, warmup=0, batch_size=50, run_dir=tmp_path / "run", device="cpu")


def test_it_is_kept_with_the_run_and_needs_no_data_the_second_time(run, data):
    first = run.sample(50, sampler=TINY, dataset=data, seed=3)
    again = load_run(run.path)
    assert torch.equal(again.sample(50, sampler=TINY, seed=3), first)
    assert not again.sampler(TINY).is_new
    assert not torch.equal(again.sample(50, seed=3), first)  # the prior is still the prior
    assert {path.suffix for path in (run.path / "samplers").iterdir()} == {".json", ".safetensors"}
    (kept,) = (run.path / "samplers").glob("*.json")
    assert json.loads(kept.read_text())["distribution"] == "intelvae-priors"


def test_a_damaged_file_is_not_used(run, data):
    said = []
    first = run.sampler(TINY, dataset=data)
    (kept,) = (run.path / "samplers").glob("*.safetensors")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-8] + bytes(8))
    again = run.sampler(TINY, dataset=data, told=said.append)
    assert again.is_new
    assert len(said) == 1
    assert "Fitting flow" in said[0]
    assert kept.read_bytes() == whole
    assert torch.equal(again.prior.draw(torch.ones(1, 2)), first.prior.draw(torch.ones(1, 2)))


def test_its_numbers_have_a_name_of_their_own(run, data):
    usual, fitted = (run.measure("manifold", dataset=data, sampler=name) for name in ("prior", TINY))
    assert usual[0].name == "manifold"
    assert fitted[0].name == f"manifold from {TINY}"


def test_without_zuko_it_is_told_in_a_line(run, data, monkeypatch):
    run.sampler(TINY, dataset=data)
    for name in [name for name in sys.modules if name.partition(".")[0] == "zuko" or name.startswith("intel_priors.f")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "zuko", None)
    for sampler in (TINY, "flow:steps=7"):  # one that is kept, one that would be fitted
        with pytest.raises(
            (EnvironmentProblem, PluginError), match="needs the package 'zuko', which is not installed"
        ) as caught:
            run.sampler(sampler, dataset=data)
        assert "\n" not in str(caught.value)


def test_too_few_examples_are_refused_in_a_line(tmp_path):
    few = make_dataset("few", ring(20, 0))
    run = fit(data=few, latent=2, steps=2, warmup=0, batch_size=5, run_dir=tmp_path / "few", device="cpu")
    with pytest.raises(SpecError, match="a flow needs 20 training examples and 5 for validation"):
        run.sampler("flow", dataset=few)
    assert not list(run.path.glob("samplers/*"))
