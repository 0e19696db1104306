"""Is the density of a projected normal right, with its gradients, wherever it is asked?"""

import functools
import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intel_core.helpers.projected_normal import direction_log_prob, log_radial_integral, log_sphere_area

DIMS = (2, 3, 5, 10, 33, 64)
PLACES = (-30.0, -12.5, -7.3, -5.0, -2.0, -0.4, 0.0, 0.9, 2.6, 6.2, 17.5, 30.0)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def inputs(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """y, mean and log-variance."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=dtype, generator=generator) for _ in range(3)]


def gradients(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
    leaves = [x.detach().clone().requires_grad_() for x in given]
    return torch.autograd.grad(direction_log_prob(*leaves).sum(), leaves)


@functools.cache
def log_integral(d: int, place: float) -> mpmath.mpf:
    """The logarithm of I_d(D) by quadrature with 30 digits, of the integrand divided by its size."""
    with mpmath.workdps(30):
        at = mpmath.mpf(place)
        mode = (at + mpmath.sqrt(at**2 + 4 * d)) / 2  # of the logarithm of r
        width = mode / mpmath.sqrt(mode**2 + d)
        ends = [mode + k * width for k in (-40, -20, -10, -5, -2, 0, 2, 5, 10, 20, 40, 80, 160)]
        ends = [0, *(end for end in ends if end > 0), mpmath.inf]
        size = mode ** (d - 1) * mpmath.npdf(mode - at)
        scaled = mpmath.quad(lambda r: (r / mode) ** (d - 1) * mpmath.exp(((mode - at) ** 2 - (r - at) ** 2) / 2), ends)
        return mpmath.log(size) + mpmath.log(scaled)


def test_log_radial_integral_against_quadrature() -> None:
    for d in DIMS:
        found = log_radial_integral(tensor(*PLACES), d).tolist()
        assert found == pytest.approx([float(log_integral(d, place)) for place in PLACES], abs=1e-10, rel=0), d


def test_slope_of_the_log_radial_integral_against_quadrature() -> None:
    for d in DIMS:
        place = tensor(*PLACES).requires_grad_()
        (slope,) = torch.autograd.grad(log_radial_integral(place, d).sum(), place)
        expected = [float((d - 1) * mpmath.exp(log_integral(d - 1, at) - log_integral(d, at))) for at in PLACES]
        assert slope.tolist() == pytest.approx(expected, rel=1e-10), d


def test_in_one_dimension_it_is_the_distribution_of_a_normal() -> None:
    place = tensor(-1e4, -100, *PLACES, 100).requires_grad_()
    value = log_radial_integral(place, 1)
    assert torch.allclose(value, torch.special.log_ndtr(place), rtol=1e-13, atol=1e-13)
    (slope,) = torch.autograd.grad(value.sum(), place)
    (expected,) = torch.autograd.grad(torch.special.log_ndtr(place).sum(), place)
    assert torch.allclose(slope, expected, rtol=1e-7, atol=1e-13)


def test_recursion_where_it_does_not_cancel() -> None:
    place = torch.linspace(0, 1e4, 101, dtype=torch.float64)
    for d in (*range(3, 17), 32, 33, 63, 64):
        lower, middle, upper = (log_radial_integral(place, k) for k in (d - 2, d - 1, d))
        expected = torch.log(place + (d - 2) * torch.exp(lower - middle))
        assert torch.allclose(upper - middle, expected, rtol=0, atol=1e-10), d


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_zero_it_has_the_right_asymptotes(dtype: torch.dtype) -> None:
    far = torch.tensor([300.0, 1e3, 1e4], dtype=dtype)
    exact = far.double()
    for d in (2, 3, 10, 64):
        # r^(d-1) about D, and the mass near zero where n(r - D) falls like exp(-r |D|)
        above = (d - 1) * exact.log() + (d - 1) * (d - 2) / (2 * exact**2)
        below = math.lgamma(d) - d * exact.log() - exact**2 / 2 - math.log(2 * math.pi) / 2
        below = below - d * (d + 1) / (2 * exact**2)
        error = d**4 / exact**4 + 1e-13 * exact**2
        if dtype == torch.float32:
            error = error + 1e-6 * (1 + d * exact.log())
        assert ((log_radial_integral(far, d) - above).abs() < error).all(), d
        if dtype == torch.float32:
            error = error + 2e-7 * exact**2
        assert ((log_radial_integral(-far, d) - below).abs() < error).all(), d


def test_float32_is_as_exact_as_its_digits() -> None:
    for d in DIMS:
        place = torch.tensor(PLACES)
        assert torch.allclose(
            log_radial_integral(place, d).double(), log_radial_integral(place.double(), d), rtol=3e-7, atol=5e-6
        )


def test_area_of_spheres() -> None:
    areas = [math.exp(log_sphere_area(d)) for d in (1, 2, 3, 4)]
    assert areas == pytest.approx([2, 2 * math.pi, 4 * math.pi, 2 * math.pi**2], rel=1e-14)


def on_the_circle(points: int) -> torch.Tensor:
    angle = torch.arange(points, dtype=torch.float64) * (2 * math.pi / points)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def on_the_sphere(points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions in three dimensions, and the areas they stand for: Gauss-Legendre in height times trapezoidal rule."""
    height, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(points))
    around = on_the_circle(2 * points)
    radius = (1 - height**2).sqrt()
    flat = (radius[:, None, None] * around).flatten(0, 1)
    places = torch.cat([flat, height.repeat_interleave(2 * points)[:, None]], dim=-1)
    return places, weight.repeat_interleave(2 * points) * (math.pi / points)


