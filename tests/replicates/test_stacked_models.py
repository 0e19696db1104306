"""Does a stack follow its models, and is what it cannot follow found out before the first step?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intel_core import MappingSpec, fit_replicates, register
from intel_core.model.contract import ObjectiveSpec
from intel_core.model.objectives import Terms
from intel_core.networks.layers import ConvEncoder
from intel_core.reading.arrays import make_dataset
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.replicates.stacked_models import Stack, disagreement, ways

X = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))


def test_released_tensors_lie_in_memory_as_they_did() -> None:
    """Kernels are chosen by it, and another kernel rounds otherwise."""
    models = [ConvEncoder((1, 8, 8), (4, 8), 6) for _ in range(2)]
    before = [[tensor.stride() for tensor in model.state_dict().values()] for model in models]
    weights = [[tensor.clone() for tensor in model.state_dict().values()] for model in models]
    Stack(models).release()
    for model, strides, values in zip(models, before, weights, strict=True):
        after = list(model.state_dict().values())
        assert [tensor.stride() for tensor in after] == strides
        assert all(torch.equal(a, b) for a, b in zip(after, values, strict=True))
        assert all(tensor._base is None for tensor in model.parameters())


def test_models_are_views_until_they_are_released() -> None:
    models = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(4)]
    before = [model[0].weight.detach().clone() for model in models]
    stack = Stack(models)
    assert torch.equal(stack.tensors["0.weight"], torch.stack(before))
    stack.tensors["1.running_mean"][2] = 5.0
    assert models[2][1].running_mean.tolist() == [5.0] * 3
    models[3].load_state_dict(models[2].state_dict())
    assert torch.equal(stack.tensors["0.weight"][3], before[2])
    stack.release()
    stack.tensors["1.running_mean"][2] = 7.0
    assert models[2][1].running_mean.tolist() == [5.0] * 3


def test_a_tensor_with_two_names_is_one() -> None:
    def tied() -> nn.Module:
        first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        second.weight = first.weight
        return nn.Sequential(first, second)

    stack = Stack([tied(), tied()])
    assert stack.tensors["0.weight"] is stack.tensors["1.weight"]
    assert len(stack.parameters) == 3


class Looks(nn.Module):
    """Decides by a value, which no stack can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.y_dim = self.z_dim = 2
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.scale if float(self.scale.detach()) > 0 else y


