"""Is the penalty of `dd` the discrepancy of its formula, and does the objective take its noise from outside?"""

import pytest
import torch
from intel_priors import DD, SparseMixture, squared_mmd
from intel_priors.discrepancy import SCALES

from intel_core import SpecError, fit, load_run, make_dataset
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.model.objectives import ELBO
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.process_group import ProcessGroup


def reference(a, b):
    """Pair by pair, as the formula is written."""

    def kernel(u, v):
        return sum(2 * s / (2 * s + (u - v) ** 2) for s in SCALES)

    total = 0.0
    for d in range(a.shape[1]):
        for sample in (a, b):
            n = len(sample)
            pairs = [kernel(sample[i, d], sample[j, d]) for i in range(n) for j in range(n) if i != j]
            total = total + sum(pairs) / len(pairs)
        total = total - 2 * sum(kernel(u, v) for u in a[:, d] for v in b[:, d]) / (len(a) * len(b))
    return total


@pytest.fixture
def samples():
    torch.manual_seed(0)
    return tuple(torch.randn(n, 3, dtype=torch.float64).requires_grad_() for n in (6, 4))


def test_value_and_gradients_are_those_of_the_formula(samples):
    ours, theirs = squared_mmd(*samples), reference(*samples)
    torch.testing.assert_close(ours, theirs)
    pairs = zip(torch.autograd.grad(ours, samples), torch.autograd.grad(theirs, samples), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other)


def test_dimensions_are_taken_in_parts_without_a_difference(samples, monkeypatch):
    whole = squared_mmd(*samples)
    monkeypatch.setattr("intel_priors.discrepancy._CACHED", 1)
    torch.testing.assert_close(squared_mmd(*samples), whole)


def test_it_is_unbiased_and_two_rows_are_needed():
    torch.manual_seed(0)
    values = torch.stack([squared_mmd(torch.randn(10, 2), torch.randn(10, 2)) for _ in range(500)])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 500**0.5
    assert bool((values < 0).any())
    assert float(squared_mmd(torch.randn(1, 2), torch.randn(5, 2))) == 0


@pytest.fixture(scope="module")
def model():
    x = (torch.rand(60, 12, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    return fit(data=x, prior="sparse_mixture", latent=3, steps=2, device="cpu").model


def test_the_loss_is_the_elbo_and_the_penalty_of_the_same_draw(model):
    x, noise = torch.rand(16, 12), torch.randn(3, 16, 3)
    terms = DD(alpha=7.0, beta=0.5)(model, x, noise, {"kl": 0.3})
    plain = ELBO(0.5)(model, x, noise[:1], {"kl": 0.3})
    y = model.encode(x).rsample(noise[0])
    mmd = squared_mmd(y, model.prior.draw(torch.cat([noise[1], noise[2]], -1)))
    torch.testing.assert_close(terms.others["mmd"], mmd)
    torch.testing.assert_close(terms.loss, plain.loss + 7 * mmd)
    again = DD(alpha=7.0, beta=0.5)(model, x, noise, {"kl": 0.3})
    assert torch.equal(terms.loss, again.loss)


def test_a_prior_that_takes_too_much_noise_is_refused_in_a_line(model, monkeypatch):
    monkeypatch.setattr(model.prior, "noise_dim", 7)
    with pytest.raises(SpecError, match="has 6 random numbers for each draw of the prior, which takes 7"):
        DD()(model, torch.rand(4, 12), torch.randn(3, 4, 3), {})


def test_the_penalty_brings_the_aggregate_posterior_to_the_prior(tmp_path):
    torch.manual_seed(0)
    x = (torch.rand(200, 20) > torch.rand(200, 1)).float()
    found = {}
    for alpha in (0, 100):
        options = {"prior": "sparse_mixture", "latent": 4, "steps": 150, "learning_rate": 3e-3, "device": "cpu"}
        run = fit(data=x, objective=f"dd:alpha={alpha},beta=0", **options, run_dir=tmp_path / str(alpha))
        found[alpha] = load_run(run.path).metrics["test"]["mmd"]
    assert found[100] < 0.5 * found[0]


class TwoProcesses(ProcessGroup):
    size = 2


def test_several_processes_are_refused_since_each_would_see_a_part_of_the_batch():
    data = make_dataset("x", torch.randn(60, 4, generator=torch.Generator().manual_seed(0)))
    spec = resolve(make_run_spec(objective="dd", steps=1, device="cpu"), data)
    with pytest.raises(SpecError, match="needs all rows of a batch at once") as caught:
        make_trainer(spec, data, hooks_of_run([]), TwoProcesses())
    assert len(str(caught.value).splitlines()) == 1


def test_the_prior_of_the_source_takes_just_the_noise_that_there_is():
    assert SparseMixture(5).noise_dim == 2 * 5 <= (DD.particles - 1) * 5
