"""Does a step of training leave an accelerator alone? No value is asked for, and nothing is moved there or back.

Tried on the meta device, which holds no values: whoever asks for one gets an error. What a step needs of the CPU shows
as an operation on tensors of two devices.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from intel_core import hookimpl
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.building import build_model
from intel_core.replicates.replicate import Replicate
from intel_core.replicates.stacked_models import Stack
from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

VECTORS = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randint(0, 256, (200, 1, 9, 9), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
DENSE = {"data": VECTORS, "encoder": "mlp:hidden=[16]", "likelihood": "gaussian"}
CONV = {"data": IMAGES, "encoder": "conv:channels=[4,8]", "precision": "float32"}  # the meta device has no autocast
USUAL = {"batch_size": 20, "steps": 60, "log_every": 60, "latent": 4, "device": "cpu"}
LATER = {"schedules": {"kl": "linear:steps=50"}}
CASES: dict[str, dict[str, Any]] = {
    "vanilla": DENSE,
    "circle": {**DENSE, "mapping": "circle:eps=1e-2"},
    "sphere": {**DENSE, "mapping": "sphere:eps=1e-2"},
    "torus": {**DENSE, "mapping": "torus:eps=1e-2"},
    "holes": {**DENSE, "mapping": "holes:h=3,form=smooth", "latent": 2},
    # Its strength grows with the steps.
    "cluster": {**DENSE, "mapping": "cluster:k=3,learnable=false", "start": "none"},
    "learned proportions": {**DENSE, "mapping": "cluster:k=3,learnable=true", "start": "none"},
    "sparse": {**DENSE, "mapping": "sparse:gamma=30"},
    "sparse as in the paper": {**DENSE, "mapping": "sparse:gamma=30,normalisation=paper"},
    "hierarchy": {**DENSE, "mapping": "hierarchy:levels=2"},
    "composed": {**DENSE, "mapping": ["cluster:k=2,dims=0-1", "sparse:gamma=5"], "start": "none"},
    "a schedule": {**DENSE, **LATER, "clip_norm": 1.0},
    "iwae": {**DENSE, "mapping": "sparse:gamma=5", "objective": "iwae:particles=3"},
    "conv": {**CONV, "likelihood": "bernoulli"},
    "conv, Gaussian": {**CONV, "likelihood": "gaussian", "mapping": "cluster:k=3", "start": "none"},
}
EVERY = pytest.mark.parametrize("case", CASES)


class Watch(TorchDispatchMode):
    """Keeps the names of operations on tensors of two devices."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        given = [leaf for leaf in tree_leaves((arguments, named)) if isinstance(leaf, Tensor)]
        out = function(*arguments, **(named or {}))
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if len({tensor.device for tensor in (*given, *made)}) > 1:
            self.moved.append(str(function))
        return out


class CPUGenerator(torch.Generator):
    """The meta device has no generators, and takes the CPU's."""

    def __new__(cls, _: Any = None) -> CPUGenerator:
        return super().__new__(cls)


def trainer_of(case: str | dict[str, Any], kind: type[Trainer] = Trainer) -> Any:
    settings = {**USUAL, **(CASES[case] if isinstance(case, str) else case)}
    asked, given = read_arguments(None, settings.pop("data"), None, settings)
    spec, dataset = prepare(asked, None, given)
    model = build_model(spec, dataset.x_shape).to("meta")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "Generator", CPUGenerator)
        return make_trainer(spec, dataset, hook_manager(), model=model, kind=kind)


def watched(take: Any) -> Watch:
    """Steps 1 to 8 of an epoch of ten; before the first, the order of the epoch is moved there."""
    take(1)
    with Watch() as watch:
        take(8)
    return watch


@pytest.mark.promptly("learned proportions", "conv, Gaussian")
@EVERY
def test_a_step_asks_for_nothing_and_moves_nothing(case: str) -> None:
    trainer = trainer_of(case)
    watch = watched(trainer.advance)
    assert trainer.step == 8
    assert watch.moved == []


def test_nor_does_a_step_that_is_pulled_to_found_clusters() -> None:
    trainer = trainer_of({**DENSE, "mapping": "cluster:k=3", "start": "kmeans:after=0"})
    certain = torch.arange(len(trainer.dataset.train)) < 5
    found = {"cluster": certain.int(), "certain": certain, "weight": torch.ones(3, 4), "bias": torch.zeros(3)}
    trainer.objective._take(found)
    trainer.objective._per_certain = 2.0
    watch = watched(trainer.advance)
    assert trainer.step == 8
    assert watch.moved == []


@pytest.mark.promptly("vanilla", "learned proportions", "iwae")
@EVERY
def test_nor_does_a_step_of_a_stack(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Looks at the values of buffers, once for each stack.
    monkeypatch.setattr(Stack, "shared", lambda self, part: not any(t.requires_grad for t in self.under(part).values()))
    group = StackedRuns([trainer_of(case, Replicate) for _ in range(3)], hook_manager())
    watch = watched(group.advance)
    assert group.step == 8
    assert watch.moved == []


def test_a_wait_would_be_seen() -> None:
    trainer = trainer_of("vanilla")
    trainer.hooks.register(Curious())
    with pytest.raises(RuntimeError, match="item"):
        trainer.advance(1)


class Curious:
    """Looks at a weight after each step."""

    @hookimpl
    def step_end(self, trainer: Trainer) -> None:
        next(trainer.model.parameters()).sum().item()


def test_a_move_would_be_seen() -> None:
    trainer = trainer_of("vanilla")
    rows = torch.arange(20)
    trainer.draw = lambda: (VECTORS[rows].to("meta"), torch.zeros(1, 20, 4, device="meta"))
    assert len(watched(trainer.advance).moved) == 7
