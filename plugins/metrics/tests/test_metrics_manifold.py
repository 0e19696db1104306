"""Are places covered and errors binomial, and is it the data set that says where its manifold is?"""

import math

import pytest
import torch
from intel_metrics.manifold import binomial_error, covered


def test_covered_against_a_naive_loop():
    generator = torch.Generator().manual_seed(0)
    places, samples = torch.randn(40, 2, generator=generator), torch.randn(25, 2, generator=generator)
    expected = [any(math.dist(p, s) < 0.4 for s in samples.tolist()) for p in places.tolist()]
    assert covered(places, samples, 0.4).tolist() == expected
    assert 0 < sum(expected) < 40


def test_error_of_a_share_against_simulation():
    draws = torch.binomial(
        torch.full((20_000,), 50.0), torch.full((20_000,), 0.2), generator=torch.Generator().manual_seed(0)
    )
    assert binomial_error(0.2, 50) == pytest.approx(float((draws / 50).std()), rel=0.03)
    assert binomial_error(0.0, 50) == pytest.approx(binomial_error(1.0, 50))
    assert binomial_error(0.0, 50) > 0
