"""Does the scan find jumps, and only jumps?"""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_conformance.scan import hoelder_excess, scan, star
from intel_conformance.segments import crossing, random_segments
from torch import Tensor

from intel_core import load_mapping
from intel_core.mappings.compose import properties_of
from intel_core.mappings.properties import Locus

ORIGIN = Locus((0, 1), (0.0, 0.0))


def drawer(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def plane(generator: torch.Generator, d: int = 2) -> tuple[Tensor, float]:
    """Unit normal and distance from 0 of a random hyperplane."""
    normal = draws(d, generator=generator)
    return normal / normal.norm(), float(torch.rand((), generator=generator)) - 0.2


# --- functions -------------------------------------------------------------------------------------------------


def cusp(exponent: float, through_origin: bool = False):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        offset = 0.0 if through_origin else offset
        return lambda y: y + 5 * (y @ normal - offset).abs().unsqueeze(-1) ** exponent * normal

    return make


def quantised_sectors(k: int):
    """The distance to the seam from an angle, which knows it to 4 EPS only."""

    def g(y: Tensor) -> Tensor:
        angle, width = torch.remainder(torch.atan2(y[:, 1], y[:, 0]), 2 * math.pi), 2 * math.pi / k
        sector = torch.floor(angle / width)
        inside = angle - sector * width
        away = torch.minimum(inside, width - inside).clamp(0, math.pi / 2)
        middle = (sector + 0.5) * width
        push = 5 * (y.norm(dim=-1) * torch.sin(away)) ** 0.2
        return y + push.unsqueeze(-1) * torch.stack([torch.cos(middle), torch.sin(middle)], -1)

    return lambda seed: g


def flow(seed: int):
    generator = drawer(seed)
    blocks = [
        (draws(16, generator=generator), draws(16, generator=generator), draws(16, 2, generator=generator) / 4)
        for _ in range(6)
    ]

    def g(y: Tensor) -> Tensor:
        for i, (weight, bias, out) in enumerate(blocks):
            kept, moved = y[:, i % 2, None], y[:, 1 - i % 2, None]
            push = torch.tanh(kept * weight + bias) @ out
            moved = moved * torch.exp(2 * torch.tanh(push[:, :1])) + push[:, 1:]
            y = torch.cat([kept, moved] if i % 2 == 0 else [moved, kept], -1)
        return y

    return g


def relu_net(seed: int):
    generator = drawer(seed)
    one, two, three = (
        draws(2, 32, generator=generator),
        draws(32, 32, generator=generator) / 4,
        draws(32, 2, generator=generator),
    )
    return lambda y: torch.relu(torch.relu(y @ one + 0.3) @ two - 0.1) @ three


def steep_step(slope: float):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        return lambda y: torch.cat([torch.tanh(slope * (y @ normal - offset)).unsqueeze(-1), y[:, :1]], -1)

    return make


def clamped(slope: float):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        return lambda y: y + torch.clamp(slope * (y @ normal - offset), -1, 1).unsqueeze(-1)

    return make


def same(g):
    return lambda seed: g


def mapping(text: str):
    return lambda seed: load_mapping(text, 2)


CONTINUOUS = {
    "identity": same(lambda y: y),
    "constant": same(lambda y: 0 * y),
    "cusp 0.5": cusp(0.5),
    "cusp 0.2": cusp(0.2),
    "cusp 0.2 through 0": cusp(0.2, through_origin=True),
    "cusp 0.1": cusp(0.1),
    "coordinates to 0.1": same(lambda y: y.abs() ** 0.1),
    "k=2": mapping("cluster:k=2"),
    "k=3": mapping("cluster:k=3"),
    "k=7": mapping("cluster:k=7"),
    "k=30": mapping("cluster:k=30"),
    "k=30, exact": mapping("cluster:k=30,eps=1e-12"),
    "k=7, smooth": mapping("cluster:k=7,form=smooth,eps=1e-12"),
    "quantised 2": quantised_sectors(2),
    "quantised 3": quantised_sectors(3),
    "quantised 7": quantised_sectors(7),
    "quantised 30": quantised_sectors(30),
    "circle": mapping("circle"),
    "circle 1e-12": mapping("circle:eps=1e-12"),
    "holes": mapping("holes"),
    "tanh 1e6": same(lambda y: torch.tanh(1e6 * y)),
    "tanh 1e8": same(lambda y: torch.tanh(1e8 * y)),
    "step 1e6": steep_step(1e6),
    "step 1e8": steep_step(1e8),
    "step 1e10": steep_step(1e10),
    "step 1e12": steep_step(1e12),
    "clamp 1e4": clamped(1e4),
    "clamp 1e6": clamped(1e6),
    "clamp 1e7": clamped(1e7),
    "clamp 1e10": clamped(1e10),
    "flow": flow,
    "ReLU net": relu_net,
    "sin 1e3": same(lambda y: torch.sin(1e3 * y)),
    "sin 1e6": same(lambda y: torch.sin(1e6 * y)),
    "sin 1e9": same(lambda y: torch.sin(1e9 * y)),
    "cube": same(lambda y: y**3),
    "scales": same(lambda y: torch.stack([1e6 * y[:, 0], y[:, 1]], -1)),
    "scales, cusp": same(lambda y: torch.stack([1e6 * y[:, 0], y[:, 1].abs() ** 0.2], -1)),
    "hinges": same(lambda y: 100 * torch.relu(y - 0.3) + 1e4 * torch.relu(0.1 - y)),
    "exp": same(torch.exp),
    "tiny": same(lambda y: 1e-6 * y),
    "inner rounding": same(lambda y: y + 5 * ((y + 1e3) - 1e3 - 0.37).abs() ** 0.2),
    "rounding alone": same(lambda y: torch.stack([y.norm(dim=-1) ** 2 - (y * y).sum(-1), y[:, 0]], -1)),
}


def segments(seed: int, n: int = 8) -> tuple[Tensor, Tensor]:
    """Every fourth seed passes the origin, closely."""
    generator = drawer(1000 + seed)
    return crossing(ORIGIN, n, 2, generator) if seed % 4 == 3 else random_segments(n, 2, generator)


def kinds(family: str, seeds: range) -> Counter[str]:
    return Counter(found.kind for seed in seeds for found in scan(CONTINUOUS[family](seed), *segments(seed)))


@pytest.mark.parametrize("family", CONTINUOUS)
def test_no_continuous_map_jumps(family):
    found = kinds(family, range(4))
    assert found["jump"] == found["not finite"] == 0
    assert found.total() == 32


@pytest.mark.slow
@pytest.mark.parametrize("family", CONTINUOUS)
def test_no_continuous_map_jumps_in_many_runs(family):
    found = kinds(family, range(200))
    assert found["jump"] == found["not finite"] == 0


@pytest.mark.parametrize("family", ["identity", "constant", "k=7", "flow", "ReLU net", "cube", "exp", "tiny", "scales"])
def test_what_is_not_steep_is_called_continuous(family):
    assert set(kinds(family, range(4))) == {"continuous"}


def test_the_exponent_of_a_cusp():
    normal = torch.tensor([0.6, 0.8], dtype=torch.float64)
    starts, ends = random_segments(30, 2, drawer(0))
    for exponent in (0.1, 0.2, 0.3):
        found = scan(lambda y, a=exponent: (y @ normal - 0.2).abs().unsqueeze(-1) ** a, starts, ends)
        met = (starts @ normal < 0.2) != (ends @ normal < 0.2)
        for one, cut in zip(found, met.tolist(), strict=True):
            assert one.kind == ("steep" if cut else "continuous")
            if cut:
                assert 0.9 * exponent <= one.exponent < exponent + 0.15
                assert abs(float(one.where @ normal) - 0.2) < 1e-12


# --- jumps -----------------------------------------------------------------------------------------------------

BASES = {"identity": CONTINUOUS["identity"], "cusp": same(lambda y: y + 5 * (y - 0.7).abs() ** 0.2)}
BASES |= {text: CONTINUOUS[text] for text in ("k=3", "quantised 3", "quantised 7", "flow")}
POWER = {"identity": 1.0, "cusp": 0.95, "k=3": 0.85, "quantised 3": 0.95, "quantised 7": 0.75, "flow": 0.9}


@pytest.mark.parametrize("base", BASES)
def test_jumps_on_a_hyperplane_are_found(base):
    for size in (1.0, 1e-2, 1e-3, 1e-5):
        met = found = 0
        for seed in range(8):
            generator = drawer(50 + seed)
            normal, offset = plane(generator)
            smooth, (starts, ends) = BASES[base](seed), random_segments(8, 2, generator)
            way = draws(2, generator=generator)
            way = size * way / way.norm()
            cut = (starts @ normal > offset) != (ends @ normal > offset)
            results = scan(
                lambda y, *, s=smooth, n=normal, b=offset, w=way: s(y) + (y @ n > b).unsqueeze(-1) * w, starts, ends
            )
            for one, here in zip(results, cut.tolist(), strict=True):
                assert here or one.kind != "jump"
                if here and one.kind == "jump":
                    found += 1
                    assert abs(float(one.where @ normal) - offset) < 1e-10
                    assert one.size == pytest.approx(size, rel=0.6)
                    assert abs(one.exponent) < 0.04
                met += here
        assert found >= POWER[base] * met


# g, and the places y of a segment (n, d) between which it jumps
JUMPS = {
    "one coordinate": (lambda y: y + (y[:, :1] > 0.3) * torch.tensor([0.0, 1e-2]).double(), lambda y: y[:, 0] > 0.3),
    "small coordinate": (
        lambda y: torch.stack([1e6 * y[:, 0], y[:, 1] + 1e-2 * (y[:, 0] > 0.3)], -1),
        lambda y: y[:, 0] > 0.3,
    ),
    "at a cusp": (
        lambda y: torch.stack([5 * y[:, 0].abs() ** 0.2, y[:, 1] + 1e-3 * (y[:, 0] > 0)], -1),
        lambda y: y[:, 0] > 0,
    ),
    "disc": (lambda y: y + 1e-2 * (y.norm(dim=-1, keepdim=True) < 1.1), lambda y: y.norm(dim=-1) < 1.1),
    "parabola": (lambda y: y * (1 + 0.1 * (y[:, :1] > y[:, 1:] ** 2)), lambda y: y[:, 0] > y[:, 1] ** 2),
    "floor": (torch.floor, lambda y: torch.floor(y).sum(-1)),
    "sign": (torch.sign, lambda y: y.sign().sum(-1)),
    "far out": (lambda y: y + 0.1 * (y.norm(dim=-1, keepdim=True) > 2), lambda y: y.norm(dim=-1) > 2),
    "half a line": (
        lambda y: y + 0.1 * ((y[:, :1] > 0.5) & (y[:, 1:] > 0)) * (y[:, 1:] > 0),
        lambda y: (y[:, 0] > 0.5) & (y[:, 1] > 0),
    ),
}


@pytest.mark.parametrize("name", JUMPS)
def test_other_jumps_are_found(name):
    g, side = JUMPS[name]
    starts, ends = random_segments(60, 2, drawer(4))
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    met = found = 0
    for one, start, end in zip(scan(g, starts, ends), starts, ends, strict=True):
        jumps = bool((side(start + t * (end - start)).double().diff() != 0).any())
        assert jumps or one.kind == "continuous"
        met, found = met + jumps, found + (jumps and one.kind == "jump")
    assert found >= 0.97 * met
    assert met > 3


def test_a_jump_through_0_itself():
    start, end = torch.tensor([[-1.0]]).double(), torch.tensor([[1.0]]).double()
    assert scan(torch.sign, start, end)[0].kind == "jump"
    assert scan(lambda y: (y > 0).double(), start, end)[0].kind == "jump"
    assert scan(lambda y: y.sign() * y.abs() ** 0.2, start, end)[0].kind == "steep"


def test_what_is_not_finite_is_said():
    starts, ends = random_segments(20, 2, drawer(0))
    for found, cut in zip(
        scan(lambda y: torch.where(y > 0.5, math.nan, y), starts, ends),
        (torch.maximum(starts, ends) > 0.5).any(-1).tolist(),
        strict=True,
    ):
        assert found.kind == ("not finite" if cut else "continuous")
        assert not cut or (found.where > 0.5).any()


def test_one_finding_for_each_segment_in_order():
    starts, ends = random_segments(7, 3, drawer(0))
    found = scan(lambda y: y, starts, ends)
    assert [one.segment for one in found] == list(range(7))
    assert all(one.where.shape == (3,) for one in found)
    assert scan(lambda y: y, starts[:0], ends[:0]) == []
    assert scan(lambda y: y, starts, starts)[0].kind == "continuous"


def test_what_is_no_segment_is_refused():
    ends = torch.zeros(2, 2, dtype=torch.float64)
    for start, end in ((ends[0], ends[0]), (ends, ends[:1]), (ends.float(), ends), (ends + math.inf, ends)):
        with pytest.raises(ValueError):
            scan(lambda y: y, start, end)
    with pytest.raises(ValueError, match="returned the shape"):
        scan(lambda y: y.sum(-1), ends, ends + 1)
    with pytest.raises(ValueError, match="no segment"):
        hoelder_excess(lambda y: y, ends[:0], ends[:0], 1.0)
    outside = Locus((2,), (0.0,))
    with pytest.raises(ValueError, match="does not lie in 2"):
        star(lambda y: y, outside, 2, drawer(0))


@given(seed=st.integers(0, 2**31), d=st.integers(1, 6), size=st.floats(-3, 3))
def test_piecewise_linear_maps_never_jump_until_they_do(seed, d, size):
    generator = drawer(seed)
    normals, offsets = draws(d, 5, generator=generator), draws(5, generator=generator)
    slopes = 10**size * draws(5, d, generator=generator)

    def g(y: Tensor) -> Tensor:
        return y + torch.relu(y @ normals - offsets) @ slopes

    normal, offset = plane(generator, d)
    starts, ends = random_segments(6, d, generator)
    assert all(one.kind == "continuous" for one in scan(g, starts, ends))
    jump = max(1e-3, 1e-5 * float(g(torch.cat([starts, ends])).abs().max()))
    results = scan(lambda y: g(y) + jump * (y @ normal > offset).unsqueeze(-1), starts, ends)
    cut = (starts @ normal > offset) != (ends @ normal > offset)
    # Where along each segment the jump lies, and how far from the next kink: one that is larger, in the same window of
    # the first grid, hides it.
    way = ends - starts
    at = (offset - starts @ normal) / (way @ normal)
    kinks = (offsets - starts @ normals) / (way @ normals)
    alone = (kinks - at[:, None]).abs().amin(1) > 1 / 64
    told = torch.tensor([one.kind == "jump" for one in results])
    assert not (told & ~cut).any()
    assert told[cut & alone].all()


# --- centres ---------------------------------------------------------------------------------------------------

HOLDS = {
    "circle 1e-7": (lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-7), "continuous"),
    "circle 1e-12": (lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-12), "continuous"),
    "smooth 1e-12": (lambda y: y / (y.square().sum(-1, keepdim=True) + 1e-24).sqrt(), "continuous"),
    "cusp": (lambda y: y + 5 * y.sign() * y.abs() ** 0.2, "continuous"),
    "identity": (lambda y: y, "continuous"),
    "k=3": (load_mapping("cluster:k=3", 2), "continuous"),
    "k=7": (load_mapping("cluster:k=7,eps=1e-12", 2), "continuous"),
    "circle": (load_mapping("circle:eps=1e-12", 2), "continuous"),
}
FAILS = {
    "direction": lambda y: y / y.norm(dim=-1, keepdim=True),
    "direction, safe": lambda y: torch.where(
        (y == 0).all(-1, keepdim=True), 0.0, y / y.abs().amax(-1, keepdim=True).clamp(min=1e-320)
    ),
    "acos": lambda y: torch.acos(-y[:, :1] / y.norm(dim=-1, keepdim=True)),
    "angle": lambda y: torch.atan2(y[:, 1:], y[:, :1]),
    "half angle": lambda y: torch.cos(torch.atan2(y[:, 1:], y[:, :1]) * 2),
    "NaN": lambda y: torch.where((y == 0).all(-1, keepdim=True), math.nan, y),
    "another value": lambda y: torch.where((y == 0).all(-1, keepdim=True), 1.0, y),
    "one coordinate": lambda y: torch.cat([1e3 * y, 1e-2 * torch.atan2(y[:, 1:], y[:, :1])], -1),
}


