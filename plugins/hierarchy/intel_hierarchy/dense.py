"""Which hierarchy is the paper's? Each level a dense network of the level above and its own block of y."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.mappings.properties import Hoelder, Properties
from intel_hierarchy.mapping import HierarchyMapping
from intel_hierarchy.network import Network, spectral_norm

__all__ = ["DenseHierarchy"]

ROUNDING = 1 + 1e-9
"""What the rounding of singular values in float64 cannot exceed, so that the bound stays one."""


class DenseHierarchy(HierarchyMapping):
    r"""Levels by dense networks.

    .. math:: z_0 = y_0, \qquad z_i = NN_i([z_{i-1}, y_i])

    Without hidden layers and with ReLU, :math:`z_i = \max(0, W_i [z_{i-1}, y_i] + b_i)`, it is the authors' mapping:
    all levels but the top are at least 0, and about half of their entries exactly 0. Many y have one z, so that
    Theorem 1 of the paper is an inequality.

    Source: Miao et al., appendix B.

    Args:
        sizes: number of dimensions of each level, from the top.
        hidden: widths of the hidden layers of each network.
        activation: after each layer, the last included; a name in `intel_hierarchy.network.ACTIVATIONS`.

    >>> mapping = DenseHierarchy((2, 2), (), "relu")
    >>> z = mapping(torch.randn(100, 4))
    >>> bool((z[:, 2:] >= 0).all())
    True
    """

    def __init__(self, sizes: Sequence[int], hidden: Sequence[int] = (), activation: str = "relu") -> None:
        pairs = itertools.pairwise(sizes)
        super().__init__(sizes, [Network((a + b, *hidden, b), activation, last=True) for a, b in pairs])

    def level(self, network: Network, above: Tensor, own: Tensor) -> Tensor:
        """``NN_i([z_{i-1}, y_i])``."""
        found: Tensor = network(torch.cat([above, own], dim=-1))
        return found

    @property
    def properties(self) -> Properties:
        r"""Continuous, and Lipschitz with a constant of the present weights.

        With :math:`a_i` and :math:`b_i` the steepness of network i in the level above and in its own block,
        :math:`\|\Delta z_i\| \le a_i \|\Delta z_{i-1}\| + b_i \|\Delta y_i\|`. So the vector of the levels' changes
        is at most :math:`T (\|\Delta y_0\|, \dots, \|\Delta y_{L-1}\|)^\top`, with T lower triangular,
        :math:`T_{ij} = a_i a_{i-1} \cdots a_{j+1} b_j` and :math:`b_0 = 1`, and
        :math:`\|g(y) - g(y')\| \le \|T\|_2 \|y - y'\|`.

        Kinks of the activation lie on surfaces that move with the weights; no `Locus` describes them.
        """
        return Properties(continuous=True, hoelder=self._lipschitz())

    def _lipschitz(self) -> Hoelder | None:
        if not all(bool(weight.isfinite().all()) for weight in self.parameters()):
            return None  # of a network that has diverged nothing is promised
        rows = [[1.0]]
        for i, network in enumerate(self._below(), start=1):
            above, own = network.steepness([self.sizes[i - 1], self.sizes[i]])
            rows.append([*(above * entry for entry in rows[-1]), own])
        if not all(math.isfinite(entry) for row in rows for entry in row):
            return None
        bounds = torch.tensor([row + [0.0] * (len(rows) - len(row)) for row in rows], dtype=torch.float64, device="cpu")
        return Hoelder(spectral_norm(bounds) * ROUNDING)