CIRCLES = [
    ([0.0, 0.0], [1.0, 1.0]),
    ([1.0, 0.0], [1.0, 1.0]),
    ([-2.0, 3.0], [0.4, 2.0]),
    ([0.0, 0.0], [0.1, 1.5]),
    ([5.0, -8.0], [0.7, 0.3]),
]


@pytest.mark.parametrize(("mean", "std"), CIRCLES)
def test_it_integrates_to_one_over_the_circle(mean: list[float], std: list[float]) -> None:
    density = direction_log_prob(on_the_circle(4000), tensor(*mean), 2 * tensor(*std).log()).exp()
    assert float(density.mean()) * 2 * math.pi == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
        ([1.5, 0.0, 0.0], [0.5, 0.5, 0.5]),
        ([-1.0, 2.0, 0.5], [0.6, 1.0, 1.7]),
        ([0.0, -3.0, 4.0], [1.0, 2.0, 0.8]),
    ],
)
def test_it_integrates_to_one_over_the_sphere(mean: list[float], std: list[float]) -> None:
    places, areas = on_the_sphere(150)
    density = direction_log_prob(places, tensor(*mean), 2 * tensor(*std).log()).exp()
    assert float((density * areas).sum()) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("d", [2, 3, 10, 64, 300])
def test_without_a_mean_and_with_equal_variances_directions_are_uniform(d: int) -> None:
    y, _, _ = inputs(5, d)
    for log_variance in (-9.0, 0.0, 4.0):
        found = direction_log_prob(y, torch.zeros(d), torch.full((d,), log_variance))
        assert found.tolist() == pytest.approx([-log_sphere_area(d)] * 5, abs=1e-10)


@pytest.mark.parametrize("d", [4, 7])
def test_in_more_dimensions_it_has_the_moments_of_draws(d: int) -> None:
    """Draws of one projected normal, weighted by the ratio of two densities, are draws of the other."""
    generator = torch.Generator().manual_seed(d)
    normal = functools.partial(torch.randn, 200_000, d, dtype=torch.float64, generator=generator)
    mean, log_variance = 0.5 * normal()[0], 0.3 * normal()[0]
    uniform = normal()
    u = uniform / uniform.norm(dim=-1, keepdim=True)
    weight = (direction_log_prob(u, mean, log_variance) + log_sphere_area(d)).exp()
    y = mean + (0.5 * log_variance).exp() * normal()
    drawn = y / y.norm(dim=-1, keepdim=True)
    assert float(weight.mean()) == pytest.approx(1, abs=5 * float(weight.std()) / math.sqrt(len(u)))
    for of in (lambda x: x, torch.square):
        one, other = weight[:, None] * of(u), of(drawn)
        error = ((one.var(0) + other.var(0)) / len(u)).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 5 * error).all()


