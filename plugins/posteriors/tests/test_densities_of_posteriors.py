"""Are draws and densities right? Against autograd's log-determinants, quadrature, and independent formulas."""

from __future__ import annotations

import math

import pytest
import torch
from intel_posteriors import FlowFamily, FullFamily, SpikeSlabFamily, SylvesterFamily

from intel_core.model.divergence import knows
from intel_core.model.prior import StandardNormal

NORMAL = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
FAMILIES = {
    "orthogonal": lambda d: SylvesterFamily(d, flows=3, rank=min(2, d)),
    "as many columns as dimensions": lambda d: SylvesterFamily(d, flows=3, rank=d),
    "householder": lambda d: SylvesterFamily(d, flows=3, rank=min(2, d), form="householder"),
    "triangular": lambda d: SylvesterFamily(d, flows=3, form="triangular"),
    "full": FullFamily,
    "maf": lambda d: FlowFamily(d, "maf", transforms=2, context=3),
    "nsf": lambda d: FlowFamily(d, "nsf", transforms=2, context=3),
    "realnvp": lambda d: FlowFamily(d, "realnvp", transforms=2, context=3),
}
each_family = pytest.mark.parametrize("name", FAMILIES)


def family_of(name, d):
    """In float64, and away from the identity at which some begin."""
    torch.manual_seed(3)
    family = FAMILIES[name](d).double()
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return family


