"""Is the ceiling of the Hoyer score right, and are the core's scores still to be had here?"""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from intel_sparse import gaussian_floor, hoyer, hoyer_ceiling, hoyer_score

from intel_core.helpers import hoyer as scores


def test_the_scores_are_the_core_s():
    assert (gaussian_floor, hoyer, hoyer_score) == (scores.gaussian_floor, scores.hoyer, scores.hoyer_score)


@pytest.mark.parametrize(("dims", "floor"), [(2, 0.2), (5, 0.05), (7, 0.2), (7, 0.7)])
def test_ceiling_against_all_corners_of_the_box(dims, floor):
    y = np.abs(np.random.default_rng(5).standard_normal((4000, dims)))
    corners = np.array(list(itertools.product([floor, 1.0], repeat=dims)))
    gated = y[:, None, :] * corners
    scores = (math.sqrt(dims) - gated.sum(-1) / np.sqrt((gated**2).sum(-1))) / (math.sqrt(dims) - 1)
    best = scores.max(1)
    error = best.std() / math.sqrt(len(best))
    ceiling = hoyer_ceiling(dims, floor)
    assert best.mean() - 4 * error < ceiling < best.mean() + 6 * error
    # no corner is beaten from inside the box
    inside = y * np.random.default_rng(6).uniform(floor, 1, (50, *y.shape))
    scores = (math.sqrt(dims) - inside.sum(-1) / np.sqrt((inside**2).sum(-1))) / (math.sqrt(dims) - 1)
    assert (scores <= best + 1e-12).all()


def test_ceiling_at_the_ends():
    assert hoyer_ceiling(50, 0.0) == 1.0
    assert hoyer_ceiling(50, 1.0) == pytest.approx(gaussian_floor(50), abs=5e-3)
    assert hoyer_ceiling(50, 1.0) > gaussian_floor(50)
    ceilings = [hoyer_ceiling(50, floor) for floor in (0.0, 0.05, 0.2, 0.5, 0.9)]
    assert ceilings == sorted(ceilings, reverse=True)
    assert hoyer_ceiling(50, 0.2) == pytest.approx(0.622, abs=5e-3)


def test_ceiling_leaves_the_global_generator_alone_and_is_kept():
    hoyer_ceiling.cache_clear()
    before = torch.get_rng_state()
    first = hoyer_ceiling(60, 0.3)
    assert torch.equal(torch.get_rng_state(), before)
    hoyer_ceiling.cache_clear()
    with torch.device("meta"), torch.inference_mode():
        assert hoyer_ceiling(60, 0.3) == first
    start = time.perf_counter()
    for _ in range(1000):
        hoyer_ceiling(60, 0.3)
    assert time.perf_counter() - start < 0.1


def test_one_dimension_has_no_ceiling():
    with pytest.raises(ValueError, match="a Hoyer score needs at least 2 dimensions, not 1"):
        hoyer_ceiling(1, 0.2)