@pytest.mark.parametrize(
    ("mean", "std", "kl"),
    [
        ((0, 0), (0.5, 0.5), 0.0),
        ((1, 0), (1, 1), 0.3421),
        ((1, 0), (0.5, 0.5), 0.9689),
        ((1.25, 0), (0.3, 0.3), 1.8140),
        ((2, 0), (0.2, 0.2), 2.7165),
        ((3, 0), (1, 1), 1.4488),
        ((1.25, 0), (0.66, 0.1), 2.4082),
    ],
)
def test_kl_to_the_uniform_distribution_on_the_circle(mean: tuple, std: tuple, kl: float) -> None:
    log_density = direction_log_prob(on_the_circle(20_000), tensor(*mean), 2 * tensor(*std).log())
    found = float((log_density.exp() * (log_density + log_sphere_area(2))).mean()) * 2 * math.pi
    assert found == pytest.approx(kl, abs=6e-5)


def test_kl_to_the_uniform_distribution_on_the_sphere() -> None:
    """By symmetry it is an integral over the cosine alone, of a closed form."""
    places, areas = on_the_sphere(120)
    log_density = direction_log_prob(places, tensor(1.5, 0, 0), 2 * tensor(0.5, 0.5, 0.5).log())
    found = float((log_density.exp() * (log_density + log_sphere_area(3)) * areas).sum())
    with mpmath.workdps(20):

        def density(cos: mpmath.mpf) -> mpmath.mpf:
            at = 3 * cos
            third = (1 + at**2) * mpmath.ncdf(at) + at * mpmath.npdf(at)
            return third * mpmath.exp((at**2 - 9) / 2) / (2 * mpmath.pi)

        expected = mpmath.quad(
            lambda c: 2 * mpmath.pi * density(c) * mpmath.log(4 * mpmath.pi * density(c)), [-1, 0, 1]
        )
    assert found == pytest.approx(float(expected), abs=1e-9)
    assert found == pytest.approx(1.9, abs=0.02)