class Counts(nn.Module):
    """Breaks the contract: the rows beside it change what becomes of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.y_dim = self.z_dim = 2

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y - y.flatten(0, -2).mean(0)


def settings(mapping: Any) -> dict[str, Any]:
    small = {"latent": 2, "steps": 6, "encoder": "mlp:hidden=[4]", "device": "cpu", "batch_size": 16}
    small |= {"schedules": {"kl": "constant"}}  # a gradient that is zero but for rounding would be no test
    return {"mapping": mapping, "data": X, **small}


class FreeBits:
    """Kingma et al. 2016; written for one model, whose KL of each dimension is a mean over all rows there are."""

    particles = 1

    def __call__(self, model: Any, x: torch.Tensor, noise: torch.Tensor, weights: Any) -> Terms:
        posterior = model.encode(x)
        z, losses = model.map(posterior.rsample(noise[0]))
        log_likelihood = model.likelihood.mean_log_prob(model.decode(z), x)
        free = posterior.kl().mean(0).clamp_min(0.05).sum()
        return Terms(
            weights.get("kl", 1.0) * free - log_likelihood, log_likelihood, posterior.mean_kl(), losses, posterior
        )


class FreeBitsSpec(ObjectiveSpec):
    """See `FreeBits`."""

    def build(self) -> Any:
        return FreeBits()


class Late(nn.Module):
    """A mapping that breaks the contract, but not before it acts with some strength."""

    def __init__(self) -> None:
        super().__init__()
        self.y_dim = self.z_dim = 2
        self.register_buffer("strength", torch.zeros(()))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y - self.strength * y.flatten(0, -2).mean(0)

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)


@pytest.mark.parametrize("case", ["an objective under a warm-up", "a mapping that grows"])
def test_what_shows_after_the_first_step_only_is_found_out_before_it(case: str, tmp_path: Path) -> None:
    class LateSpec(MappingSpec):
        def build(self, y_dim: int) -> Any:
            return Late()

    register("mappings", "late", LateSpec)
    register("objectives", "free_bits", FreeBitsSpec)
    growing = "linear:steps=20"
    cases = {
        "an objective under a warm-up": {"objective": "free_bits", "schedules": {"kl": growing}},
        "a mapping that grows": {"mapping": "late", "schedules": {"strength": growing}},
    }
    whole = settings("identity") | {"steps": 40} | cases[case]
    group = fit_replicates(2, **whole, run_dir=tmp_path / "group")
    one = fit_replicates(2, **whole, run_dir=tmp_path / "one", stack=False)
    for ours, theirs in zip(group.runs, one.runs, strict=True):
        for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(("module", "stacked"), [(Looks, False), (Counts, True)])
def test_what_a_stack_cannot_follow_is_found_out(module: type[nn.Module], stacked: bool, tmp_path: Any) -> None:
    """The first is trained one after another, the second by another way than at once, and both are their own runs."""

    class OddSpec(MappingSpec):
        def build(self, y_dim: int) -> Any:
            return module()

    register("mappings", "odd", OddSpec)
    group = fit_replicates(2, **settings("odd"), run_dir=tmp_path / "group")
    assert group.summary["stacked"] is stacked
    one = fit_replicates(2, **settings("odd"), run_dir=tmp_path / "one", stack=False)
    for ours, theirs in zip(group.runs, one.runs, strict=True):
        for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


# --- what the comparison before the first step sees ---------------------------------------------------------------


def made(r: int, shape: tuple[int, ...] = (3,)) -> tuple[Stack, Any, torch.Tensor, torch.Tensor]:
    dataset = make_dataset("x", X)
    spec = resolve(make_run_spec(**BASIC, data="memory:examples=1,shape=[1]"), dataset)
    models = [build_model(spec.model_copy(update={"seed": seed}), dataset.x_shape).train() for seed in range(r)]
    for model in models:
        model.encoder.append(nn.BatchNorm1d(4))
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(r, 16, 3, generator=generator), torch.randn(r, 1, 16, 2, generator=generator)
    return Stack(models), spec.objective.build(), x, noise


BASIC = {"mapping": "identity", "latent": 2, "encoder": "mlp:hidden=[4]", "device": "cpu", "likelihood": "gaussian"}


def test_what_is_the_same_agrees() -> None:
    stack, objective, x, noise = made(3)
    for way in ways(stack, objective):
        assert disagreement(stack, objective, way, x, noise, {}) == ""


@pytest.mark.parametrize("model", [0, 2])
@pytest.mark.parametrize(
    ("what", "said"), [("loss", "terms differ"), ("gradient", "gradients differ"), ("buffer", "buffers differ")]
)
def test_a_difference_of_a_hundredth_in_the_first_or_the_last_model_is_seen(what: str, said: str, model: int) -> None:
    stack, objective, x, noise = made(3)
    plain = ways(stack, objective)[0]
    more = torch.zeros(3).index_fill(0, torch.tensor(model), 0.01)

    def other(x: torch.Tensor, noise: torch.Tensor, weights: Any) -> Terms:
        terms = plain(x, noise, weights)
        if what == "buffer":
            (mean,) = (tensor for name, tensor in stack.tensors.items() if name.endswith("running_mean"))
            mean.data.mul_(1 + more[:, None])
            return terms
        added = more * terms.loss.detach() if what == "loss" else more * (terms.loss - terms.loss.detach())
        return terms._replace(loss=terms.loss + added)

    assert said in disagreement(stack, objective, other, x, noise, {})
