"""The memory of a model is known before any of it is taken."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from intel_core import EnvironmentProblem
from intel_core.recipe.building import build_model
from intel_core.recipe.runspec import make_run_spec
from intel_core.recipe.size import require_room, weight_bytes

BASE: dict[str, Any] = {"data": "memory:examples=4,shape=[2]", "likelihood": "gaussian", "latent": 3}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ([6], {"encoder": "mlp:hidden=[30,20]", "decoder": "linear"}),
        ([6], {"encoder": "linear", "decoder": "linear", "mapping": "hierarchy:levels=2", "latent": 4}),
        ([1, 28, 28], {"encoder": "conv", "decoder": "conv"}),
    ],
)
def test_every_weight_is_counted(shape: list[int], settings: dict[str, Any]) -> None:
    spec = make_run_spec(**(BASE | settings))
    before = torch.random.get_rng_state()
    count = sum(parameter.numel() for parameter in build_model(spec, shape).parameters())
    assert weight_bytes(spec, shape) == 4 * (count + math.prod(shape))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("shape", "encoder"),
    [([10**12], "linear"), ([2**62] * 8, "conv"), ([2], "mlp:hidden=[1000000000,1000000000]"), ([10**30], "linear")],
)
def test_what_no_memory_holds_is_refused(shape: list[int], encoder: str) -> None:
    spec = make_run_spec(**BASE, encoder=encoder, decoder="linear")
    with pytest.raises(EnvironmentProblem, match=r"it would take about .* GiB of memory, cpu has"):
        require_room("it", spec, shape, torch.device("cpu"))
