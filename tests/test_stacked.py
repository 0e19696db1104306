"""Does a stack follow its models, and is what it cannot follow found out before the first step?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from intel_core import MappingSpec, fit_replicates, register
from intel_core.networks import ConvEncoder
from intel_core.stacked import Stack

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