@pytest.mark.parametrize("name", HOLDS)
def test_star_accepts(name):
    g, kind = HOLDS[name]
    for seed in range(20):
        assert star(g, ORIGIN, 2, drawer(seed)).kind == kind


@pytest.mark.parametrize("name", FAILS)
def test_star_rejects(name):
    for seed in range(20):
        found = star(FAILS[name], ORIGIN, 2, drawer(seed))
        assert found.kind in ("jump", "not finite")
        assert (found.where.abs() <= 1).all()


@pytest.mark.parametrize("at", [0.0, 0.7, -3.0])
def test_star_at_a_centre_in_some_dimensions_away_from_0(at):
    place = Locus((0, 2), (at, 2 * at))

    def shifted(g):
        return lambda y: torch.cat([g(torch.stack([y[:, 0] - at, y[:, 2] - 2 * at], -1)), y[:, 1:2] ** 2], -1)

    for seed in range(5):
        for g, _ in HOLDS.values():
            assert star(shifted(g), place, 3, drawer(seed)).kind in ("continuous", "steep")
        for name, g in FAILS.items():
            assert star(shifted(g), place, 3, drawer(seed)).kind in ("jump", "not finite"), name


# --- a promise of steepness ------------------------------------------------------------------------------------


def test_a_true_promise_holds_and_is_nearly_reached():
    for exponent, constant in ((0.2, 5 * 2**0.8), (0.5, 2.0), (0.05, 1.0)):
        g = lambda y, a=exponent, c=constant: c * 2 ** (a - 1) * (y - 0.3).sign() * (y - 0.3).abs() ** a  # noqa: E731
        starts, ends = random_segments(40, 1, drawer(1))
        assert 0.9 < hoelder_excess(g, starts, ends, constant, exponent).ratio <= 1 + 1e-12
        found = hoelder_excess(g, starts, ends, constant / 10, exponent)
        assert found.ratio == pytest.approx(10, rel=0.1)
        assert 0 < found.gap <= 1
        assert found.where.shape == (1,)


