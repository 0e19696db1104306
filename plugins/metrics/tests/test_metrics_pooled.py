"""Is a sampler that is fitted after training the aggregate posterior, kept as data, and never taken for the prior?"""

from __future__ import annotations

import json

import pytest
import torch
from intel_metrics.pooled import PooledMixture
from intel_metrics.pooled import fit as fit_mixture

from intel_core import SpecError, fit, load_run, make_dataset


def two_clouds(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(n, 2, generator=generator)
    y[: n // 3, 0] += 12
    return y[torch.randperm(n, generator=generator)]


def test_the_number_of_components_is_chosen_by_held_out_likelihood():
    found = fit_mixture(two_clouds(1500), two_clouds(500, seed=1), None)
    scores = found.facts["log-likelihood of validation encodings"]
    assert found.facts["components"] == int(max(scores, key=scores.get)) > 1
    assert scores["2"] > scores["1"] + 0.5
    assert len(scores) < 10  # two that are no better end it
    mixture = PooledMixture(**fit_mixture(two_clouds(1500), two_clouds(500, seed=1), 2).tensors)
    assert sorted(mixture.log_weights.exp().tolist()) == pytest.approx([1 / 3, 2 / 3], abs=0.03)


@pytest.mark.parametrize("full", [True, False])
def test_its_density_is_that_of_scikit_learn_and_integrates_to_one(full):
    from sklearn.mixture import GaussianMixture

    y, other = two_clouds(600), two_clouds(50, seed=1)
    mixture = PooledMixture(**fit_mixture(y, other, 3, full=full).tensors)
    reference = GaussianMixture(3, covariance_type="full" if full else "diag", random_state=0, max_iter=200)
    reference.fit(y.double().numpy())
    expected = torch.from_numpy(reference.score_samples(other.double().numpy()))
    torch.testing.assert_close(mixture.log_prob(other.double()), expected, rtol=1e-9, atol=1e-9)
    side = torch.linspace(-8, 20, 400, dtype=torch.float64)
    mass = mixture.log_prob(torch.cartesian_prod(side, side)).exp().sum() * (side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-3)


def test_its_draws_have_its_density():
    mixture = PooledMixture(**fit_mixture(two_clouds(900), two_clouds(100, seed=1), 2).tensors)
    noise = torch.randn(40_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = mixture.draw(noise)
    assert float((y[:, 0] > 6).double().mean()) == pytest.approx(1 / 3, abs=0.02)
    # E over its own draws of the responsibilities is the weights.
    torch.testing.assert_close(
        mixture.log_responsibilities(y).exp().mean(0), mixture.log_weights.exp(), rtol=0, atol=0.01
    )


@pytest.fixture(scope="module")
def data():
    x = two_clouds(900)
    x[:, 1] = 0.3 * x[:, 1] + x[:, 0].sign()
    return make_dataset("clouds", x)


@pytest.fixture
def run(tmp_path, data):
    return fit(data=data, latent=2, steps=60, warmup=0, batch_size=50, run_dir=tmp_path / "run", device="cpu")


def test_a_sampler_is_kept_with_the_run_and_needs_no_data_the_second_time(run, data):
    first = run.sample(500, sampler="pooled:components=4", dataset=data, seed=3)
    again = load_run(run.path)
    assert torch.equal(again.sample(500, sampler="pooled:components=4", seed=3), first)
    assert not again.sampler("pooled:components=4").is_new
    assert not torch.equal(again.sample(500, seed=3), first)
    (json_file,) = (run.path / "samplers").glob("*.json")
    assert json.loads(json_file.read_text())["facts"]["components"] == 4
    assert {path.suffix for path in (run.path / "samplers").iterdir()} == {".json", ".safetensors"}


def test_draws_of_the_sampler_are_nearer_to_the_encodings_than_those_of_the_prior(run, data):
    y = run.encode(data.train.x, standardised=True).y
    fitted = run.sampler("pooled", dataset=data).prior
    prior = torch.distributions.Normal(0.0, 1.0)
    assert float(fitted.log_prob(y).mean()) > float(prior.log_prob(y).sum(-1).mean())


def test_a_sampler_is_fitted_again_if_the_weights_have_changed_or_it_is_damaged(run, data):
    assert run.sampler("pooled", dataset=data).is_new
    (kept,) = (run.path / "samplers").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-8] + bytes(8))
    assert run.sampler("pooled", dataset=data).is_new
    assert not run.sampler("pooled", dataset=data).is_new
    with torch.no_grad():
        next(run.model.parameters()).add_(0.01)
    assert run.sampler("pooled", dataset=data).is_new


def test_a_link_in_the_place_of_a_sampler_is_not_followed(run, data, tmp_path):
    run.sampler("pooled", dataset=data)
    folder = run.path / "samplers"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="link"):
        run.sampler("pooled", dataset=data)


def test_numbers_of_a_sampler_have_another_name_and_key_and_do_not_replace_those_of_the_prior(run, data):
    usual, pooled = (
        run.measure("manifold", "aggregate", dataset=data, sampler=sampler) for sampler in ("prior", "pooled")
    )
    assert [one.name for one in pooled] == ["manifold from pooled", "aggregate from pooled"]
    assert pooled[1].status == "not applicable"
    assert "no generated examples" in pooled[1].reason
    assert [one.name for one in usual] == ["manifold", "aggregate"]


def test_no_sampler_of_a_name_is_an_error_of_a_line(run):
    with pytest.raises(SpecError, match="did you mean 'pooled'"):
        run.sample(3, sampler="pooles")


def test_more_components_than_examples_are_refused(run, data):
    with pytest.raises(SpecError, match="400 components need 2000 training examples"):
        run.sampler("pooled:components=400", dataset=data)
