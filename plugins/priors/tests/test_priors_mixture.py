"""Are the components of a mixture where they are said to be, and is its density as exact in float32 as it can be?"""

import math

import pytest
import torch
from intel_priors import GaussianMixture, GMVAEPrior, arranged, component_log_probs
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from intel_core import Mixture, SpecError, fit, parse_spec


def prior_of(text, y_dim):
    return parse_spec("priors", text).build(y_dim, (1,))


# --- where the means are ------------------------------------------------------------------------------------------


def test_a_simplex_is_regular_and_on_its_sphere():
    for k in (2, 3, 4, 10):
        means = arranged("simplex", k, 3.0, k + 1)
        torch.testing.assert_close(means.norm(dim=-1), torch.full((k,), 3.0))
        torch.testing.assert_close(torch.pdist(means), torch.full((k * (k - 1) // 2,), 3 * math.sqrt(2 * k / (k - 1))))
        torch.testing.assert_close(means.mean(0), torch.zeros(k + 1), atol=1e-6, rtol=0)


def test_a_circle_uses_the_first_two_dimensions_and_for_two_components_one():
    means = arranged("circle", 8, 2.0, 5)
    torch.testing.assert_close(means.norm(dim=-1), torch.full((8,), 2.0))
    assert not means[:, 2:].any()
    gaps = (means - means.roll(-1, 0)).norm(dim=-1)
    torch.testing.assert_close(gaps, gaps[:1].expand(8))
    assert arranged("circle", 2, 2.0, 1).tolist() == [[2.0], [-2.0]]
    assert arranged("line", 3, 2.0, 1).tolist() == [[2.0], [0.0], [-2.0]]
    assert arranged("circle", 1, 2.0, 2).tolist() == [[0.0, 0.0]]


def test_the_authors_preset_is_hardly_bimodal_and_the_sharp_one_is():
    coded = prior_of("mog:preset=as_coded", 1)
    assert coded.means.tolist() == [[2.0], [-2.0]]
    log_density = coded.log_prob(torch.linspace(-6, 6, 1201).unsqueeze(-1))
    assert float((log_density[600] - log_density.max()).exp()) == pytest.approx(0.9, abs=0.01)
    torch.testing.assert_close(
        prior_of("mog:preset=as_coded,k=4", 3).means,
        torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [-2.0, 0, 0], [0, -2.0, 0]]),
    )
    sharp = prior_of("mog:preset=sharp,k=2", 1)
    assert float((sharp.log_prob(torch.zeros(1)) - sharp.log_prob(torch.full((1,), 3.0))).exp()) < 1e-7


@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("mog:k=10,means=simplex", 8, "10 components on a simplex need 9 latent dimensions, there are 8"),
        ("mog:k=3,means=circle", 1, "3 components on a circle need 2 latent dimensions, there are 1"),
        ("mog:preset=as_coded,k=4", 1, "4 components on a circle need 2 latent dimensions, there are 1"),
        ("gmvae:w=10", 10, "w has 10 of the 10 latent dimensions, so none is left for v"),
    ],
)
def test_too_few_dimensions_are_told_in_a_line(text, y_dim, message):
    with pytest.raises(SpecError, match=message) as caught:
        fit(data=torch.rand(20, 3), prior=text, latent=y_dim, steps=1, device="cpu")
    assert len(str(caught.value).splitlines()) == 1


# --- the density --------------------------------------------------------------------------------------------------


def reference(prior):
    stds = prior._log_stds().exp().expand_as(prior.means)
    return MixtureSameFamily(Categorical(logits=prior.logits), Independent(Normal(prior.means, stds), 1))


def moved(k, y_dim):
    torch.manual_seed(0)
    prior = GaussianMixture(arranged("circle", k, 3.0, y_dim), 0.5, learn=True, learn_weights=True).double()
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return prior


def test_the_density_and_its_gradients_are_those_of_torchs_own_mixture():
    prior = moved(7, 4)
    y = 3 * torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    ours = torch.autograd.grad(prior.log_prob(y).sum(), [y, *prior.parameters()])
    theirs = torch.autograd.grad(reference(prior).log_prob(y).sum(), [y, *prior.parameters()])
    torch.testing.assert_close(prior.log_prob(y), reference(prior).log_prob(y))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("std", [0.5, 0.01, 0.001])
