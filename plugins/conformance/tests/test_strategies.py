"""Can what hypothesis draws be used?"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from intel_conformance import strategies
from torch import Tensor

from intel_core import format_spec, parse_spec


@given(y=strategies.latents(3), posterior=strategies.gaussians(3))
def test_drawn_latents_and_posteriors(y: Tensor, posterior: Any) -> None:
    assert y.shape[1] == 3
    assert y.dtype == torch.float64
    assert torch.isfinite(y).all()
    assert float(posterior.mean_kl()) >= 0


@given(spec=strategies.specs(y_dim=4))
def test_drawn_specs_can_be_built_and_written(spec: Any) -> None:

    assert spec.build(4).y_dim == 4
    assert parse_spec("mappings", format_spec(spec)) == spec
