"""Do correct mappings pass, however steep they are?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_conformance import check_mapping
from specimens.sound import ORDINARY, UNUSUAL
from specimens.steep import STEEP
from torch import Tensor, nn

FAMILIES: dict[str, Any] = {
    **STEEP,
    "10 cells of a simplex": "cluster:k=10,learnable=false",
    "30 sectors": "cluster:k=30,preset=paper",
    "30 sectors, smooth": "cluster:k=30,preset=paper,form=smooth,eps=1e-9",
    "circle, eps 1e-12": "circle:eps=1e-12",
    "two holes": "holes:h=2",
}
EACH = pytest.mark.parametrize("name", FAMILIES)


def assert_sound(what: Any, seed: int, **settings: Any) -> None:
    report = check_mapping(what, seed=seed, **settings)
    assert not [str(result) for result in report.results if result.bad]
    assert report.ok


@pytest.mark.promptly("y + 5 d^0.2 r", "tanh(1e6 y)")
@pytest.mark.parametrize("name", FAMILIES)
def test_steep_mappings_pass(name: str) -> None:
    assert_sound(FAMILIES[name], 0, y_dim=2, skip=["thm1.inequality", "deploy.compile", "variants"])
    assert_sound(FAMILIES[name], 1, y_dim=5 if name in STEEP else 2, level="quick")


@pytest.mark.slow
@EACH
def test_steep_mappings_pass_over_many_seeds(name: str) -> None:
    for seed in range(200):
        assert_sound(FAMILIES[name], seed, y_dim=2, level="standard" if seed < 20 else "quick")


@pytest.mark.promptly("Projected", "Parted", "Waves")
@pytest.mark.parametrize("unusual", UNUSUAL, ids=lambda one: one.__name__)
def test_unusual_mappings_pass(unusual: Any) -> None:
    assert_sound(unusual, 0, y_dim=3, skip=["thm1.inequality", "deploy.compile", "io.device"])


@pytest.mark.slow
@pytest.mark.parametrize("unusual", UNUSUAL, ids=lambda one: one.__name__)
def test_unusual_mappings_pass_in_several_dimensions(unusual: Any) -> None:
    for seed in range(3):
        assert_sound(unusual, seed, y_dim=2 + seed, skip=["thm1.inequality", "deploy.compile", "io.device"])


@pytest.mark.promptly("2-plain", "2-residual")
@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("y_dim", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_ordinary_mappings_pass(name: str, y_dim: int) -> None:
    if name == "moebius" and y_dim != 2:
        return
    assert_sound(ORDINARY[name], 0, y_dim=y_dim, skip=["thm1.inequality"])
    assert_sound(ORDINARY[name](y_dim), 1, level="quick")


@pytest.mark.slow
def test_what_declares_that_it_is_not_continuous_is_not_asked_to_be() -> None:
    from intel_core import Properties

    class Quantised(nn.Module):
        y_dim = z_dim = 2
        properties = Properties(continuous=False)

        def forward(self, y: Tensor) -> Tensor:
            return y + torch.floor(y)

    report = check_mapping(Quantised(), skip=["thm1.inequality"])
    assert report.ok
    assert {r.status for r in report.results if r.id.startswith("cont.")} == {"not_applicable"}