def test_histogram_of_a_million_draws() -> None:
    mean, std = tensor(0.8, -0.5), tensor(0.9, 0.4)
    draws = mean + std * torch.randn(10**6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    angle = torch.atan2(draws[:, 1], draws[:, 0]).remainder(2 * math.pi)
    bins, fine = 60, 40
    counts = torch.histc(angle, bins, 0, 2 * math.pi)
    density = direction_log_prob(on_the_circle(2 * bins * fine)[1::2], mean, 2 * std.log()).exp()
    expected = density.reshape(bins, fine).mean(-1) * (2 * math.pi / bins) * 1e6
    assert float(((counts - expected).square() / expected).sum()) < 120  # chi-squared of 59, p = 4e-6


@given(
    seed=st.integers(0, 10**6),
    d=st.sampled_from([2, 3, 5, 12]),
    longer=st.floats(-30, 30).map(lambda x: 10**x),
    scale=st.floats(-5, 5).map(lambda x: 10**x),
)
def test_neither_the_length_nor_a_common_scale_matters(seed: int, d: int, longer: float, scale: float) -> None:
    y, mean, log_variance = inputs(4, d, seed=seed)
    found = direction_log_prob(y, mean, log_variance)
    torch.testing.assert_close(direction_log_prob(y * longer, mean, log_variance), found, rtol=1e-9, atol=1e-9)
    scaled = direction_log_prob(y, mean * scale, log_variance + 2 * math.log(scale))
    torch.testing.assert_close(scaled, found, rtol=1e-9, atol=1e-9)
    in_float32 = direction_log_prob(y.float() * longer, mean.float(), log_variance.float())
    torch.testing.assert_close(in_float32.double(), found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("d", [2, 3, 10])
def test_gradients_of_first_and_second_order(d: int) -> None:
    given = [x.requires_grad_() for x in inputs(5, d, seed=d)]
    assert torch.autograd.gradcheck(direction_log_prob, given)
    assert torch.autograd.gradgradcheck(direction_log_prob, given)
    y, mean, log_variance = given
    assert torch.autograd.gradcheck(direction_log_prob, (y * 1e-3, mean * 20, log_variance - 1))
    assert torch.autograd.gradcheck(direction_log_prob, (y[0], mean, log_variance[:1]))  # each broadcast


def test_gradients_of_the_log_radial_integral() -> None:
    place = torch.linspace(-12, 12, 41, dtype=torch.float64).requires_grad_()
    for d in (1, 2, 9):
        function = functools.partial(log_radial_integral, d=d)
        assert torch.autograd.gradcheck(function, (place,))
        assert torch.autograd.gradgradcheck(function, (place,))


@pytest.mark.parametrize("d", [2, 3, 10, 64])
def test_float32_agrees_with_float64(d: int) -> None:
    y, mean, log_variance = inputs(500, d, dtype=torch.float32)
    y, log_variance = mean + torch.exp(0.5 * log_variance) * y, log_variance - 2
    single, double = (y, mean, log_variance), (y.double(), mean.double(), log_variance.double())
    torch.testing.assert_close(direction_log_prob(*single).double(), direction_log_prob(*double), rtol=1e-5, atol=1e-4)
    for found, expected in zip(gradients(*single), gradients(*double), strict=True):
        size = expected.norm(dim=-1, keepdim=True) + 1
        assert ((found.double() - expected).abs() < 1e-4 * size).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 3, 10])
def test_extremes_are_finite(dtype: torch.dtype, d: int) -> None:
    sizes = itertools.product((0.0, 1e-38, 1e-30, 1e-7, 1.0, 1e10, 1e30), (0.0, 1.0, 1e5, 1e30), (1e-6, 1.0, 1e3))
    for of_y, of_mean, std in sizes:
        y, mean, log_variance = inputs(6, d, dtype=dtype)
        log_variance = torch.full_like(log_variance, 2 * math.log(std))
        log_variance[::2, 0] = 0.0
        given = y * of_y, mean * of_mean, log_variance
        assert direction_log_prob(*given).isfinite().all(), (of_y, of_mean, std)
        for slope in gradients(*given):
            assert slope.isfinite().all(), (of_y, of_mean, std)


def test_at_the_origin_a_direction_is_chosen() -> None:
    zero, ones = torch.zeros(1, 3), torch.ones(1, 3)
    mean, log_variance = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.1, -0.5, 0.2])
    assert torch.allclose(direction_log_prob(zero, mean, log_variance), direction_log_prob(ones, mean, log_variance))
    slopes, those_of_ones = (gradients(y, mean, log_variance)[1:] for y in (zero, ones))
    for found, expected in zip(slopes, those_of_ones, strict=True):
        assert torch.allclose(found, expected, rtol=1e-5)


def test_what_is_not_a_number_is_not_hidden() -> None:
    for place in range(3):
        given = inputs(2, 3)
        given[place][0, 1] = math.nan
        assert direction_log_prob(*given).isnan().tolist() == [True, False]


