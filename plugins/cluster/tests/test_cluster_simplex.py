"""Are the cells of a simplex what they should be? Against formulas in other words, draws, and the cuts they contain."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster import ClusterSpec, Displacement, SectorSplit, SimplexSplit
from intel_cluster.simplex import corners, log_shares, offsets
from scipy.stats import norm

SIZES = [2, 3, 4, 5, 10, 50]
PAPER = Displacement(5.0, 0.2, 1e-3)
PHIS = [PAPER, Displacement(5.0, 0.5, 0.1), Displacement(1.0, 0.3, 0.01, "smooth")]
every_size = pytest.mark.parametrize("k", SIZES)
both = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def normal(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def some_shares(k, seed=0):
    raw = torch.rand(k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    return (raw / raw.sum()).tolist()


def cuts_of(k, phi=PAPER):
    """Equal, unequal, and learned with any b."""
    learned = SimplexSplit([1 / k] * k, phi, learnable=True).double()
    with torch.no_grad():
        learned.b.copy_(0.4 * normal(1, k - 1, seed=k).reshape(learned.b.shape))
    return {
        "equal": SimplexSplit([1 / k] * k, phi),
        "unequal": SimplexSplit(some_shares(k), phi),
        "learned": learned,
    }


every_cut = pytest.mark.parametrize("which", ["equal", "unequal", "learned"])


def centre_of(cut):
    (place, *_) = cut.places()
    return torch.tensor(place.point, dtype=torch.float64)


# --- geometry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [*range(2, 20), 50, 255, 256])
def test_corners_are_equally_far_from_each_other(k):
    u = corners(k)
    expected = (k * torch.eye(k, dtype=torch.float64) - 1) / (k - 1)
    torch.testing.assert_close(u @ u.T, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("k", range(3, 12))
def test_the_first_plane_shows_k_equal_sectors(k):
    """Where all other coordinates are 0, the cells are those of the paper's sectors, in the same order."""
    y = torch.zeros(2000, k - 1, dtype=torch.float64)
    y[:, :2] = normal(2000, 2)
    assert torch.equal(SimplexSplit([1 / k] * k, PAPER).assign(y), SectorSplit([1 / k] * k, PAPER).assign(y[:, :2]))


@every_size
@every_cut
def test_formula(k, which):
    """z from distances to all boundaries, each a plane through the point at which all cells meet."""
    cut = cuts_of(k)[which]
    u, y = corners(k), normal(300, k - 1)
    w = y - centre_of(cut)
    index = (w @ u.T).argmax(-1)
    assert torch.equal(cut.assign(y), index)
    for row in range(20):
        i = int(index[row])
        distances = [float(w[row] @ (u[i] - u[j]) / (u[i] - u[j]).norm()) for j in range(k) if j != i]
        nearest = min(distances)
        push = 5 * nearest * max(nearest, 1e-3) ** -0.8
        torch.testing.assert_close(cut(y[row]).detach(), w[row] + push * u[i], rtol=0, atol=1e-11)


@both
@pytest.mark.parametrize("phi", PHIS, ids=str)
@pytest.mark.parametrize("left", [0.5, 0.3, 0.9, 1e-6])
def test_two_cells_are_the_papers_line_bit_for_bit(left, phi, dtype):
    b = norm.ppf(left)
    y = 2 * normal(20_000, 1, dtype=dtype)
    cut = SimplexSplit([left, 1 - left], phi, learnable=True).to(dtype)
    assert cut.b.shape == ()
    assert float(cut.b.detach()) == pytest.approx(b, rel=1e-6)
    t = y - cut.b.detach()
    side = torch.where(t < 0, -1.0, 1.0).to(dtype)
    assert torch.equal(cut(y).detach(), side * (t.abs() + phi(t.abs())))
    assert torch.equal(cut.assign(y), (y >= cut.b.detach()).long().squeeze(-1))
    assert torch.equal(cut.log_abs_det_jacobian(y).detach(), torch.log1p(phi.slope(t.abs())).squeeze(-1))


@both
@pytest.mark.parametrize("phi", PHIS, ids=str)
def test_three_cells_are_the_papers_sectors(phi, dtype):
    y = 2 * normal(20_000, 2, dtype=dtype)
    cells, sectors = SimplexSplit([1 / 3] * 3, phi), SectorSplit([1 / 3] * 3, phi)
    assert torch.equal(cells.assign(y), sectors.assign(y))
    bound = 20 * torch.finfo(dtype).eps * phi.slope_cap * (1 + y.norm(dim=-1, keepdim=True))
    assert ((cells(y) - sectors(y)).abs() <= bound).all()
    torch.testing.assert_close(cells.log_abs_det_jacobian(y), sectors.log_abs_det_jacobian(y), rtol=1e-3, atol=1e-3)