def features_of(family, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.7 * torch.randn(n, family.features, generator=generator, dtype=torch.float64)


def noise_of(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_family
@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_density_of_a_draw_is_the_noise_s_over_the_determinant(name, d):
    family = family_of(name, d)
    features, noise = features_of(family, 4), noise_of(4, d)
    _, log_q = family(features).draw(noise)
    for i in range(4):
        derivative = torch.autograd.functional.jacobian(
            lambda e, i=i: family(features[i : i + 1]).rsample(e.unsqueeze(0))[0], noise[i]
        )
        expected = NORMAL.log_prob(noise[i]).sum() - torch.linalg.slogdet(derivative)[1]
        assert log_q[i].item() == pytest.approx(expected.item(), abs=1e-10)


@each_family
def test_each_example_has_its_own_parameters_for_every_draw(name):
    family = family_of(name, 3)
    features, noise = features_of(family, 4), noise_of(2, 5, 4, 3)
    y, log_q = family(features).draw(noise)
    assert torch.equal(y, family(features).rsample(noise))
    for i in range(4):
        one, density = family(features[i : i + 1]).draw(noise[:, :, i : i + 1])
        torch.testing.assert_close(one[:, :, 0], y[:, :, i])
        torch.testing.assert_close(density[:, :, 0], log_q[:, :, i])


@each_family
def test_in_one_dimension_draws_have_mass_one(name):
    """The integral of the density over y, along draws of sorted noise, and no two noises meet."""
    family = family_of(name, 1)
    noise = torch.linspace(-9, 9, 20001, dtype=torch.float64).reshape(-1, 1, 1)
    y, log_q = family(features_of(family, 1)).draw(noise)
    steps = y.flatten().diff()
    assert bool((steps > 0).all())
    assert torch.trapezoid(log_q.flatten().exp(), y.flatten()).item() == pytest.approx(1, abs=1e-4)


@each_family
def test_mean_and_std_are_near_those_of_draws(name):
    """The less a flow bends, the nearer; these bend a little."""
    family = family_of(name, 3)
    for parameter in family.parameters():
        parameter.data.mul_(0.5)
    features = features_of(family, 2)
    features[:, 6:] *= 0.2
    q = family(features)
    draws = q.rsample(noise_of(50_000, 2, 3))
    assert bool(((draws.mean(0) - q.mean).abs() < 0.35 * draws.std(0)).all())
    assert bool(((draws.std(0) / q.std).log().abs() < 0.6).all())


@each_family
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_values_and_gradients_stay_finite(name, scale):
    torch.manual_seed(0)
    family = FAMILIES[name](4)
    n, width = 3, family.features
    for pattern in (torch.randn(n, width), torch.ones(n, width), -torch.ones(n, width)):
        features = scale * pattern
        features[:, 4:8] = pattern[:, 4:8]
        features.requires_grad_()
        y, log_q = family(features).draw(torch.randn(2, n, 4))
        (y.square().mean() - log_q.mean()).backward()
        assert bool(torch.isfinite(y).all() and torch.isfinite(log_q).all() and torch.isfinite(features.grad).all())


@each_family
def test_two_models_in_a_stack_are_each_as_alone(name):
    torch.manual_seed(0)
    models = [FAMILIES[name](3).double() for _ in range(2)]
    for number, model in enumerate(models):
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2 + number)
    tensors, buffers = torch.func.stack_module_state(models)
    features, noise = torch.stack([features_of(models[0], 4, seed) for seed in (0, 1)]), noise_of(2, 4, 3)

    def draw(own, held, features, noise):
        return torch.func.functional_call(models[0], (own, held), (features,)).draw(noise)

    y, log_q = torch.vmap(draw)(tensors, buffers, features, noise)
    for r, model in enumerate(models):
        alone, density = model(features[r]).draw(noise[r])
        torch.testing.assert_close(y[r], alone)
        torch.testing.assert_close(log_q[r], density)


# --- Sylvester -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orthogonal", "as many columns as dimensions", "householder", "triangular"])
def test_the_columns_of_q_are_orthonormal(name):
    family = family_of(name, 6)
    for scale in (0.0, 1.0, 50.0):
        q = family(scale * features_of(family, 5)).q
        eye = torch.eye(q.shape[-1], dtype=torch.float64)
        assert float((q.mT @ q - eye).abs().max()) < 1e-12


def test_q_is_a_continuous_function_of_the_features():
    """LAPACK's signs jump; with jumps, a posterior would change by a finite step of the encoder's output."""
    family = family_of("orthogonal", 4)
    start, end = features_of(family, 1, 0), features_of(family, 1, 5)
    path = torch.cat([start + t * (end - start) for t in torch.linspace(0, 1, 4001, dtype=torch.float64)])
    assert float(family(path).q.diff(dim=0).abs().max()) < 0.05


def test_a_sylvester_flow_against_its_formula():
    family = family_of("orthogonal", 3)
    q = family(features_of(family, 1))
    noise = noise_of(1, 3)
    y = q.base_mean[0] + noise[0] * torch.exp(0.5 * q.base_log_variance[0])
    for f in range(3):
        columns, r1, r2, b = (part[0, f] for part in (q.q, q.r1, q.r2, q.b))
        assert torch.equal(r1, r1.triu())
        assert torch.equal(r2, r2.triu())
        y = y + columns @ r1 @ torch.tanh(r2 @ columns.T @ y + b)
    torch.testing.assert_close(q.rsample(noise)[0], y)


# --- full covariance -------------------------------------------------------------------------------------------


def test_a_full_gaussian_against_torch_s():
    family = family_of("full", 4)
    q = family(features_of(family, 3))
    theirs = torch.distributions.MultivariateNormal(q.mean, scale_tril=q.cholesky)
    y, log_q = q.draw(noise_of(7, 3, 4))
    torch.testing.assert_close(log_q, theirs.log_prob(y))
    torch.testing.assert_close(q.std, theirs.stddev)
    assert bool((torch.diagonal(q.cholesky, dim1=-2, dim2=-1) > 0).all())


def test_a_full_gaussian_s_kl_to_n_0_i_is_torch_s_and_a_sum_over_dimensions():
    family = family_of("full", 4)
    q = family(features_of(family, 3))
    zero = torch.zeros(4, dtype=q.mean.dtype)
    theirs = torch.distributions.MultivariateNormal(q.mean, scale_tril=q.cholesky)
    standard = torch.distributions.MultivariateNormal(zero, torch.eye(4, dtype=q.mean.dtype))
    terms = StandardNormal(4).kl(q)
    assert knows(StandardNormal(4), q)
    torch.testing.assert_close(terms.sum(-1), torch.distributions.kl_divergence(theirs, standard))
    assert bool((terms >= 0).all())


# --- flow ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["maf", "nsf", "realnvp"])
def test_a_flow_begins_as_the_gaussian_that_the_encoder_says(form):
    family = FlowFamily(3, form).double()
    features, noise = features_of(family, 2), noise_of(2, 3)
    q = family(features)
    torch.testing.assert_close(q.rsample(noise), features[:, :3] + noise * torch.exp(0.5 * features[:, 3:6]))
    torch.testing.assert_close(q.std, torch.exp(0.5 * features[:, 3:6]))


# --- spike and slab --------------------------------------------------------------------------------------------


def spike_slab(d=1, n=1):
    family = SpikeSlabFamily(d).double().eval()
    return family(features_of(family, n, seed=4))


def test_spike_and_slab_have_mass_one_together():
    q = spike_slab()
    slab = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    switch = torch.full_like(slab, -9.0)  # Phi is nearly 0: active
    y, log_q = q.draw(torch.stack([switch, slab], -1).unsqueeze(1))
    spike, log_spike = q.draw(torch.tensor([[[9.0, 0.3]]], dtype=torch.float64))
    assert spike.item() == 0
    mass = torch.trapezoid(log_q.flatten().exp(), y.flatten())
    assert mass.item() == pytest.approx(q.activity.item(), abs=1e-6)
    assert mass.item() + log_spike.exp().item() == pytest.approx(1, abs=1e-6)


def test_spike_and_slab_s_draws_are_active_as_often_as_they_say():
    q = spike_slab(3, 2)
    y, _ = q.draw(noise_of(40_000, 2, 6))
    torch.testing.assert_close((y != 0).double().mean(0), q.activity, atol=0.01, rtol=0)
    torch.testing.assert_close(y.mean(0), q.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(y.std(0), q.std, atol=0.03, rtol=0)


def test_spike_and_slab_s_kl_in_closed_form_is_that_of_its_density():
    """KL to a spike and slab of activity 0.3 and slab N(0, 1), by the draws' own density."""
    q, alpha = spike_slab(2, 2), 0.3
    noise = noise_of(400_000, 2, 4)
    y, log_q = q.draw(noise)
    log_p = torch.where(y == 0, math.log(1 - alpha), math.log(alpha) + NORMAL.log_prob(y)).sum(-1)
    gamma, variance = q.activity, q.slab_log_variance.exp()
    slab = 0.5 * (q.slab_mean.square() + variance - 1 - q.slab_log_variance)
    switch = (1 - gamma) * ((1 - gamma) / (1 - alpha)).log() + gamma * (gamma / alpha).log()
    torch.testing.assert_close((log_q - log_p).mean(0), (gamma * slab + switch).sum(-1), atol=0.01, rtol=0)


def test_draws_in_training_have_a_gradient_in_the_activity_and_are_nearly_exact():
    family = SpikeSlabFamily(3).double()
    features = features_of(family, 2).requires_grad_()
    noise = noise_of(2000, 2, 6)
    relaxed = family(features)
    assert family.training
    y = relaxed.rsample(noise)
    exact, _ = family.eval()(features).draw(noise)
    assert float((y - exact).abs().gt(0.01).double().mean()) < 0.15
    torch.testing.assert_close(relaxed.draw(noise)[0], exact)
    y.sum().backward()
    assert float(features.grad[:, 6:].abs().min()) > 0


def test_certain_switches_have_finite_densities():
    family = SpikeSlabFamily(2).eval()
    features = torch.tensor([[0.0, 0.0, 0.0, 0.0, 200.0, -200.0]], requires_grad=True)
    y, log_q = family(features).draw(torch.randn(50, 1, 4))
    log_q.sum().backward()
    assert bool(torch.isfinite(log_q).all() and torch.isfinite(features.grad).all() and (y[..., 1] == 0).all())
