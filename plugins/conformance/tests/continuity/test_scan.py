"""Does the scan find jumps, and only jumps?"""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_conformance.continuity.scan import scan
from intel_conformance.continuity.segments import crossing, random_segments
from specimens.functions import CONTINUOUS, ORIGIN, drawer, draws, plane, same
from torch import Tensor


def segments(seed: int, n: int = 8) -> tuple[Tensor, Tensor]:
    """Every fourth seed passes the origin, closely."""
    generator = drawer(1000 + seed)
    return crossing(ORIGIN, n, 2, generator) if seed % 4 == 3 else random_segments(n, 2, generator)


def kinds(family: str, seeds: range) -> Counter[str]:
    return Counter(found.kind for seed in seeds for found in scan(CONTINUOUS[family](seed), *segments(seed)))


@pytest.mark.promptly(every=2)
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


@pytest.mark.promptly("k=3", "quantised 3", "cusp")
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


@pytest.mark.slow
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