# --- a bijection -------------------------------------------------------------------------------------------------


@every_size
@every_cut
@pytest.mark.parametrize("phi", PHIS, ids=str)
def test_inverse_and_determinant(k, which, phi):
    cut = cuts_of(k, phi)[which].requires_grad_(False)
    y = normal(400, k - 1, seed=1)
    y[::7] *= 0.02  # near the point where all meet
    z = cut(y)
    assert torch.equal(cut.assign(y), cut._nearest(z)[0])  # each cell onto itself, cut at 0
    assert float((cut.inverse(z) - y).abs().max()) < 1e-11
    assert float((cut(cut.inverse(z)) - z).abs().max()) < 1e-11
    some = y[:40]
    jacobian = torch.func.vmap(torch.func.jacrev(cut))(some)
    sign, expected = torch.linalg.slogdet(jacobian)
    assert (sign > 0).all()
    torch.testing.assert_close(cut.log_abs_det_jacobian(some), expected, rtol=1e-9, atol=1e-9)
    back = torch.func.vmap(torch.func.jacrev(cut.inverse))(z[:40])
    torch.testing.assert_close(back @ jacobian, torch.eye(k - 1).double().expand_as(jacobian), rtol=0, atol=1e-8)


@every_size
def test_inverse_in_single_precision(k):
    cut = SimplexSplit(some_shares(k), PHIS[1])
    y = normal(2000, k - 1, dtype=torch.float32)
    assert float((cut.inverse(cut(y)) - y).abs().max()) < 1e-5


@settings(max_examples=40, deadline=None)
@given(k=st.sampled_from([2, 3, 4, 7]), seed=st.integers(0, 2**31), spread=st.floats(0, 4), scale=st.floats(-6, 1))
def test_any_b_gives_a_bijection(k, seed, spread, scale):
    cut = SimplexSplit([1 / k] * k, PAPER, learnable=True).double()
    with torch.no_grad():
        cut.b.copy_(spread * normal(1, k - 1, seed).reshape(cut.b.shape))
    cut.requires_grad_(False)
    y = centre_of(cut) + 10**scale * normal(200, k - 1, seed + 1)
    assert float((cut.inverse(cut(y)) - y).abs().max()) < 1e-11
    assert float(cut.log_proportions().exp().sum()) == pytest.approx(1, abs=1e-12)


@every_size
def test_no_jump_across_the_boundaries(k):
    cut = SimplexSplit(some_shares(k), PAPER)
    u, b = corners(k), centre_of(cut)
    for i, j in [(0, 1), (0, k - 1), (k - 2, k - 1)]:
        if i == j:
            continue
        # A point of the facet: the middle of two corners, moved away from all others.
        others = [m for m in range(k) if m not in (i, j)]
        at = b + u[i] + u[j] - (0.3 * u[others].mean(0) if others else 0)
        across = (u[i] - u[j]) / (u[i] - u[j]).norm()
        for h in (1e-12, 1e-6, 1e-3):
            ahead, behind = cut((at + h * across).unsqueeze(0)), cut((at - h * across).unsqueeze(0))
            assert float((ahead - behind).norm()) <= 2 * h * (1 + PAPER.slope_cap) + 1e-11
            assert cut.assign((at + h * across).unsqueeze(0)).tolist() == [i]