@pytest.mark.parametrize(
    "text",
    ["cluster:k=2", "cluster:k=3", "cluster:k=7,eps=1e-12", "cluster:k=30", "circle", "circle:eps=1e-3", "holes"],
)
def test_the_promises_of_mappings_hold(text):
    g = load_mapping(text, 2)
    promises = properties_of(g)
    promise = promises.hoelder
    assert promise is not None
    for seed in range(2):
        sets = [random_segments(20, 2, drawer(seed)), crossing(ORIGIN, 20, 2, drawer(seed))]
        sets += [crossing(place, 2, 2, drawer(seed)) for place in promises.seams]
        starts, ends = (torch.cat(parts) for parts in zip(*sets, strict=True))
        assert hoelder_excess(g, starts, ends, promise.constant, promise.exponent).ratio <= 1
    assert hoelder_excess(g, starts, ends, promise.constant / 10, promise.exponent).ratio > 1


def test_a_jump_breaks_any_promise():
    starts, ends = random_segments(20, 2, drawer(0))
    g = lambda y: y + 0.1 * (y[:, :1] > 0.2)  # noqa: E731
    assert hoelder_excess(g, starts, ends, 10.0, 0.2).ratio > 5
    assert hoelder_excess(lambda y: y / (y[:, :1] > 0.2), starts, ends, 10.0, 0.2).ratio == math.inf
