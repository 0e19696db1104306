"""What do samples say of Theorem 1? Held against closed forms and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from intel_conformance.kl_bounds import KLBound
from intel_conformance.theory import MeanTheorem1, Theorem1, theorem1, tightening
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from intel_core import Identity, InteLVAE, Properties, build_mapping, parse_spec
from intel_core.likelihoods.specs import GaussianSpec


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def kl_from_standard(mean: Tensor, log_variance: Tensor) -> float:
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    return float(kl_divergence(posterior, Normal(0.0, 1.0)).sum())


class Magnitude(nn.Module):
    """y -> |y|, which is not injective; its rows are mapped some at a time."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.dtypes: set[torch.dtype] = set()
        self.largest = 0

    def forward(self, y: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.dtypes.add(y.dtype)
        self.largest = max(self.largest, len(y))
        return y.abs()


MEAN = torch.tensor([0.8, 0.0], dtype=torch.float64)
LOG_VARIANCE = torch.full((2,), 2 * math.log(0.6), dtype=torch.float64)
KL_Y = kl_from_standard(MEAN, LOG_VARIANCE)


def kl_of_direction(mean: float, std: float) -> float:
    """KL of the direction of N((mean, 0), std² I) from the uniform one, by the rectangle rule in both coordinates."""
    angle = torch.arange(720, dtype=torch.float64) * (2 * math.pi / 720)
    radius = (torch.arange(4000, dtype=torch.float64) + 0.5) * (8 / 4000)
    away = (radius * angle.cos().unsqueeze(1) - mean).square() + (radius * angle.sin().unsqueeze(1)).square()
    density = (radius * torch.exp(-away / (2 * std**2))).sum(1) * (8 / 4000) / (2 * math.pi * std**2)
    assert float(density.sum()) * 2 * math.pi / 720 == pytest.approx(1, abs=1e-6)
    return float((density * torch.log(2 * math.pi * density)).sum()) * 2 * math.pi / 720


def test_the_identity_loses_nothing() -> None:
    found = theorem1(Identity(2), MEAN, LOG_VARIANCE)
    assert found.kl_y == pytest.approx(KL_Y, abs=1e-12)
    assert pytest.approx(0.7017, abs=1e-4) == KL_Y
    assert KL_Y - 0.06 < found.kl_z.lower < KL_Y
    assert found.injective
    assert not found.violated
    assert found.tightening < 0.01
    assert found.at_most == pytest.approx(KL_Y - found.kl_z.lower)


def test_the_circle_loses_the_radius() -> None:
    exact = kl_of_direction(0.8, 0.6)
    assert exact == pytest.approx(0.5509, abs=1e-4)
    found = theorem1(build_mapping([parse_spec("mappings", "circle:eps=1e-7")], 2), MEAN, LOG_VARIANCE)
    assert 0.45 < found.kl_z.lower < exact < found.kl_y
    assert found.tightening == pytest.approx(KL_Y - exact, abs=0.01)
    assert found.at_most > KL_Y - exact


def test_magnitudes_lose_the_sign() -> None:
    """KL of |y| by quadrature: log p(|y|)/p0(|y|) is log of cosh(m y / s²) and what the Gaussians' ratio leaves."""
    mean, std = 0.7, 0.8
    y = (torch.arange(200_000, dtype=torch.float64) + 0.5) * (10 / 200_000)
    q = sum(torch.exp(-0.5 * ((y - sign * mean) / std) ** 2) / (std * math.sqrt(2 * math.pi)) for sign in (1, -1))
    p = 2 * torch.exp(-0.5 * y**2) / math.sqrt(2 * math.pi)
    exact = float((q * torch.log(q / p)).sum()) * (10 / 200_000)
    mapping = Magnitude(1)
    found = theorem1(mapping, torch.tensor([mean]), torch.tensor([2 * math.log(std)]), n=200_000)
    assert found.kl_z.lower <= exact <= found.kl_y
    assert found.kl_z.estimate == pytest.approx(exact, abs=0.005)
    assert found.tightening == pytest.approx(found.kl_y - exact, abs=0.005)
    assert not found.injective
    assert mapping.dtypes == {torch.float32}
    assert mapping.largest < 200_000


@pytest.mark.slow
def test_no_false_alarm() -> None:
    """Sixty random posteriors at one in a thousand, half of them near the prior, where there is no slack."""
    for seed in range(60):
        d = (1, 2, 4, 8)[seed % 4]
        mean, log_variance = draws(2, d, seed=seed) * (0.5 if seed % 8 < 4 else 0.05)
        found = theorem1(Identity(d), mean, log_variance, n=10_000, alpha=1e-3, seed=seed)
        exact = kl_from_standard(mean, log_variance)
        assert found.kl_y == pytest.approx(exact, rel=1e-9)
        assert found.kl_z.lower <= exact
        assert not found.violated


def test_the_prior_itself() -> None:
    found = theorem1(Magnitude(2), torch.zeros(2), torch.zeros(2), n=20_000)
    assert (found.kl_y, found.kl_z.lower, found.tightening, found.violated) == (0, 0, 0, False)


def test_a_parameter_sets_the_dtype_and_its_seed_the_result() -> None:
    mapping = Magnitude(2)
    mapping.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    first = theorem1(mapping, MEAN.float(), LOG_VARIANCE.float(), n=3000)
    assert mapping.dtypes == {torch.float64}
    assert theorem1(mapping, MEAN.float(), LOG_VARIANCE.float(), n=3000) == first
    assert theorem1(mapping, MEAN.float(), LOG_VARIANCE.float(), n=3000, seed=1).kl_z != first.kl_z


def test_a_function_is_a_mapping() -> None:
    class Half:
        y_dim = z_dim = 2
        properties = Properties(injective=True)

        def __call__(self, y: Tensor) -> Tensor:
            return 0.5 * y

    assert theorem1(Half(), MEAN, LOG_VARIANCE, n=1000).injective


def test_violation_and_gaps() -> None:
    bound = KLBound(lower=0.3, estimate=0.4, level=1e-9, n=10, clip=4.0)
    assert Theorem1(0.2, bound, False).violated
    assert Theorem1(0.2, bound, False).tightening == 0
    assert Theorem1(0.5, bound, False).tightening == pytest.approx(0.1)
    assert Theorem1(0.5, bound, False).at_most == pytest.approx(0.2)
    assert Theorem1(0.5, bound._replace(lower=0.0, estimate=-0.1), False).tightening == 0.5


@pytest.mark.parametrize(
    ("mean", "log_variance", "n", "message"),
    [
        (
            torch.zeros(3),
            torch.zeros(2),
            100,
            r"mean is torch.float32 of shape \(3,\), expected floats of shape \(2,\)",
        ),
        (torch.zeros(2), torch.zeros(1, 2), 100, r"log_variance is torch.float32 of shape \(1, 2\)"),
        (torch.zeros(2).long(), torch.zeros(2), 100, "mean is torch.int64"),
        (torch.tensor([0.0, math.nan]), torch.zeros(2), 100, "mean holds NaN"),
        (torch.zeros(2), torch.tensor([0.0, -math.inf]), 100, "log_variance holds NaN or infinity"),
        (torch.zeros(2), torch.tensor([0.0, 300.0]), 100, "q holds NaN or infinity"),
        (torch.zeros(2), torch.zeros(2), 3, "at least 4 rows"),
    ],
)
def test_posteriors_that_are_none(mean: Tensor, log_variance: Tensor, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        theorem1(Identity(2), mean, log_variance, n=n)


# --- a model ---------------------------------------------------------------------------------------------------


def model_with(mapping: nn.Module) -> InteLVAE:
    """DiagonalGaussian means 2x, log-variances x - 1, and a dropout that counts in training mode only."""
    encoder = nn.Linear(2, 4, bias=True)
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([2 * torch.eye(2), torch.eye(2)]))
        encoder.bias.copy_(torch.tensor([0.0, 0, -1, -1]))
    return InteLVAE(nn.Sequential(nn.Dropout(0.9), encoder), mapping, nn.Linear(2, 4), GaussianSpec().build(), (2,))


def test_means_over_examples() -> None:
    model = model_with(Magnitude(2)).train()
    x = torch.tensor([[0.3, 0.4], [0.0, -0.5], [0.1, 0.1]])
    found = tightening(model, x, n=30_000, alpha=1e-3)
    assert model.training
    assert isinstance(found, MeanTheorem1)
    exact = [kl_from_standard(2 * row, row - 1) for row in x]
    assert [one.kl_y for one in found.each] == pytest.approx(exact, rel=1e-5)
    assert found.kl_y == pytest.approx(sum(exact) / 3, rel=1e-5)
    assert found.lower == pytest.approx(sum(one.kl_z.lower for one in found.each) / 3)
    assert found.estimate == pytest.approx(sum(one.kl_z.estimate for one in found.each) / 3)
    assert found.level == 1e-3
    assert all(one.kl_z.level == pytest.approx(1e-3 / 3) for one in found.each)
    assert 0 < found.lower < found.estimate < found.kl_y
    assert 0 < found.tightening < found.at_most < found.kl_y
    assert not found.violated
    assert not found.injective
    assert tightening(model, x, n=30_000, alpha=1e-3) == found


def test_one_violation_is_one() -> None:
    fine = Theorem1(0.5, KLBound(0.3, 0.4, 1e-9, 10, 4.0), True)
    assert not MeanTheorem1((fine, fine), 2e-9).violated
    assert MeanTheorem1((fine, fine._replace(kl_y=0.2)), 2e-9).violated


def test_the_mode_is_put_back_after_an_error() -> None:
    model = model_with(Identity(2)).train()
    with pytest.raises(ValueError, match="mean holds NaN"):
        tightening(model, torch.full((1, 2), math.nan), n=100)
    assert model.training
    with pytest.raises(ValueError, match="at least one example"):
        tightening(model, torch.zeros(0, 2))
