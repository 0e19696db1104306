"""KL in z is the KL of the images: against quadrature, below KL in y, free of scale, and of any composition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_circle import kl_to_uniform
from torch import Tensor

from intel_core import load_mapping, parse_spec
from intel_core.helpers.pushforward import Pushforward, ScaledFamily, image_of, scaled_family
from intel_core.mappings.building import build_mapping
from intel_core.model.divergence import draw, kl_terms, mean_kl, weigh
from intel_core.model.posterior import DiagonalGaussian
from intel_core.model.prior import StandardNormal

MAPPINGS: dict[str, tuple[list[str], int]] = {
    "circle": (["circle"], 2),
    "circle with room": (["circle"], 4),
    "circle elsewhere": (["circle:dims=1-2"], 4),
    "circle, dimensions apart": (["circle:dims=[2,0]"], 3),
    "smooth circle": (["circle:form=smooth"], 2),
    "sphere": (["sphere"], 3),
    "sphere in five": (["sphere"], 5),
    "torus": (["torus"], 4),
    "torus with room": (["torus:planes=2"], 5),
    "one loop": (["holes:h=1"], 2),
    "two loops": (["holes:h=2"], 3),
    "five loops": (["holes:h=5"], 2),
    "circle, then clusters": (["circle", "cluster:k=3"], 4),
    "two circles": (["circle:dims=0-1", "circle:dims=2-3"], 5),
    "clusters beside a circle": (["cluster:k=2,dims=[2]", "circle:dims=0-1"], 3),
}
every = pytest.mark.parametrize("name", MAPPINGS)


def made(name: str) -> Any:
    texts, y_dim = MAPPINGS[name]
    return build_mapping([parse_spec("mappings", text) for text in texts], y_dim)  # type: ignore[misc]


def posterior(y_dim: int, seed: int, n: int = 3) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, n, y_dim, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(1.5 * mean, log_variance - 1)


def noise(q: DiagonalGaussian, draws: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(draws, *q.mean.shape, generator=generator, dtype=torch.float64)


def blocks_of(mapping: Any) -> list[list[int]]:
    """The blocks of which only the direction is kept, from the test's own table of what mappings are."""
    dims = {
        "circle elsewhere": [[1, 2]], "circle, dimensions apart": [[2, 0]], "sphere": [[0, 1, 2]],
        "sphere in five": [[0, 1, 2, 3, 4]], "torus": [[0, 1], [2, 3]], "torus with room": [[0, 1], [2, 3]],
        "two circles": [[0, 1], [2, 3]],
    }  # fmt: skip
    return dims.get(mapping, [[0, 1]])


# --- the number --------------------------------------------------------------------------------------------------


@pytest.mark.promptly(every=3)
@every
def test_the_mean_over_draws_is_the_kl_of_the_images(name: str) -> None:
    """In planes against quadrature; on spheres against the mean of log p / p of the direction, by its histogram."""
    image, q = image_of(made(name)), posterior(MAPPINGS[name][1], 0)
    assert image is not None
    eps = noise(q, 40_000)
    estimate = image.kl(q, q.rsample(eps))
    assert estimate.shape == (40_000, 3)
    error = estimate.std(0) / math.sqrt(len(estimate))
    pushed = {d for block in blocks_of(name) for d in block}
    rest = q.kl()[:, [d for d in range(MAPPINGS[name][1]) if d not in pushed]].sum(-1)
    if all(len(block) == 2 for block in blocks_of(name)):
        for row in range(3):
            covariances = [(q.mean[row, block], q.std[row, block].square().diag()) for block in blocks_of(name)]
            exact = sum(float(kl_to_uniform(mean, covariance)) for mean, covariance in covariances) + float(rest[row])
            assert float(estimate[:, row].mean()) == pytest.approx(exact, abs=4.5 * float(error[row]) + 1e-9)
    assert bool((estimate.mean(0) <= q.kl().sum(-1) + 4 * error).all())
    assert bool((estimate.mean(0) >= rest - 4 * error).all())


@pytest.mark.promptly(every=3)
@every
def test_the_prior_is_a_density_where_the_posterior_is(name: str) -> None:
    """The mean of p(z) / q(z|x) over draws of q is one, which fails if the two are held against different measures."""
    image, y_dim = image_of(made(name)), MAPPINGS[name][1]
    assert image is not None
    generator = torch.Generator().manual_seed(3)
    # Near the prior and a little wider, so that the weights have a small variance.
    q = DiagonalGaussian(
        0.3 * torch.randn(2, y_dim, generator=generator).double(), torch.full((2, y_dim), 0.3).double()
    )
    eps = noise(q, 100_000)
    weights = torch.exp(-image.log_ratio(q, q.rsample(eps), eps))
    error = weights.std(0) / math.sqrt(len(weights))
    assert bool(((weights.mean(0) - 1).abs() < 4.5 * error + 1e-9).all())


