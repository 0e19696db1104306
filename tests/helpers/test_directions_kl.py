"""The draws of a step and their KL term at once are those of the densities, with their gradients, in every layout."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from intel_core import parse_spec
from intel_core.helpers.pushforward import Image, image_of
from intel_core.mappings.building import build_mapping
from intel_core.model.posterior import DiagonalGaussian

LAYOUTS: dict[str, tuple[list[str], int]] = {
    "circle": (["circle"], 2),
    "room": (["circle"], 4),
    "elsewhere": (["circle:dims=1-2"], 4),
    "apart": (["circle:dims=[2,0]"], 3),
    "sphere": (["sphere"], 3),
    "sphere in many": (["sphere"], 20),
    "torus": (["torus"], 4),
    "torus with room": (["torus:planes=2"], 5),
    "holes": (["holes:h=2"], 3),
    "two circles apart": (["circle:dims=[3,1]", "circle:dims=[0,4]"], 5),
    "two sizes": (["sphere:dims=[1,2,4]", "circle:dims=[0,5]"], 6),
}
each = pytest.mark.parametrize("layout", LAYOUTS)


def image(layout: str) -> Image:
    texts, y_dim = LAYOUTS[layout]
    specs: Any = [parse_spec("mappings", text) for text in texts]
    found = image_of(build_mapping(specs, y_dim))
    assert found is not None
    assert found.at_once is not None
    return found


def given(layout: str, *leading: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Mean, log-variance and noise."""
    generator = torch.Generator().manual_seed(1)
    mean, log_variance, noise = torch.randn(3, *leading, LAYOUTS[layout][1], generator=generator, dtype=torch.float64)
    return [x.to(dtype) for x in (1.5 * mean, log_variance - 1, noise)]


def plain(image: Image, mean: Tensor, log_variance: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q = DiagonalGaussian(mean, log_variance)
    y = q.rsample(noise)
    return y, image.kl(q, y).mean(-1), image.kl_in_y(q).mean(-1)


def slopes(found: tuple[Tensor, ...], weights: list[Tensor], *leaves: Tensor) -> tuple[Tensor, ...]:
    """Of a weighted sum of draws and terms."""
    return torch.autograd.grad(sum((w * x).sum() for w, x in zip(weights, found, strict=True)), leaves)


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [x.clone().requires_grad_() for x in tensors]


@each
@pytest.mark.parametrize("leading", [(7,), (3, 7), (2, 3, 7)])
def test_the_term_of_a_step_is_that_of_the_densities(layout: str, leading: tuple[int, ...]) -> None:
    one, (mean, log_variance, noise) = image(layout), given(layout, *leading)
    q = leaves(mean, log_variance)
    found, expected = one.draw(DiagonalGaussian(*q), noise), plain(one, *q, noise)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert torch.equal(found[0], expected[0])
    assert not found[2].requires_grad
    weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double() for x in found[:2]]
    for ours, theirs in zip(slopes(found[:2], weights, *q), slopes(expected[:2], weights, *q), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@each
@pytest.mark.parametrize(("draws", "leading"), [((4,), (7,)), ((4,), (3, 7)), ((), (7,))])
def test_ratios_of_draws_are_those_of_the_densities(
    layout: str, draws: tuple[int, ...], leading: tuple[int, ...]
) -> None:
    one, (mean, log_variance, _) = image(layout), given(layout, *leading)
    noise = given(layout, *draws, *leading)[2]
    q = leaves(mean, log_variance)
    posterior = DiagonalGaussian(*q)
    y = posterior.rsample(noise)
    found, expected = one.weigh(posterior, noise), (y, one.log_ratio(posterior, y, noise))
    assert torch.equal(found[0], y)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-10)
    weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double() for x in found]
    for ours, theirs in zip(slopes(found, weights, *q), slopes(expected, weights, *q), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@each
@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e8, 1e12])
@pytest.mark.parametrize("precise", ["one dimension", "all dimensions"])
def test_float32_has_the_numbers_of_float64_where_means_are_many_deviations_long(
    layout: str, ratio: float, precise: str
) -> None:
    """Nothing keeps the deviation along y from shrinking, and a wrong term would be followed to infinity."""
    one, (mean, log_variance, noise) = image(layout), given(layout, 500)
    if precise == "one dimension":
        log_variance[:, 0] = -2 * math.log(ratio)
    else:
        log_variance = log_variance - 2 * math.log(ratio)
    exact = one.differentiated(DiagonalGaussian(mean, log_variance), noise, 1.0)
    found = one.differentiated(DiagonalGaussian(mean.float(), log_variance.float()), noise.float(), 1.0)
    assert exact is not None
    assert found is not None
    assert float(found.kl) == pytest.approx(float(exact.kl), abs=2e-4)
    for name in ("of_mean", "of_log_variance"):
        ours, theirs = getattr(found, name).double() * 500, getattr(exact, name) * 500
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    weighed = one.weigh(DiagonalGaussian(mean.float(), log_variance.float()), noise.float())[1].double()
    torch.testing.assert_close(weighed, one.weigh(DiagonalGaussian(mean, log_variance), noise)[1], rtol=0, atol=2e-2)