def test_float32_is_as_exact_as_its_inputs_where_the_squares_cancel(std):
    torch.manual_seed(0)
    means = arranged("circle", 10, 30.0, 50)
    y = means[torch.arange(100) % 10] + std * torch.randn(100, 50)
    log_std = torch.full((), std).log()
    ours = component_log_probs(y, means, log_std)
    exact = Independent(Normal(means.double(), log_std.double().exp()), 1).log_prob(y.double().unsqueeze(-2))
    # The nearest component is what counts: by expanding squares in float32 it would be wrong by whole nats.
    torch.testing.assert_close(ours.amax(-1), exact.amax(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(ours, exact, atol=1e-5, rtol=1e-9)


def test_no_tensor_of_draws_components_and_dimensions_is_made():
    largest = 0

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            largest = max(
                largest,
                *(t.numel() for t in (out if isinstance(out, tuple) else (out,)) if isinstance(t, torch.Tensor)),
            )
            return out

    prior = GaussianMixture(torch.randn(500, 50), 0.5, learn=True)
    with Sizes():
        prior.log_prob(torch.randn(100, 50, requires_grad=True)).sum().backward()
    assert largest <= 500 * 100


def test_responsibilities_are_bayes_rule_and_draws_come_by_shares():
    prior = moved(5, 2)
    assert isinstance(prior, Mixture)
    y = 3 * torch.randn(50, 2, dtype=torch.float64)
    parts = reference(prior)
    expected = parts.component_distribution.log_prob(y.unsqueeze(1)) + parts.mixture_distribution.logits
    torch.testing.assert_close(prior.log_responsibilities(y), torch.log_softmax(expected, -1))
    prior.log_stds.data.fill_(math.log(1e-3))
    found = prior.draw(torch.randn(50_000, 3, dtype=torch.float64))
    counts = torch.bincount(torch.cdist(found, prior.means).argmin(-1), minlength=5) / 50_000
    torch.testing.assert_close(counts.double(), prior.log_shares().exp().detach(), atol=0.01, rtol=0)


def test_what_is_learned_is_what_is_asked_for():
    def names(text):
        return sorted(name for name, _ in prior_of(text, 2).named_parameters())

    assert names("mog") == []
    assert names("mog:weights=learned") == ["logits"]
    assert names("mog:learn=true") == names("mog:preset=learned") == ["log_stds", "logits", "means"]
    assert names("mog:learn=true,weights=equal") == ["log_stds", "means"]
    assert names("mog:preset=learned,learn=false") == []
    assert prior_of("mog", 2).state_dict().keys() == {"means", "logits"}


# --- gmvae ----------------------------------------------------------------------------------------------------------


def test_a_gmvae_is_a_mixture_for_each_w():
    torch.manual_seed(0)
    prior = GMVAEPrior(5, k=4, w=2, hidden=16).double()
    y = torch.randn(30, 5, dtype=torch.float64)
    v, w = y[:, :3], y[:, 3:]
    hidden = torch.tanh(prior.trunk(w))
    means, log_stds = (head(hidden).reshape(30, 4, 3) for head in (prior.means, prior.log_stds))
    parts = Independent(Normal(means, log_stds.exp()), 1)
    of_v = MixtureSameFamily(Categorical(logits=torch.zeros(30, 4, dtype=torch.float64)), parts)
    expected = Normal(0.0, 1.0).log_prob(w).sum(-1) + of_v.log_prob(v)
    torch.testing.assert_close(prior.log_prob(y), expected)
    torch.testing.assert_close(prior.log_responsibilities(y), torch.log_softmax(parts.log_prob(v.unsqueeze(1)), -1))
    assert isinstance(prior, Mixture)


def test_a_draw_of_a_gmvae_takes_its_component_from_the_first_number():
    torch.manual_seed(0)
    prior = GMVAEPrior(3, k=4, w=1, hidden=8)
    noise = torch.zeros(4, 4)
    noise[:, 0] = Normal(0.0, 1.0).icdf(torch.tensor([0.1, 0.3, 0.6, 0.9]))
    means, _ = prior._components(torch.zeros(1))
    torch.testing.assert_close(prior.draw(noise)[:, :2], means)