@pytest.mark.promptly(every=3)
@every
def test_the_two_estimates_agree_on_average(name: str) -> None:
    """`kl` has the rest in closed form, `log_ratio` has not."""
    image, q = image_of(made(name)), posterior(MAPPINGS[name][1], 5)
    assert image is not None
    eps = noise(q, 40_000, 1)
    y = q.rsample(eps)
    difference = image.kl(q, y) - image.log_ratio(q, y, eps)
    error = difference.std(0) / math.sqrt(len(difference))
    assert bool((difference.mean(0).abs() <= 4.5 * error + 1e-9).all())


def test_a_posterior_that_is_the_prior_has_none() -> None:
    for name, (_, y_dim) in MAPPINGS.items():
        image = image_of(made(name))
        assert image is not None
        q = DiagonalGaussian(torch.zeros(1, y_dim).double(), torch.zeros(1, y_dim).double())
        assert float(image.kl(q, q.rsample(noise(q, 50))).abs().max()) < 1e-12, name


# --- scale -------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.sampled_from(sorted(MAPPINGS)), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_the_length_of_y_is_free(name: str, factor: float, seed: int) -> None:
    mapping, y_dim = made(name), MAPPINGS[name][1]
    image, q = image_of(mapping), posterior(y_dim, seed)
    assert image is not None
    scale = torch.ones(y_dim).double()
    scale[blocks_of(name)[0]] = factor
    scaled = DiagonalGaussian(q.mean * scale, q.log_variance + 2 * scale.log())
    eps = noise(q, 20)
    torch.testing.assert_close(image.kl(scaled, scaled.rsample(eps)), image.kl(q, q.rsample(eps)), rtol=0, atol=1e-9)


@every
def test_a_scaled_family_keeps_z_and_puts_y_at_the_scale_of_the_prior(name: str) -> None:
    mapping, y_dim = made(name), MAPPINGS[name][1]
    family, image = scaled_family(mapping), image_of(mapping)
    assert isinstance(family, ScaledFamily)
    assert image is not None
    q = posterior(y_dim, 2)
    features = torch.cat([9 * q.mean, q.log_variance + 2], dim=-1)
    plain, scaled = DiagonalGaussian(*features.chunk(2, dim=-1)), family.double().eval()(features)
    length = scaled.mean.square() + scaled.std.square()
    torch.testing.assert_close(image.kl_in_y(scaled), scaled.kl().sum(-1), rtol=0, atol=1e-9)
    torch.testing.assert_close(image.kl_in_y(plain), scaled.kl().sum(-1), rtol=0, atol=1e-9)
    for block in blocks_of(name):
        torch.testing.assert_close(length[:, block].sum(-1), torch.full((3,), float(len(block))).double())
    eps = noise(q, 20)
    torch.testing.assert_close(mapping(scaled.rsample(eps)), mapping(plain.rsample(eps)), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        image.kl(scaled, scaled.rsample(eps)), image.kl(plain, plain.rsample(eps)), rtol=0, atol=1e-9
    )


@every
def test_drawn_lengths_change_y_and_not_z(name: str) -> None:
    mapping, y_dim = made(name), MAPPINGS[name][1]
    image = image_of(mapping)
    assert image is not None
    y = 1e-2 * torch.randn(2000, y_dim, generator=torch.Generator().manual_seed(0)).double()
    drawn = image.at_prior_lengths(y, torch.Generator().manual_seed(1))
    torch.testing.assert_close(mapping(drawn), mapping(y), rtol=0, atol=2e-3)  # eps is 1e-7 of a length of 1e-3
    for block in blocks_of(name):
        squares = drawn[:, block].square().sum(-1)
        assert float(squares.mean()) == pytest.approx(len(block), rel=0.1)
    rest = [d for d in range(y_dim) if d not in {d for block in blocks_of(name) for d in block}]
    assert torch.equal(drawn[:, rest], y[:, rest])


