"""Which functions of the plane are continuous, however steep, and which fail at the origin?

Each of `CONTINUOUS` is made from a seed, since some have random parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from intel_core import load_mapping
from intel_core.mappings.properties import Locus

ORIGIN = Locus((0, 1), (0.0, 0.0))
Function = Callable[[Tensor], Tensor]


def drawer(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def plane(generator: torch.Generator, d: int = 2) -> tuple[Tensor, float]:
    """Unit normal and distance from 0 of a random hyperplane."""
    normal = draws(d, generator=generator)
    return normal / normal.norm(), float(torch.rand((), generator=generator)) - 0.2


def cusp(exponent: float, through_origin: bool = False):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        offset = 0.0 if through_origin else offset
        return lambda y: y + 5 * (y @ normal - offset).abs().unsqueeze(-1) ** exponent * normal

    return make


def quantised_sectors(k: int):
    """The distance to the seam from an angle, which knows it to 4 EPS only."""

    def g(y: Tensor) -> Tensor:
        angle, width = torch.remainder(torch.atan2(y[:, 1], y[:, 0]), 2 * math.pi), 2 * math.pi / k
        sector = torch.floor(angle / width)
        inside = angle - sector * width
        away = torch.minimum(inside, width - inside).clamp(0, math.pi / 2)
        middle = (sector + 0.5) * width
        push = 5 * (y.norm(dim=-1) * torch.sin(away)) ** 0.2
        return y + push.unsqueeze(-1) * torch.stack([torch.cos(middle), torch.sin(middle)], -1)

    return lambda seed: g


def flow(seed: int):
    generator = drawer(seed)
    blocks = [
        (draws(16, generator=generator), draws(16, generator=generator), draws(16, 2, generator=generator) / 4)
        for _ in range(6)
    ]

    def g(y: Tensor) -> Tensor:
        for i, (weight, bias, out) in enumerate(blocks):
            kept, moved = y[:, i % 2, None], y[:, 1 - i % 2, None]
            push = torch.tanh(kept * weight + bias) @ out
            moved = moved * torch.exp(2 * torch.tanh(push[:, :1])) + push[:, 1:]
            y = torch.cat([kept, moved] if i % 2 == 0 else [moved, kept], -1)
        return y

    return g


def relu_net(seed: int):
    generator = drawer(seed)
    one, two, three = (
        draws(2, 32, generator=generator),
        draws(32, 32, generator=generator) / 4,
        draws(32, 2, generator=generator),
    )
    return lambda y: torch.relu(torch.relu(y @ one + 0.3) @ two - 0.1) @ three


def steep_step(slope: float):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        return lambda y: torch.cat([torch.tanh(slope * (y @ normal - offset)).unsqueeze(-1), y[:, :1]], -1)

    return make


def clamped(slope: float):
    def make(seed: int):
        normal, offset = plane(drawer(seed))
        return lambda y: y + torch.clamp(slope * (y @ normal - offset), -1, 1).unsqueeze(-1)

    return make


def same(g):
    return lambda seed: g


def mapping(text: str):
    return lambda seed: load_mapping(text, 2)


CONTINUOUS = {
    "identity": same(lambda y: y),
    "constant": same(lambda y: 0 * y),
    "cusp 0.5": cusp(0.5),
    "cusp 0.2": cusp(0.2),
    "cusp 0.2 through 0": cusp(0.2, through_origin=True),
    "cusp 0.1": cusp(0.1),
    "coordinates to 0.1": same(lambda y: y.abs() ** 0.1),
    "k=2": mapping("cluster:preset=paper,k=2"),
    "k=3": mapping("cluster:preset=paper,k=3"),
    "k=7": mapping("cluster:preset=paper,k=7"),
    "k=30": mapping("cluster:preset=paper,k=30"),
    "k=30, exact": mapping("cluster:preset=paper,k=30,eps=1e-12"),
    "k=7, smooth": mapping("cluster:preset=paper,k=7,form=smooth,eps=1e-12"),
    "quantised 2": quantised_sectors(2),
    "quantised 3": quantised_sectors(3),
    "quantised 7": quantised_sectors(7),
    "quantised 30": quantised_sectors(30),
    "circle": mapping("circle"),
    "circle 1e-12": mapping("circle:eps=1e-12"),
    "holes": mapping("holes"),
    "tanh 1e6": same(lambda y: torch.tanh(1e6 * y)),
    "tanh 1e8": same(lambda y: torch.tanh(1e8 * y)),
    "step 1e6": steep_step(1e6),
    "step 1e8": steep_step(1e8),
    "step 1e10": steep_step(1e10),
    "step 1e12": steep_step(1e12),
    "clamp 1e4": clamped(1e4),
    "clamp 1e6": clamped(1e6),
    "clamp 1e7": clamped(1e7),
    "clamp 1e10": clamped(1e10),
    "flow": flow,
    "ReLU net": relu_net,
    "sin 1e3": same(lambda y: torch.sin(1e3 * y)),
    "sin 1e6": same(lambda y: torch.sin(1e6 * y)),
    "sin 1e9": same(lambda y: torch.sin(1e9 * y)),
    "cube": same(lambda y: y**3),
    "scales": same(lambda y: torch.stack([1e6 * y[:, 0], y[:, 1]], -1)),
    "scales, cusp": same(lambda y: torch.stack([1e6 * y[:, 0], y[:, 1].abs() ** 0.2], -1)),
    "hinges": same(lambda y: 100 * torch.relu(y - 0.3) + 1e4 * torch.relu(0.1 - y)),
    "exp": same(torch.exp),
    "tiny": same(lambda y: 1e-6 * y),
    "inner rounding": same(lambda y: y + 5 * ((y + 1e3) - 1e3 - 0.37).abs() ** 0.2),
    "rounding alone": same(lambda y: torch.stack([y.norm(dim=-1) ** 2 - (y * y).sum(-1), y[:, 0]], -1)),
}

HOLDS = {
    "circle 1e-7": (lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-7), "continuous"),
    "circle 1e-12": (lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-12), "continuous"),
    "smooth 1e-12": (lambda y: y / (y.square().sum(-1, keepdim=True) + 1e-24).sqrt(), "continuous"),
    "cusp": (lambda y: y + 5 * y.sign() * y.abs() ** 0.2, "continuous"),
    "identity": (lambda y: y, "continuous"),
    "k=3": (load_mapping("cluster:preset=paper,k=3", 2), "continuous"),
    "k=7": (load_mapping("cluster:preset=paper,k=7,eps=1e-12", 2), "continuous"),
    "circle": (load_mapping("circle:eps=1e-12", 2), "continuous"),
}
FAILS = {
    "direction": lambda y: y / y.norm(dim=-1, keepdim=True),
    "direction, safe": lambda y: torch.where(
        (y == 0).all(-1, keepdim=True), 0.0, y / y.abs().amax(-1, keepdim=True).clamp(min=1e-320)
    ),
    "acos": lambda y: torch.acos(-y[:, :1] / y.norm(dim=-1, keepdim=True)),
    "angle": lambda y: torch.atan2(y[:, 1:], y[:, :1]),
    "half angle": lambda y: torch.cos(torch.atan2(y[:, 1:], y[:, :1]) * 2),
    "NaN": lambda y: torch.where((y == 0).all(-1, keepdim=True), math.nan, y),
    "another value": lambda y: torch.where((y == 0).all(-1, keepdim=True), 1.0, y),
    "one coordinate": lambda y: torch.cat([1e3 * y, 1e-2 * torch.atan2(y[:, 1:], y[:, :1])], -1),
}
