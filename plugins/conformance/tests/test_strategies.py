"""Can what hypothesis draws be used?"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import find, given, settings
from intel_conformance import strategies
from torch import Tensor

from intel_core import Locus, Properties, format_spec, parse_spec


@given(y=strategies.latents(3), posterior=strategies.gaussians(3))
def test_drawn_latents_and_posteriors(y: Tensor, posterior: Any) -> None:
    assert y.shape[1] == 3
    assert y.dtype == torch.float64
    assert torch.isfinite(y).all()
    assert float(posterior.mean_kl()) >= 0


@settings(max_examples=40)
@given(spec=strategies.specs(y_dim=4))
def test_drawn_specs_can_be_built_and_written(spec: Any) -> None:
    assert spec.build(4).y_dim == 4
    assert parse_spec("mappings", format_spec(spec)) == spec


@given(strategies.segments(3, Properties(seams=(Locus((1,), (0.5,)),))))
def test_segments_are_numbers_and_some_cross_declared_places(segment: strategies.Segment) -> None:
    assert len(segment.start) == len(segment.end) == 3
    assert segment.start != segment.end
    if segment.across != "anything":
        assert min(segment.start[1], segment.end[1]) <= 0.5 <= max(segment.start[1], segment.end[1]) + 1e-12


def test_a_point_shrinks_to_numbers_that_can_be_read() -> None:
    found = find(strategies.points(2), lambda y: y[0] > 1.3)
    assert found == (1.31, 0.0)