# --- which mappings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "y_dim"),
    [
        (["identity"], 2),
        (["cluster:k=3"], 3),
        (["sparse"], 3),
        (["hierarchy"], 4),
        (["cluster:k=3", "circle"], 3),  # what the circle reads is not y
        (["circle:eps=0.1"], 2),  # so far from the limit that z has much of the radius
    ],
)
def test_elsewhere_the_kl_term_is_that_of_y(texts: list[str], y_dim: int) -> None:
    specs: Any = [parse_spec("mappings", text) for text in texts]
    mapping = build_mapping(specs, y_dim)
    assert image_of(mapping) is None
    assert scaled_family(mapping) is None


class Folded(torch.nn.Module):
    """A mapping of a stranger, z = |y|, with the density of a folded normal."""

    y_dim = z_dim = 1
    pushed = (0,)

    def forward(self, y: Tensor) -> Tensor:
        return y.abs()

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        return torch.logaddexp(normal.log_prob(y), normal.log_prob(-y)).squeeze(-1)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return self.pushforward_log_prob(y, torch.zeros_like(y), torch.zeros_like(y))


def test_a_strangers_mapping_that_forgets_a_sign() -> None:
    """Against quadrature on the half-line; nothing is free of scale."""
    mapping: Any = Folded()
    assert isinstance(mapping, Pushforward)
    assert scaled_family(mapping) is None
    image = image_of(mapping)
    assert image is not None
    q = DiagonalGaussian(torch.tensor([[0.4]]).double(), torch.tensor([[-0.5]]).double())
    z = torch.linspace(0, 12, 200_001, dtype=torch.float64).unsqueeze(-1)
    log_q, log_p = mapping.pushforward_log_prob(z, *q), mapping.pushforward_log_prior(z)
    exact = float(torch.trapezoid(log_q.exp() * (log_q - log_p), dx=12 / 200_000))
    estimate = image.kl(q, q.rsample(noise(q, 200_000)))
    assert float(estimate.mean()) == pytest.approx(exact, abs=4.5 * float(estimate.std()) / math.sqrt(200_000))
    assert exact < float(q.kl().sum())


# --- in the bound ------------------------------------------------------------------------------------------------


def test_the_divergence_of_a_model_is_that_of_z_and_tells_that_of_y() -> None:
    mapping = load_mapping("circle", 3)
    image, q = image_of(mapping), posterior(3, 0)
    plain, seen = StandardNormal(3), StandardNormal(3, image)
    eps = noise(q, 1)[0]
    y, known = draw(seen, q, eps)
    assert image is not None
    assert torch.equal(y, q.rsample(eps))
    assert float(mean_kl(seen, q, y, known)) == pytest.approx(float(image.kl(q, y).mean()))
    assert kl_terms(plain, q, y, None)[1] == {}
    assert float(kl_terms(seen, q, y, known)[1]["kl_y"]) == pytest.approx(float(image.kl_in_y(q).mean()))
    assert float(kl_terms(seen, q, y, known)[1]["kl_y"]) < float(q.kl().sum(-1).mean())  # the length is free
    torch.testing.assert_close(weigh(seen, q, eps)[1], -image.log_ratio(q, y, eps))


def test_importance_sampling_in_z_has_more_effective_draws_for_the_same_evidence() -> None:
    """x = z + noise on a circle, where log p(x) is a one-dimensional integral."""
    mapping, deviation = load_mapping("circle", 2), 0.2
    x = torch.tensor([math.cos(0.7), math.sin(0.7)], dtype=torch.float64)
    angle = torch.arange(4000).double() * (2 * math.pi / 4000)
    at = torch.stack([angle.cos(), angle.sin()], dim=-1)

    def log_likelihood(z: Tensor) -> Tensor:
        return (-0.5 * ((x - z) / deviation).square() - math.log(deviation * math.sqrt(2 * math.pi))).sum(-1)

    exact = float(torch.logsumexp(log_likelihood(at), 0) - math.log(4000))
    q = DiagonalGaussian(torch.stack([x]) * 1.3, torch.full((1, 2), 2 * math.log(0.35)).double())
    eps = noise(q, 20_000)
    found, effective = {}, {}
    for name, prior in {"y": StandardNormal(2), "z": StandardNormal(2, image_of(mapping))}.items():
        y, ratio = weigh(prior, q, eps)
        weights = (log_likelihood(mapping(y)) + ratio).squeeze(-1)
        found[name] = float(torch.logsumexp(weights, 0) - math.log(len(weights)))
        shares = torch.softmax(weights, 0)
        effective[name] = float(1 / shares.square().sum())
    assert found["z"] == pytest.approx(exact, abs=0.02)
    assert found["y"] == pytest.approx(exact, abs=0.15)
    assert effective["z"] > 1.5 * effective["y"]
