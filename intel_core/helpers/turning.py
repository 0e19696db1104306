"""How is a mapping looked at whose cells lie in other directions than along the axes? Along its own axes."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from intel_core.helpers.own_prior import OwnPrior
from intel_core.helpers.parts_of_mapping import elements
from intel_core.helpers.shares import Turns
from intel_core.mappings.contract import Mapping

__all__ = ["OwnAxes", "own_axes"]


class OwnAxes(NamedTuple):
    """A mapping along its own axes, and how to get there.

    N(0, I) is the same along both.

    Attributes:
        mapping: the same clusters, along the first axes.
        axes: the orthonormal axes as rows, ``(y_dim, y_dim)``, float64; None if they are those of y.
    """

    mapping: Mapping
    axes: Tensor | None

    def into(self, y: Tensor) -> Tensor:
        """The coordinates of y along the mapping's own axes, ``(..., y_dim) -> (..., y_dim)``."""
        return y if self.axes is None else (y.cpu().double() @ self.axes.T).to(y)

    def back(self, y: Tensor) -> Tensor:
        """The y of such coordinates."""
        return y if self.axes is None else (y.cpu().double() @ self.axes).to(y)


@torch.no_grad()
def own_axes(mapping: Mapping, prior: OwnPrior | None = None) -> OwnAxes:
    """The mapping along the axes in which its clusters were cut, for pictures and whatever else looks at planes.

    Only a single mapping that `Turns`, on all dimensions or on some, has axes of its own, and only under N(0, I):
    another prior need not be the same along them. The mapping that is given is not changed.

    Args:
        mapping: g.
        prior: the run's own prior, if it is not N(0, I).

    >>> from intel_core import load_mapping
    >>> mapping = load_mapping("cluster:k=3", 2)
    >>> own_axes(mapping).axes is None
    True
    >>> mapping.turn_towards(torch.tensor([[0.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]))
    >>> y = torch.tensor([[0.3, 0.4]])
    >>> straight = own_axes(mapping)
    >>> torch.allclose(straight.back(straight.mapping(straight.into(y))), mapping(y))
    True
    """
    parts = elements(mapping)
    if prior is not None or len(parts) > 1 or not isinstance(parts[0].mapping, Turns):
        return OwnAxes(mapping, None)
    cut = parts[0].mapping.directions()
    if cut is None:
        return OwnAxes(mapping, None)
    cut = cut.detach().double().cpu()
    width = len(cut)
    # The other axes are as near as may be to those that they were.
    across = torch.linalg.qr(cut.T, mode="complete").Q[:, width:]
    left, _, right = torch.linalg.svd(across[width:], full_matrices=False)
    axes = torch.eye(mapping.y_dim, dtype=torch.float64)
    dims = list(parts[0].dims)
    axes[torch.tensor(dims).unsqueeze(1), torch.tensor(dims)] = torch.cat([cut, left @ right @ across.T])
    straight = copy.deepcopy(mapping)
    turned = elements(straight)[0].mapping
    assert isinstance(turned, Turns)
    turned.turn_back()
    return OwnAxes(straight, axes)
