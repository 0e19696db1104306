"""Are limits at a centre told from their absence?"""

from __future__ import annotations

import pytest
import torch
from intel_conformance.continuity.centres import scan_around
from specimens.functions import FAILS, HOLDS, ORIGIN, drawer

from intel_core.mappings.properties import Locus


@pytest.mark.parametrize("name", HOLDS)
def test_the_scan_around_a_centre_accepts(name):
    g, kind = HOLDS[name]
    for seed in range(20):
        assert scan_around(g, ORIGIN, 2, drawer(seed)).kind == kind


@pytest.mark.parametrize("name", FAILS)
def test_the_scan_around_a_centre_rejects(name):
    for seed in range(20):
        found = scan_around(FAILS[name], ORIGIN, 2, drawer(seed))
        assert found.kind in ("jump", "not finite")
        assert (found.where.abs() <= 1).all()


@pytest.mark.parametrize("at", [0.0, 0.7, -3.0])
def test_the_scan_around_a_centre_at_a_centre_in_some_dimensions_away_from_0(at):
    place = Locus((0, 2), (at, 2 * at))

    def shifted(g):
        return lambda y: torch.cat([g(torch.stack([y[:, 0] - at, y[:, 2] - 2 * at], -1)), y[:, 1:2] ** 2], -1)

    for seed in range(5):
        for g, _ in HOLDS.values():
            assert scan_around(shifted(g), place, 3, drawer(seed)).kind in ("continuous", "steep")
        for name, g in FAILS.items():
            assert scan_around(shifted(g), place, 3, drawer(seed)).kind in ("jump", "not finite"), name


def test_a_centre_in_another_space_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie in 2"):
        scan_around(lambda y: y, Locus((2,), (0.0,)), 2, drawer(0))
