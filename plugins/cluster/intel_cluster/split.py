"""What must a cut offer, be it into sectors or cells, for the cluster mapping to use it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from typing_extensions import Self

from intel_cluster.displacement import Displacement
from intel_core.mappings.properties import Locus

__all__ = ["Split"]


class Split(nn.Module):
    """A bijection of ``R^width`` that cuts it into `k` clusters; its arguments are in float32 or float64.

    Attributes:
        width: number of dimensions.
        k: number of clusters.
        learnable: whether the proportions are learned.
        displacement: how far points are pushed.
        whole: the displacement at strength 1.
        device: where the constants are.
        ordered: whether the cells can lie in another order than the clusters are numbered, as sectors of a plane can.
    """

    width: int
    k: int
    ordered = False

    def __init__(self, displacement: Displacement, learnable: bool) -> None:
        super().__init__()
        self.displacement = self.whole = displacement
        self.learnable = learnable
        born = torch.empty(0).device
        self.device = torch.device("cpu") if born.type == "meta" else born  # constants have values
        self._placed: dict[torch.dtype, tuple[Tensor, ...]] = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Also move the constants, in both precisions, if the module moves to another device.

        The constants are no buffers, since ``.half()`` and ``.double()`` would round those.
        """
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.device = fn(torch.empty(0, device=self.device)).device
        self.place_constants()
        return self

    def set_strength(self, strength: float) -> None:
        """Multiply the displacement by `strength`, a plain number, so that the forward pass takes no longer."""
        self.displacement = replace(self.whole, c1=self.whole.c1 * strength)

    def constants(self) -> tuple[Tensor, ...]:
        """The tensors that are no parameters, in float64, on the CPU."""
        raise NotImplementedError

    def place_constants(self) -> None:
        """Put the constants on `device`, in both precisions."""
        # Made now rather than on first use, since tensors that are made in inference mode, in a transform of
        # torch.func or while compiling must not outlive it.
        exact = self.constants()
        for dtype in {torch.float32, finest(self.device)}:
            self._placed[dtype] = tuple(constant.to(self.device, dtype) for constant in exact)

    def constants_for(self, y: Tensor) -> tuple[Tensor, ...]:
        """The constants in the precision of `y`, and where it is."""
        placed = self._placed[y.dtype]
        if placed[0].device != y.device:  # a module without parameters may not have been moved
            return tuple(constant.to(y.device) for constant in placed)
        return placed

    def forward(self, y: Tensor, frozen: bool = False) -> Tensor:
        """``z = g(y)``, ``(..., width) -> (..., width)``; `frozen` keeps the proportions out of the gradient."""
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, ``(..., width) -> (..., width)``."""
        raise NotImplementedError

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log |det dg/dy|``, ``(..., width) -> (...)``."""
        raise NotImplementedError

    def assign(self, y: Tensor) -> Tensor:
        """Index of the cluster, ``(..., width) -> (...)``, in ``[0, k)`` even for NaN."""
        raise NotImplementedError

    def proportions(self) -> Tensor:
        """The prior's mass in each cluster, shape ``(k,)``."""
        raise NotImplementedError

    def log_proportions(self) -> Tensor:
        """Logarithms of `proportions`, finite however small those are."""
        raise NotImplementedError

    def set_proportions(self, shares: Tensor) -> None:
        """Make the shares of the prior these, shape ``(k,)``; nothing happens where they are fixed."""
        raise NotImplementedError

    def directions(self) -> Tensor:
        """The unit vector along the middle of each cell, ``(k, width)``, float64, on the CPU."""
        raise NotImplementedError

    def places(self) -> tuple[Locus, ...]:
        """The loci at which g is not smooth, in the cut's own dimensions."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"k={self.k}, learnable={self.learnable}, {self.displacement}"


def finest(device: torch.device) -> torch.dtype:
    """The most precise numbers that there are on a device."""
    return torch.float32 if device.type == "mps" else torch.float64


def as_parameter(value: list[float] | float) -> nn.Parameter:
    """A parameter of the default dtype."""
    return nn.Parameter(torch.tensor(value))
