"""A circle is laid around the origin before training begins, whatever the first weights are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intel_core import RunSpec, make_dataset
from intel_core.fitting.all_around import lay_around
from intel_core.fitting.beginning import begin_at_data
from intel_core.model.vae import InteLVAE
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec


def carried(angles: Tensor, seed: int, dims: int = 10) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.stack([angles.cos(), angles.sin()], 1) @ torch.randn(2, dims, generator=generator)
    return x / x.std(0)


def new(x: Tensor, **settings: Any) -> tuple[InteLVAE, InteLVAE]:
    """A new model, and the same before it was shown the data."""
    dataset = make_dataset("rows", x)
    spec: RunSpec = resolve(make_run_spec(data="circle", **settings), dataset)
    models = build_model(spec, dataset.x_shape), build_model(spec, dataset.x_shape)
    begin_at_data(models[0], dataset, spec.seed)
    return models


def winding(model: InteLVAE, x: Tensor) -> float:
    """How often the directions of the posterior means go around the origin while x goes around the circle once."""
    with torch.no_grad():
        mean = model.encode(x).mean
    angle = torch.atan2(mean[:, 1], mean[:, 0])
    turned = torch.diff(angle, append=angle[:1])
    return float(torch.remainder(turned + math.pi, 2 * math.pi).sub(math.pi).sum() / (2 * math.pi))


def test_a_new_encoder_goes_around_a_circle_once_with_every_seed() -> None:
    angles = torch.arange(1200) * (2 * math.pi / 1200)
    before = []
    for seed in range(20):
        x = carried(angles, seed)
        model, untouched = new(x, mapping="circle", seed=seed)
        assert abs(winding(model, x)) == pytest.approx(1, abs=1e-4)
        before.append(round(abs(winding(untouched, x))))
    assert 0 in before  # without it some seeds see the circle from one side


def test_each_circle_of_a_torus_begins_in_a_plane_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(4):
        angles = 2 * math.pi * torch.rand(1000, 2, generator=generator)
        x = torch.cat([angles.cos(), angles.sin()], 1) @ torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
        model, _ = new(x, mapping="torus", latent=4, seed=seed)
        with torch.no_grad():
            mean = model.encode(x).mean.unflatten(1, (2, 2))
        length = mean.norm(dim=2)
        assert float((length.std(0) / length.mean(0)).max()) < 0.35  # a Gaussian's is 0.52


def test_the_loops_of_an_eight_begin_beside_each_other() -> None:
    angles = torch.arange(1000) * (2 * math.pi / 1000)
    x = torch.stack([angles.cos(), angles.sin() * angles.cos()], 1)
    model, _ = new(x / x.std(0), mapping="holes:h=2")
    with torch.no_grad():
        c = nn.functional.normalize(model.encode(x / x.std(0)).mean, dim=1)[:, 0]
    assert abs(float(torch.corrcoef(torch.stack([x[:, 0].sign(), c.sign()]))[0, 1])) > 0.9


@pytest.mark.parametrize(("mapping", "latent"), [("circle", 2), ("sphere", 3), ("torus", 4), ("circle:dims=1-2", 4)])
def test_the_means_are_centred_and_round_in_the_blocks_alone(mapping: str, latent: int) -> None:
    x = torch.randn(1000, 6, generator=torch.Generator().manual_seed(0)) + 3
    model, untouched = new(x, mapping=mapping, latent=latent)
    dims = [1, 2] if "dims" in mapping else list(range(latent))
    with torch.no_grad():
        mean, before = model.encode(x), untouched.encode(x)
    log_variance, same = model.family.train()(model.encoder(x)), untouched.family.train()(untouched.encoder(x))  # type: ignore[union-attr]
    assert torch.equal(log_variance.log_variance, same.log_variance)
    rest = [d for d in range(latent) if d not in dims]
    assert torch.equal(mean.mean[:, rest], before.mean[:, rest])
    means = log_variance.mean[:, dims].detach()
    assert means.mean(0).abs().max() < 0.1
    assert (torch.cov(means.T) - torch.eye(len(dims))).abs().max() < 0.1


@pytest.mark.parametrize(
    "settings", [{"mapping": "circle", "kl": "y"}, {"mapping": "identity"}, {"mapping": "cluster:k=2"}]
)
def test_nothing_changes_where_y_keeps_its_length(settings: dict[str, Any]) -> None:
    model, untouched = new(carried(torch.linspace(0, 6, 300), 0), **settings)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), untouched.parameters(), strict=True))


class Tanh(nn.Module):
    """An encoder that ends with something else than its dense layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(10, features)

    def forward(self, x: Tensor) -> Tensor:
        """Values from -1 to 1."""
        out: Tensor = torch.tanh(self.dense(x))
        return out


@pytest.mark.parametrize(
    "encoder",
    [
        Tanh(4),
        nn.Linear(10, 4, bias=False),
        nn.Sequential(nn.Linear(10, 4), nn.ReLU()),
        nn.Sequential(nn.Linear(10, 5)),
    ],
)
def test_an_encoder_that_does_not_end_with_a_dense_layer_stays_as_it_is(encoder: nn.Module) -> None:
    x = carried(torch.linspace(0, 6, 300), 0)
    model, _ = new(x, mapping="circle")
    model.encoder = encoder
    before = [parameter.clone() for parameter in encoder.parameters()]
    assert not lay_around(model, x, [0, 1], 0)
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), before, strict=True))


@pytest.mark.parametrize("x", [torch.zeros(50, 10), torch.full((50, 10), math.nan), torch.ones(1, 10)])
def test_data_without_a_shape_change_nothing(x: Tensor) -> None:
    model, untouched = new(carried(torch.linspace(0, 6, 300), 0), mapping="circle")
    model.load_state_dict(untouched.state_dict())
    assert not lay_around(model, x, [0, 1], 0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), untouched.parameters(), strict=True))


def test_the_running_statistics_of_an_encoder_stay_as_they_were() -> None:
    x = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model, untouched = new(x, mapping="circle", latent=2, encoder="conv:channels=[4,8]", decoder="mlp:hidden=[8]")
    for name, buffer in untouched.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer)
    changed = [
        name for name, value in untouched.named_parameters() if not torch.equal(model.get_parameter(name), value)
    ]
    assert len(changed) == 2  # weights and bias of the last layer
