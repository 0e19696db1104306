"""Do correct mappings pass, however steep they are?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_conformance import check_mapping
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


@EACH
def test_steep_mappings_pass(name: str) -> None:
    for seed in (0, 1):
        assert_sound(FAMILIES[name], seed, y_dim=2, skip=["thm1.inequality", "deploy.compile"])
    assert_sound(FAMILIES[name], 2, y_dim=5 if name in STEEP else 2, level="quick")


@pytest.mark.slow
@EACH
def test_steep_mappings_pass_over_many_seeds(name: str) -> None:
    for seed in range(200):
        assert_sound(FAMILIES[name], seed, y_dim=2, level="standard" if seed < 20 else "quick")


# --- ordinary mappings that a plugin's author might write ---------------------------------------------------------


class Plain:
    """No module: an object with two numbers and a call."""

    def __init__(self, y_dim: int) -> None:
        self.y_dim, self.z_dim = y_dim, 2 * y_dim

    def __call__(self, y: Tensor) -> Tensor:
        return torch.cat([y.sin(), y.cos()], -1)


class Residual(nn.Module):
    """A last layer of zeros, as is usual for residual blocks."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.net = nn.Sequential(nn.Linear(y_dim, 16), nn.ReLU(), nn.Linear(16, y_dim))
        nn.init.zeros_(self.net[2].weight)

    def forward(self, y: Tensor) -> Tensor:
        return y + self.net(y)


class Simplex(nn.Module):
    """Onto the probability simplex."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = y_dim, y_dim + 1

    def forward(self, y: Tensor) -> Tensor:
        return torch.softmax(torch.cat([y, torch.zeros_like(y[..., :1])], -1), -1)


class Normed(nn.Module):
    """Layer normalisation, which is over the last dimension and so allowed."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.norm = nn.LayerNorm(y_dim)

    def forward(self, y: Tensor) -> Tensor:
        return self.norm(y)


class Sorted(nn.Module):
    """Sorts each row: continuous with kinks everywhere, constant volume."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return y.sort(-1).values


class Rotation(nn.Module):
    """A learned rotation by the matrix exponential."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.generator = nn.Parameter(torch.randn(y_dim, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y @ torch.linalg.matrix_exp(self.generator - self.generator.T)


class Moebius(nn.Module):
    """A band with a half twist: the plane's direction goes round it, squared, and the radius across."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = 2, 3

    def forward(self, y: Tensor) -> Tensor:
        a, b = y[..., 0], y[..., 1]
        r = torch.sqrt(a * a + b * b + 1e-6)
        c, s = a / r, b / r
        double = torch.stack([c * c - s * s, 2 * c * s], -1)
        across = 0.3 * torch.tanh(r)
        ring = (1 + across * c).unsqueeze(-1) * double
        return torch.cat([ring, (across * s).unsqueeze(-1)], -1)


AUTHORS = {"plain": Plain, "residual": Residual, "simplex": Simplex, "normed": Normed, "sorted": Sorted}
AUTHORS |= {"rotation": Rotation, "moebius": Moebius}


@pytest.mark.parametrize("name", AUTHORS)
@pytest.mark.parametrize("y_dim", [2, 6])
def test_ordinary_mappings_pass(name: str, y_dim: int) -> None:
    if name == "moebius" and y_dim != 2:
        return
    assert_sound(AUTHORS[name], 0, y_dim=y_dim, skip=["thm1.inequality"])
    assert_sound(AUTHORS[name](y_dim), 1, level="quick")


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