@both
@every_size
def test_everything_is_finite_where_cells_meet(k, dtype):
    """At b, on facets and where three meet, each an ulp to both sides, at all sizes."""
    cut = SimplexSplit([1 / k] * k, PAPER, learnable=True).to(dtype)
    u = corners(k).to(dtype)
    at = torch.cat([u, u + u.roll(1, 0), u + u.roll(1, 0) + u.roll(2, 0), -u, torch.zeros_like(u[:1])])
    y = torch.cat([at * size for size in (1e-38, 1e-20, 1e-3, 1.0, 1e6)])
    up = torch.nextafter(y, torch.tensor(math.inf, dtype=dtype))
    y = torch.cat([y, up, torch.nextafter(y, -up)]).requires_grad_()
    z = cut(y)
    for one in (z, cut.inverse(y), cut.log_abs_det_jacobian(y)):
        assert one.isfinite().all()
        assert one.dtype == dtype
        for gradient in torch.autograd.grad(one.sum(), [y, cut.b], allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    assert (cut.log_abs_det_jacobian(y) >= 0).all()


@every_size
def test_the_slope_never_exceeds_the_cap(k):
    cut = SimplexSplit(some_shares(k), PAPER)
    y = centre_of(cut) + normal(30, k - 1) * torch.logspace(-6, 0, 30, dtype=torch.float64).unsqueeze(1)
    slope = torch.linalg.matrix_norm(torch.func.vmap(torch.func.jacrev(cut))(y), 2)
    assert (slope <= 1 + PAPER.slope_cap * (1 + 1e-9)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_a_bad_row_spoils_no_other(k, bad):
    cut = SimplexSplit(some_shares(k), PAPER)
    y = normal(8, k - 1, dtype=torch.float32)
    spoilt = y.clone()
    spoilt[3, 0] = bad
    keep = [i for i in range(8) if i != 3]
    assert torch.equal(cut(spoilt)[keep], cut(y)[keep])
    assert 0 <= int(cut.assign(spoilt)[3]) < k


def test_autocast_does_not_coarsen_the_cells():
    cut = SimplexSplit(some_shares(6), PAPER)
    y = normal(2000, 5, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        z, index = cut(y), cut.assign(y)
    assert torch.equal(z, cut(y))
    assert torch.equal(index, cut.assign(y))


# --- shares ------------------------------------------------------------------------------------------------------


@pytest.mark.promptly("2-equal", "3-unequal", "4-learned", "10-unequal")
@pytest.mark.parametrize(
    ("k", "which"), [(50, "unequal"), *((k, which) for k in (2, 3, 4, 10) for which in ("equal", "unequal", "learned"))]
)
def test_shares_against_a_million_draws(k, which):
    cut = cuts_of(k)[which].requires_grad_(False)
    expected, n = cut.proportions(), 0
    counts = torch.zeros(k)
    for seed in range(10):
        index = cut.assign(normal(100_000, k - 1, seed))
        counts += torch.bincount(index, minlength=k)
        n += len(index)
    error = (expected * (1 - expected) / n).sqrt()
    assert ((counts / n - expected).abs() <= 5 * error).all()


@pytest.mark.parametrize("left", [1e-12, 1e-6, 0.001, 0.25, 0.5, 0.8, 1 - 1e-9])
def test_two_shares_are_the_normal_distribution(left):
    cut = SimplexSplit([left, 1 - left], PAPER, learnable=True).double()
    b = float(cut.b.detach())
    torch.testing.assert_close(
        cut.proportions().detach(), torch.tensor([norm.cdf(b), norm.sf(b)], dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("k", [3, 4, 10, 50])
@pytest.mark.parametrize("least", [1e-6, 1e-3, 0.01])
def test_offsets_give_the_shares(k, least):
    shares = torch.tensor(some_shares(k, seed=1), dtype=torch.float64)
    shares[:2] = least
    shares = shares / shares.sum()
    found = log_shares(offsets(shares.tolist()))
    torch.testing.assert_close(found, shares.log(), rtol=0, atol=1e-11)


def test_equal_shares_need_no_offset():
    for k in (2, 3, 7, 50):
        assert not any(SimplexSplit([1 / k] * k, PAPER).places()[0].point)


@settings(max_examples=30, deadline=None)
@given(k=st.integers(2, 12), seed=st.integers(0, 2**31), spread=st.floats(0, 3))
def test_the_quadrature_agrees_with_a_finer_one(k, seed, spread):
    offset = spread * normal(1, k, seed)[0]
    x = torch.linspace(-16, 16, 20_001, dtype=torch.float64).unsqueeze(1) - offset
    below = torch.special.log_ndtr(x)
    exact = torch.logsumexp(below.sum(-1, keepdim=True) - below - x.square() / 2, 0)
    torch.testing.assert_close(log_shares(offset), exact - torch.logsumexp(exact, 0), rtol=0, atol=1e-10)
    torch.testing.assert_close(log_shares(offset.float()).double(), log_shares(offset), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_gradient_of_shares(k):
    assert torch.autograd.gradcheck(log_shares, (normal(1, k)[0].requires_grad_(),))


def test_logarithms_of_shares_are_finite_however_small():
    for k in (2, 3, 10):
        cut = SimplexSplit([1 / k] * k, PAPER, learnable=True)
        for size in (40.0, 1e3):
            with torch.no_grad():
                cut.b.copy_(size * corners(k)[0].reshape(cut.b.shape))
            logs = cut.log_proportions()
            assert logs.isfinite().all()
            (gradient,) = torch.autograd.grad(logs.sum(), [cut.b])
            assert gradient.isfinite().all()


# --- learning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 10])
def test_gradient_of_b_against_finite_differences(k):
    cut = cuts_of(k, PHIS[1])["learned"]
    y = normal(50, k - 1, seed=5)
    weight = normal(50, k - 1, seed=6)

    def loss(b):
        return (torch.func.functional_call(cut, {"b": b}, (y,)) * weight).sum(-1)

    b = cut.b.detach()
    exact = torch.func.jacrev(loss)(b).reshape(50, -1)
    for i in range(k - 1):
        shift = torch.zeros(k - 1, dtype=torch.float64)
        shift[i] = 1e-7
        shift = shift.reshape(b.shape)
        numeric = (loss(b + shift) - loss(b - shift)) / 2e-7
        torch.testing.assert_close(exact[:, i], numeric, rtol=1e-5, atol=1e-5)


def test_frozen_keeps_the_proportions_out_of_the_gradient():
    cut = cuts_of(4)["learned"]
    y = normal(20, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(cut(y, frozen=True).sum(), [cut.b], allow_unused=True)
    assert gradient is None
    assert torch.equal(cut(y, frozen=True), cut(y))


@pytest.mark.parametrize(
    "options", [{"k": 2}, {"k": 5}, {"k": [2, 3]}, {"k": 4, "split": "sectors"}, {"k": [3, 2], "split": "sectors"}]
)
def test_proportions_can_be_set(options):
    mapping = ClusterSpec(learnable=True, **options).build(6).double()
    shares = torch.tensor(some_shares(mapping.n_clusters), dtype=torch.float64)
    mapping.set_proportions(shares)
    found = mapping.proportions().detach()
    if isinstance(options["k"], list):  # the shares of a product are a product: its marginals are those asked for
        table, asked = (p.reshape(options["k"]) for p in (found, shares))
        torch.testing.assert_close(table.sum(0), asked.sum(0))
        torch.testing.assert_close(table.sum(1), asked.sum(1))
    else:
        torch.testing.assert_close(found, shares)
    empty = torch.zeros(mapping.n_clusters)
    empty[0] = 1
    mapping.set_proportions(empty)
    assert mapping.proportions().min() > 0


def test_fixed_proportions_stay():
    mapping = ClusterSpec(k=3, proportions=[0.2, 0.3, 0.5]).build(4)
    mapping.set_proportions(torch.full((3,), 1 / 3))
    assert mapping.proportions().tolist() == [0.2, 0.3, 0.5]


@pytest.mark.parametrize("k", [2, 3, 10])
def test_replicates_as_a_stack(k):
    cut = SimplexSplit([1 / k] * k, PHIS[1], learnable=True)
    b, y = 0.3 * normal(4, k - 1, dtype=torch.float32).reshape(4, *cut.b.shape), normal(4 * 30, k - 1, 1, torch.float32)
    y = y.reshape(4, 30, k - 1)
    stacked = torch.func.vmap(lambda b, y: torch.func.functional_call(cut, {"b": b}, (y,)))(b, y)
    for i in range(4):
        torch.testing.assert_close(stacked[i], torch.func.functional_call(cut, {"b": b[i]}, (y[i],)))


@pytest.mark.parametrize("k", [2, 3, 10])
def test_replicates_learn_their_shares_as_a_stack(k):
    """Warnings are errors here: torch has one for what it can only compute model by model."""
    mapping = ClusterSpec(k=k).build(k)
    b = 0.3 * normal(4, k - 1, dtype=torch.float32).reshape(4, *mapping.splits[0].b.shape)
    y = normal(4 * 30, k, 1, torch.float32).reshape(4, 30, k)

    def loss(b, y):
        return torch.func.functional_call(mapping, {"splits.0.b": b}, (y,))["proportions"]

    mapping.forward = lambda y: mapping.map_with_regularisers(y)[1]
    stacked, alone = b.clone().requires_grad_(), b.clone().requires_grad_()
    torch.func.vmap(loss)(stacked, y).sum().backward()
    sum(loss(alone[i], y[i]) for i in range(4)).backward()
    torch.testing.assert_close(stacked.grad, alone.grad, rtol=1e-4, atol=1e-6)
