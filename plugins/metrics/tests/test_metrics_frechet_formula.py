"""Is it the Fréchet distance? Closed forms, another implementation, invariants, singular covariances."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_metrics import frechet_distance, frechet_of_moments
from intel_metrics.frechet import Moments, jackknife_error, moments

from intel_core.helpers.torchvision_compat import import_with_torchvision


def rows(seed, n, d, spread=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ (rng.normal(size=(d, d)) * spread) + rng.normal(size=d)


def pytorch_fid(first, second):
    pytest.importorskip("pytorch_fid")
    home = import_with_torchvision("pytorch_fid.fid_score")
    pairs = [(x.mean(0), np.cov(x, rowvar=False)) for x in (first, second)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it calls scipy with an argument that is on its way out
        return home.calculate_frechet_distance(*pairs[0], *pairs[1])


@pytest.mark.parametrize("d", [1, 2, 17])
def test_it_agrees_with_pytorch_fid(d):
    first, second = rows(0, 300, d), rows(1, 400, d, spread=2.0)
    if d == 1:
        expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    else:
        expected = pytorch_fid(first, second)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


def test_gaussians_whose_axes_agree():
    """For covariances that commute it is ‖Δμ‖² + Σ (σ - τ)²."""
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    sigma, tau, apart = np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, 2.0, 0.1, 0.0]), np.array([1.0, 0.0, -2.0, 0.5])
    first = Moments(np.zeros(4), rotation @ np.diag(sigma**2) @ rotation.T)
    second = Moments(apart, rotation @ np.diag(tau**2) @ rotation.T)
    expected = (apart**2).sum() + ((sigma - tau) ** 2).sum()
    assert frechet_of_moments(first, second) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 60), (60, 20), (39, 40)])
def test_of_fewer_rows_than_features_no_covariance_is_needed(n, m):
    """Whichever way it is computed: by rows where a set has at most 40, by its covariance elsewhere."""
    first, second = rows(0, n, 40), rows(1, m, 40, spread=2.0)
    expected = frechet_of_moments(moments(first), moments(second))
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_pixels_of_images_take_no_square_of_their_number(monkeypatch):
    """20,000 features, of which a covariance would be 3.2 GB."""
    monkeypatch.setattr(np, "cov", lambda *args, **kwargs: pytest.fail("a covariance was formed"))
    apart = np.zeros(20_000)
    apart[7] = 3.0
    features = np.random.default_rng(0).normal(size=(30, 20_000))
    assert frechet_distance(features, features + apart) == pytest.approx(9.0, rel=1e-9)
    with pytest.raises(ValueError, match="cannot be compared"):
        frechet_distance(features, features[:, :100])


def test_covariances_that_do_not_commute():
    """In two dimensions Tr √M = √(Tr M + 2 √det M), for M the product of the covariances."""
    first, second = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    found = frechet_of_moments(Moments(np.zeros(2), first), Moments(np.zeros(2), second))
    assert found == pytest.approx(np.trace(first + second) - 2 * root, rel=1e-12)


def test_samples_converge_to_the_closed_form():
    rng, sigma, apart = np.random.default_rng(0), np.array([1.0, 2.0, 0.5]), np.array([1.0, 0.0, 1.0])
    expected = 2.0 + ((sigma - 1) ** 2).sum()  # 3.25
    n = 40_000
    found = frechet_distance(rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) * sigma + apart)
    assert found == pytest.approx(expected, abs=0.08)  # four standard errors, by the jackknife 0.02


def test_few_samples_are_further_apart_than_many():
    """The bias that a floor shows: two samples of one distribution, at several n."""
    rng = np.random.default_rng(0)
    found = [frechet_distance(rng.normal(size=(n, 20)), rng.normal(size=(n, 20))) for n in (50, 500, 5000)]
    assert found[0] > 5 * found[1] > 25 * found[2] > 0


def test_covariances_of_fewer_rows_than_dimensions():
    """The root of a singular product: scaling a set about its mean by 3 leaves ‖F‖² (3 - 1)²."""
    x = np.random.default_rng(0).normal(size=(20, 100))
    x -= x.mean(0)
    spread = np.trace(np.cov(x, rowvar=False))
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * spread, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9 * spread)


def test_features_that_are_constant():
    assert frechet_distance(np.zeros((5, 3)), np.ones((7, 3))) == pytest.approx(3)


seeds = st.integers(0, 2**31)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(2, 30), d=st.integers(1, 12))
def test_symmetric_not_negative_and_blind_to_rotations(seed, n, d):
    first, second = rows(seed, n, d), rows(seed + 1, n + 3, d, spread=0.3)
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    found = frechet_distance(first, second)
    near = pytest.approx(found, rel=1e-7, abs=1e-7)
    assert found >= 0
    assert frechet_distance(second, first) == near
    assert frechet_distance(first @ rotation + 7, second @ rotation + 7) == near
    assert frechet_distance(rng.permutation(first), rng.permutation(second)) == near


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_features_of_any_scale(scale):
    """The distance is a square of lengths; nothing in it is small by itself."""
    first, second = rows(0, 100, 5), rows(1, 100, 5)
    expected = scale**2 * frechet_distance(first, second)
    assert frechet_distance(scale * first, scale * second) == pytest.approx(expected, rel=1e-9)


def test_the_jackknife_says_how_far_repetitions_scatter():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(400, 4)), 1.3 * rng.normal(size=(400, 4)) + 0.3) for _ in range(40)]
    scatter = np.std([frechet_distance(*pair) for pair in pairs], ddof=1)
    said = np.sqrt(np.mean([jackknife_error(*pair) ** 2 for pair in pairs[:10]]))
    assert said == pytest.approx(scatter, rel=0.4)


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros((1, 2)), "at least 2"), (np.zeros(3), "shape"), (np.array([[0.0], [np.nan]]), "NaN")],
)
def test_what_is_no_sample_of_features_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        moments(values)


def test_features_of_other_widths_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        frechet_distance(np.eye(3), np.eye(4))
