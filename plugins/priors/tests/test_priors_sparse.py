"""Are the sparse priors what their formulas say, and is the closed form of the spikes and slabs right?"""

from typing import NamedTuple

import pytest
import torch
from intel_priors import SparseMixture, SpikeSlab
from torch import Tensor
from torch.distributions import Normal

from intel_core import ClosedForm, DiagonalGaussian, SpecError, fit
from intel_core.helpers.hoyer import hoyer


class SlabsAndSpikes(NamedTuple):
    """What a posterior has to offer, and no more."""

    activity: Tensor
    slab_mean: Tensor
    slab_log_variance: Tensor


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_sparse_mixture_is_the_mixture_of_two_gaussians():
    y = normal(100, 3) * torch.tensor([0.02, 0.3, 2.0], dtype=torch.float64)
    narrow, wide = (Normal(0.0, torch.tensor(scale, dtype=torch.float64)) for scale in (0.05, 1.0))
    expected = (0.8 * narrow.log_prob(y).exp() + 0.2 * wide.log_prob(y).exp()).log().sum(-1)
    torch.testing.assert_close(SparseMixture(3, 0.8, 0.05).log_prob(y), expected)


def test_draws_of_the_sparse_mixture_have_the_score_of_the_source():
    """Samples of DD's prior, 50 dimensions: a Hoyer score of 0.65."""
    prior = SparseMixture(50, 0.8, 0.05)
    assert float(hoyer(prior.draw(normal(5_000, prior.noise_dim))).mean()) == pytest.approx(0.65, abs=0.01)


@pytest.mark.parametrize(("alpha", "score"), [(0.01, 0.976), (0.2, 0.69)])
def test_draws_of_spikes_and_slabs_have_the_score_of_the_source(alpha, score):
    prior = SpikeSlab(200, alpha)
    y = prior.draw(normal(5_000, prior.noise_dim))
    assert float((y != 0).double().mean()) == pytest.approx(alpha, rel=0.02)
    rows = y[(y != 0).any(-1)]
    assert float(hoyer(rows).mean()) == pytest.approx(score, abs=0.01)


def test_the_density_of_spikes_and_slabs_has_mass_one_with_its_atom():
    prior = SpikeSlab(1, 0.3)
    y = torch.linspace(-12, 12, 100_000, dtype=torch.float64).unsqueeze(-1)  # even, so without 0
    slabs = float(prior.log_prob(y).exp().sum() * (y[1] - y[0]))
    assert slabs == pytest.approx(0.3, abs=1e-6)
    assert slabs + float(prior.log_prob(torch.zeros(1, dtype=torch.float64)).exp()) == pytest.approx(1, abs=1e-6)


def test_the_closed_form_is_the_mean_of_log_ratios():
    prior = SpikeSlab(3, 0.2)
    q = SlabsAndSpikes(
        torch.tensor([[0.1, 0.5, 0.95]], dtype=torch.float64),
        torch.tensor([[1.5, -0.3, 0.0]], dtype=torch.float64),
        torch.tensor([[-1.0, 0.5, -3.0]], dtype=torch.float64),
    )
    assert isinstance(prior, ClosedForm)
    assert prior.knows(q)
    assert not prior.knows(DiagonalGaussian(torch.zeros(1, 3), torch.zeros(1, 3)))
    torch.manual_seed(0)
    active = torch.rand(400_000, 3, dtype=torch.float64) < q.activity
    slab = Normal(q.slab_mean, (0.5 * q.slab_log_variance).exp())
    y = torch.where(active, slab.sample((400_000,)).squeeze(1), 0.0)
    log_q = torch.where(active, q.activity.log() + slab.log_prob(y), torch.log1p(-q.activity))
    log_p = torch.stack([SpikeSlab(1, 0.2).log_prob(y[:, d : d + 1]) for d in range(3)], -1)
    ratios = log_q - log_p
    error = ratios.std(0) / 400_000**0.5
    assert bool(((ratios.mean(0) - prior.kl(q)[0]).abs() < 4 * error + 1e-6).all())


def test_the_closed_form_vanishes_at_the_prior_and_is_finite_at_the_ends():
    activity = torch.full((2, 4), 0.2, dtype=torch.float64)
    zeros = torch.zeros(2, 4, dtype=torch.float64)
    torch.testing.assert_close(SpikeSlab(4, 0.2).kl(SlabsAndSpikes(activity, zeros, zeros)), zeros)
    for end in (0.0, 1.0):
        activity = torch.full((1, 1), end, requires_grad=True)
        kl = SpikeSlab(1, 0.2).kl(SlabsAndSpikes(activity, torch.zeros(1, 1), torch.zeros(1, 1)))
        expected = -torch.tensor(0.2 if end else 0.8).log()
        torch.testing.assert_close(kl.squeeze(), expected, atol=3e-5, rtol=0)
        (gradient,) = torch.autograd.grad(kl.sum(), activity)
        assert bool(torch.isfinite(gradient).all())


def test_spikes_and_slabs_do_not_go_with_a_gaussian_posterior():
    with pytest.raises(SpecError, match="densities of different kinds") as caught:
        fit(data=torch.rand(20, 3), prior="spike_slab", latent=2, steps=1, device="cpu")
    assert len(str(caught.value).splitlines()) == 1
