"""What does the circle keep of a Gaussian's KL? Against reference values and against the map's own samples."""

import math

import pytest
import torch
from intel_circle import CircleSpec, kl_to_uniform, projected_normal_log_density

# (mean, standard deviations) -> KL on the circle, KL in the plane; computed once by quadrature in other software.
TABLE = [
    ((0.0, 0.0), (1.0, 1.0), 0.0, 0.0),
    ((0.0, 0.0), (0.5, 0.5), 0.0, 0.6363),
    ((1.0, 0.0), (1.0, 1.0), 0.3421, 0.5),
    ((1.0, 0.0), (0.5, 0.5), 0.9689, 1.1363),
    ((1.25, 0.0), (0.3, 0.3), 1.8140, 2.2792),
    ((2.0, 0.0), (0.2, 0.2), 2.7165, 4.2589),
    ((3.0, 0.0), (1.0, 1.0), 1.4488, 4.5),
    ((1.25, 0.0), (0.66, 0.1), 2.4082, 2.7222),
]


def gaussian(mean, deviations):
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(deviations, dtype=torch.float64).square().diag()


@pytest.mark.parametrize(("mean", "deviations", "kl_z", "kl_y"), TABLE)
def test_reference_values(mean, deviations, kl_z, kl_y):
    mu, covariance = gaussian(mean, deviations)
    assert float(kl_to_uniform(mu, covariance)) == pytest.approx(kl_z, abs=6e-5)
    in_y = 0.5 * (mu @ mu + covariance.trace() - 2 - covariance.logdet())
    assert float(in_y) == pytest.approx(kl_y, abs=6e-5)
    assert kl_z <= kl_y  # Theorem 1


@pytest.mark.parametrize(("mean", "deviations"), [row[:2] for row in TABLE])
def test_density_is_that_of_the_mapped_samples(mean, deviations):
    mu, covariance = gaussian(mean, deviations)
    generator = torch.Generator().manual_seed(0)
    y = mu + torch.randn(200_000, 2, dtype=torch.float64, generator=generator) @ covariance.sqrt()
    z = CircleSpec().build(2)(y)
    share = torch.histc(torch.atan2(z[:, 1], z[:, 0]), 40, -math.pi, math.pi) / len(y)
    fine = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000 * 2 * math.pi - math.pi
    mass = projected_normal_log_density(fine, mu, covariance).exp().reshape(40, 100).mean(1) * 2 * math.pi / 40
    assert float(mass.sum()) == pytest.approx(1, abs=1e-9)
    error = (mass * (1 - mass) / len(y)).sqrt()
    assert ((share - mass).abs() <= 5 * error + 1e-6).all()


def test_density_far_from_the_origin_does_not_overflow():
    mu, covariance = gaussian((60.0, 0.0), (1.0, 1.0))
    log_density = projected_normal_log_density(torch.tensor([0.0, 3.0], dtype=torch.float64), mu, covariance)
    assert torch.isfinite(log_density).all()
    # So far out the direction is normal with standard deviation 1/60.
    assert float(log_density[0]) == pytest.approx(math.log(60) - 0.5 * math.log(2 * math.pi), abs=1e-3)


def test_density_is_continuous_where_the_formula_changes():
    mu, covariance = gaussian((5.0, 0.0), (1.0, 1.0))
    angle = torch.linspace(-1e-3, 1e-3, 2001, dtype=torch.float64)
    log_density = projected_normal_log_density(angle, mu, covariance)
    assert (log_density.diff().abs() < 1e-4).all()
    angle = torch.linspace(-3, 3, 301, dtype=torch.float64)
    for distance in (4.999, 5.001):
        mu, _ = gaussian((distance, 0.0), (1.0, 1.0))
        turned = projected_normal_log_density(angle, mu, covariance)
        other, _ = gaussian((5.0, 0.0), (1.0, 1.0))
        torch.testing.assert_close(turned, projected_normal_log_density(angle, other, covariance), rtol=0, atol=2e-2)


def test_density_on_the_far_side_does_not_cancel():
    """Against the leading term of the integral, p(θ) = ∫ r N(r u; μ, I) dr, for a mean opposite to u."""
    for distance in (1e2, 1e3, 1e5):
        mu, covariance = gaussian((distance, 0.0), (1.0, 1.0))
        density = float(projected_normal_log_density(torch.tensor([math.pi], dtype=torch.float64), mu, covariance))
        expected = -math.log(2 * math.pi) - distance**2 / 2 + math.log1p(-3 / distance**2) - 2 * math.log(distance)
        assert density == pytest.approx(expected, rel=1e-7)


def test_what_is_too_narrow_for_the_rule_is_said():
    for mean, deviations in (((1.0, 0.0), (1e-7, 1e-7)), ((3.0, 0.3), (1e-5, 1e-5))):
        with pytest.raises(ValueError, match="too narrow"):
            kl_to_uniform(*gaussian(mean, deviations))
    # Narrow, but not too narrow: the direction is normal with standard deviation s, of entropy log(s sqrt(2πe)).
    narrow = float(kl_to_uniform(*gaussian((1.0, 0.0), (0.01, 0.01))))
    assert narrow == pytest.approx(
        -math.log(0.01) - 0.5 * math.log(2 * math.pi * math.e) + math.log(2 * math.pi), abs=1e-3
    )


def test_an_angle_that_is_a_whole_number():
    mean, covariance = torch.tensor([1.0, 0.0]), torch.eye(2)
    densities = [projected_normal_log_density(torch.tensor(angle), mean, covariance) for angle in (2, 2.0)]
    assert densities[0] == densities[1] != densities[0].round()
