"""Is a parameter that gets no gradient named, once, and no other?"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intel_core import MappingSpec, fit, register
from intel_core.components import discovery


class Partly(nn.Module):
    """Three parameters: one is learned, one is detached, one is thrown away after each backward pass."""

    def __init__(self, y_dim: int, fault: str) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.fault = fault
        self.scale = nn.Parameter(torch.zeros(y_dim))
        if fault:
            self.shift = nn.Parameter(torch.ones(y_dim))
        if fault == "zeroed":
            self.shift.register_post_accumulate_grad_hook(_forget)

    def forward(self, y: Tensor) -> Tensor:
        z = y * self.scale.exp()
        if self.fault:
            z = z + (self.shift.detach() if self.fault == "detached" else self.shift)
        return z


def _forget(parameter: Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad.zero_()


class PartlySpec(MappingSpec):
    """Learns only a part of itself."""

    fault: str = ""

    def build(self, y_dim: int) -> Any:
        return Partly(y_dim, self.fault)


@pytest.fixture(autouse=True)
def _registered() -> Any:
    register("mappings", "partly", PartlySpec)
    yield
    discovery.registered.pop(("mappings", "partly"), None)


def told(folder: Path, mapping: str, **settings: Any) -> list[str]:
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    usual: dict[str, Any] = {"encoder": "mlp:hidden=[4]", "decoder": "mlp:hidden=[4]", "steps": 6, "log_every": 1}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit(mapping=mapping, latent=2, data=x, run_dir=folder, **{**usual, **settings})
    return [str(one.message) for one in seen if "no gradient" in str(one.message)]


@pytest.mark.parametrize("fault", ["detached", "zeroed"])
def test_a_parameter_without_a_gradient_is_named_once(tmp_path: Path, fault: str) -> None:
    (one,) = told(tmp_path / "run", f"partly:fault={fault}")
    assert one.startswith("mapping.shift: no gradient in 5 steps up to step ")
    assert "\n" not in one


def test_hand_written_gradients_count_too(tmp_path: Path) -> None:
    """Those of dense networks are not autograd's; each of these runs has them, and a mapping that is learned whole."""
    assert told(tmp_path / "run", "partly") == []
    assert told(tmp_path / "identity", "identity") == []


def test_one_look_tells_of_no_gradient_and_not_of_one_that_is_zero(tmp_path: Path) -> None:
    (one,) = told(tmp_path / "detached", "partly:fault=detached", log_every=50)
    assert one.startswith("mapping.shift: no gradient in any step up to 6, so nothing was trained there")
    assert told(tmp_path / "zeroed", "partly:fault=zeroed", log_every=50) == []


def test_a_weight_of_zero_holds_parameters_back_and_is_no_fault(tmp_path: Path) -> None:
    held = told(tmp_path / "held", "cluster:k=2,learnable=true", steps=40, log_every=2)
    assert held == []
    assert told(tmp_path / "off", "partly:fault=detached", schedule={"kl": "constant:value=0"}) == []