@pytest.mark.parametrize("layout", ["circle", "sphere", "torus", "two sizes"])
def test_gradients_of_first_and_second_order(layout: str) -> None:
    one, (mean, log_variance, noise) = image(layout), given(layout, 3)

    def term(*q: Tensor) -> tuple[Tensor, ...]:
        return one.draw(DiagonalGaussian(*q), noise)[:2]

    def ratios(*q: Tensor) -> tuple[Tensor, ...]:
        return one.weigh(DiagonalGaussian(*q), torch.stack([noise, -noise]))

    for function in (term, ratios):
        assert torch.autograd.gradcheck(function, leaves(mean, log_variance))
        assert torch.autograd.gradgradcheck(function, leaves(mean, log_variance))


@pytest.mark.parametrize("d", [2, 3, 5, 17, 64])
def test_narrow_and_wide_posteriors_in_any_dimension(d: int) -> None:
    """Where the mean lies up to thirty deviations along the draw, or against it."""
    specs: Any = [parse_spec("mappings", f"sphere:dims=0-{d - 1}")]
    one = image_of(build_mapping(specs, d))
    assert one is not None
    generator = torch.Generator().manual_seed(d)
    direction = torch.nn.functional.normalize(torch.randn(61, d, generator=generator, dtype=torch.float64), dim=-1)
    D = torch.linspace(-30, 30, 61, dtype=torch.float64).unsqueeze(-1)
    for log_variance in (-14.0, 0.0, 6.0):
        std = torch.full((61, d), log_variance / 2).exp().double()
        mean = D * direction * std
        noise = (3 - D) * direction + 0.1 * torch.randn(61, d, generator=generator, dtype=torch.float64)
        q = leaves(mean, 2 * std.log())
        posterior = DiagonalGaussian(*q)
        y = posterior.rsample(noise)
        found, expected = one.weigh(posterior, noise), (y, one.log_ratio(posterior, y, noise))
        torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-10)
        weights = [torch.zeros_like(y), torch.ones(61).double()]
        for ours, theirs in zip(slopes(found, weights, *q), slopes(expected, weights, *q), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9 * float(theirs.abs().max()))


@each
def test_float32_agrees_with_float64(layout: str) -> None:
    one = image(layout)
    found = []
    for dtype in (torch.float32, torch.float64):
        mean, log_variance, noise = given(layout, 500, dtype=dtype)
        q = leaves(mean, log_variance - 3)
        y, kl, kl_y = one.draw(DiagonalGaussian(*q), noise)
        assert kl.dtype == y.dtype == dtype
        found.append([x.double() for x in (kl, kl_y, *slopes((y, kl), [torch.ones(1), torch.tensor(500.0)], *q))])
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [0.0, 1e-15, 1.0, 1e5, 1e15])
@pytest.mark.parametrize("log_variance", [-60.0, -20.0, 0.0, 20.0, 60.0])
def test_extremes_are_finite(size: float, log_variance: float) -> None:
    for layout in ("circle", "sphere", "torus"):
        mean, _, noise = given(layout, 9, dtype=torch.float32)
        if size * torch.tensor(-log_variance / 2).exp() > 1e18:
            continue
        q = leaves(size * mean, torch.full_like(mean, log_variance))
        found = image(layout).draw(DiagonalGaussian(*q), noise)
        assert all(x.isfinite().all() for x in found)
        assert all(slope.isfinite().all() for slope in slopes(found[1:2], [torch.ones(())], *q))


def test_a_draw_at_the_origin_is_finite() -> None:
    one, q = image("circle"), leaves(torch.tensor([[1.0, -1.0], [1.0, 2.0]]), torch.zeros(2, 2))
    y, kl, _ = one.draw(DiagonalGaussian(*q), torch.tensor([[-1.0, 1.0], [0.5, 0.5]]))
    assert float(y.detach()[0].abs().max()) == 0
    assert kl.isfinite()
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(kl, q))


def test_what_is_not_a_number_is_not_hidden() -> None:
    for place in range(3):
        tensors = given("room", 2)
        tensors[place][0, 1] = torch.nan
        assert image("room").weigh(DiagonalGaussian(*tensors[:2]), tensors[2])[1].isnan().tolist() == [True, False]


def test_under_vmap_and_in_half_precision_densities_are_taken() -> None:
    one, (mean, log_variance, noise) = image("room"), given("room", 3, 7)
    mapped = torch.func.vmap(lambda *x: one.draw(DiagonalGaussian(*x[:2]), x[2]))(mean, log_variance, noise)
    for ours, theirs in zip(mapped, one.draw(DiagonalGaussian(mean, log_variance), noise), strict=True):
        torch.testing.assert_close(ours, theirs)
    half = [x.bfloat16() for x in (mean, log_variance, noise)]
    assert one.draw(DiagonalGaussian(*half[:2]), half[2])[1].isfinite().all()


def test_first_use_in_inference_mode_does_not_spoil_training() -> None:
    specs: Any = [parse_spec("mappings", "sphere:dims=0-30")]  # a dimension that no other test uses
    one = image_of(build_mapping(specs, 31))
    assert one is not None
    tensors = torch.randn(3, 5, 31, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        seen = one.draw(DiagonalGaussian(tensors[0], tensors[1]), tensors[2])
    q = leaves(tensors[0], tensors[1])
    found = one.draw(DiagonalGaussian(*q), tensors[2])
    functools.reduce(torch.add, [x.sum() for x in found[:2]]).backward()
    assert all(map(torch.equal, seen, found))
    assert all(leaf.grad is not None for leaf in q)