def test_gradients_of_a_stack_are_those_of_each() -> None:
    stacked = inputs(4, 6, 3)

    def total(*given: torch.Tensor) -> torch.Tensor:
        return direction_log_prob(*given).sum()

    found = torch.func.vmap(torch.func.grad(total, argnums=(0, 1, 2)))(*stacked)
    for k in range(4):
        for mapped, alone in zip(found, gradients(*(x[k] for x in stacked)), strict=True):
            torch.testing.assert_close(mapped[k], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("in_dims", [(0, 0, 0), (None, 0, 0), (1, None, None), (0, 1, None)])
def test_mapped_over_some_of_its_arguments(in_dims: tuple) -> None:
    """By `vmap` alone and with gradients from outside, as the steps of stacked replicates compute them."""
    shapes = [{0: (4, 5, 3), 1: (5, 4, 3), None: (5, 3)}[place] for place in in_dims]
    given = [inputs(*shape, seed=k)[0].requires_grad_() for k, shape in enumerate(shapes)]
    found = torch.func.vmap(direction_log_prob, in_dims=in_dims)(*given)
    mapped = torch.autograd.grad(found.square().sum(), given)
    one_by_one = [
        direction_log_prob(
            *(x if place is None else x.select(place, k) for x, place in zip(given, in_dims, strict=True))
        )
        for k in range(4)
    ]
    torch.testing.assert_close(found, torch.stack(one_by_one), rtol=1e-12, atol=1e-12)
    expected = torch.autograd.grad(torch.stack(one_by_one).square().sum(), given)
    torch.testing.assert_close(mapped, expected, rtol=1e-12, atol=1e-12)


def test_log_radial_integral_is_mapped() -> None:
    place = inputs(4, 6)[0]
    found = torch.func.vmap(torch.func.grad(lambda x: log_radial_integral(x, 3).sum()))(place)
    leaf = place.clone().requires_grad_()
    torch.testing.assert_close(found, torch.autograd.grad(log_radial_integral(leaf, 3).sum(), leaf)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    given = inputs(20, 3, dtype=dtype)
    found = direction_log_prob(*given)
    assert found.dtype == torch.float32
    assert torch.equal(found, direction_log_prob(*(x.float() for x in given)))
    assert [slope.dtype for slope in gradients(*given)] == [dtype] * 3


def test_autocast_changes_nothing() -> None:
    given = inputs(20, 5, dtype=torch.float32)
    expected, slopes = direction_log_prob(*given), gradients(*given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(direction_log_prob(*given), expected)
        assert all(map(torch.equal, gradients(*given), slopes))


def test_one_float64_argument_makes_it_float64() -> None:
    y, mean, log_variance = inputs(4, 2, dtype=torch.float32)
    found = direction_log_prob(y, mean.double(), log_variance)
    assert torch.equal(found, direction_log_prob(y.double(), mean.double(), log_variance.double()))


def test_compiled_it_is_the_same() -> None:
    given = inputs(20, 3, dtype=torch.float32)
    compiled = torch.compile(lambda *x: direction_log_prob(*x).sum(), fullgraph=True, backend="aot_eager")
    leaves = [x.clone().requires_grad_() for x in given]
    value = compiled(*leaves)
    torch.testing.assert_close(value, direction_log_prob(*given).sum())
    torch.testing.assert_close(torch.autograd.grad(value, leaves), gradients(*given))


def test_first_use_in_inference_mode_does_not_spoil_training() -> None:
    given = inputs(3, 29)  # a dimension that no other test uses
    with torch.inference_mode():
        seen = direction_log_prob(*given)
    leaves = [x.requires_grad_() for x in given]
    found = direction_log_prob(*leaves)
    assert torch.equal(found.detach(), seen)
    slopes = torch.autograd.grad(found.sum(), leaves, create_graph=True)
    sum(slope.square().sum() for slope in slopes).backward()
    assert all(leaf.grad.isfinite().all() for leaf in leaves)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 4, 3), (0, 4, 3)])
def test_shapes(shape: tuple) -> None:
    assert direction_log_prob(torch.ones(shape), torch.zeros(3), torch.zeros(3)).shape == shape[:-1]
    assert direction_log_prob(*(torch.empty(shape, device="meta") for _ in range(3))).shape == shape[:-1]
    assert log_radial_integral(torch.ones(shape), 3).shape == shape


def test_too_few_dimensions() -> None:
    one = torch.ones(4, 1)
    with pytest.raises(ValueError, match="a direction needs at least 2 dimensions, not 1"):
        direction_log_prob(one, one, one)
    with pytest.raises(ValueError, match="a radius needs at least 1 dimension, not 0"):
        log_radial_integral(one, 0)
