"""What does a step through it cost, beside the networks around it? The check belongs to the group ``deploy``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported, first_line
from intel_core.components.spec import parse_spec

_ROWS = 256
_WIDTH = 32
"""Of the examples of the default networks that it is compared with."""
_TIMES = 10


class Cost(NamedTuple):
    """Of one step forward and backward.

    Attributes:
        operations: how many operations of torch are called; with few latent dimensions that is the time.
        kept: bytes for each row that are kept for the way back.
    """

    operations: int
    kept: float


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations."""

    count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


@check("deploy.cost", "contract: a part of a model, beside whose networks it takes little", level="standard")
def cost(candidate: Candidate) -> None:
    """A step takes no more than ten times as many operations, and as much memory per row, as the default networks."""
    if str(candidate.device) != "cpu":
        raise NotApplicable("tried on the CPU only")
    try:
        found = cost_of(candidate.mapping(torch.float32), candidate.draw("cost", _ROWS).float())
    except Exception as error:
        cause = f"raised {type(error).__name__}: {first_line(error)}"
        raise Broken(f"a step {cause}", cause=cause) from error
    spec: Any = parse_spec("networks", "mlp")
    with torch.random.fork_rng(devices=[]):
        encoder, decoder = (
            spec.build_encoder((_WIDTH,), candidate.z_dim),
            spec.build_decoder(candidate.z_dim, (_WIDTH,)),
        )
    beside = cost_of(lambda x: decoder(encoder(x)), torch.ones(_ROWS, _WIDTH))
    told = f"those of the default networks ({spec}), encoder and decoder together"
    if found.operations > _TIMES * beside.operations:
        raise Unsupported(
            f"a step takes {found.operations:,} operations of torch, {found.operations / beside.operations:.0f} times "
            f"{told}",
            likely="a loop over dimensions, rows or iterations",
            operations=found.operations,
        )
    if found.kept > _TIMES * beside.kept:
        raise Unsupported(
            f"a step keeps {found.kept / 1024:,.0f} KiB for each row, {found.kept / beside.kept:.0f} times {told}",
            likely="a tensor of all pairs, or many intermediate results; torch.utils.checkpoint computes them again",
            kept=found.kept,
        )


def cost_of(g: Callable[[Tensor], Tensor], y: Tensor) -> Cost:
    """What a step through a function costs for some rows.

    >>> cost_of(torch.tanh, torch.ones(8, 2)).kept  # the 16 results of tanh
    8.0
    """
    kept: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    y = y.clone().requires_grad_()
    counted = _Counted()  # type: ignore[no-untyped-call]
    with counted, torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        z = g(y)
        if z.requires_grad:
            torch.autograd.backward(z.sum())
    return Cost(counted.count, sum(kept.values()) / len(y))
