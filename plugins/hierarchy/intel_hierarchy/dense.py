"""Which hierarchy is the paper's? Each level is a dense network of the level above and of its own block of y."""

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
"""A factor larger than any rounding error of singular values in float64, so that the bound remains a bound."""


class DenseHierarchy(HierarchyMapping):
    r"""Levels by dense networks.

    .. math:: z_0 = y_0, \qquad z_i = NN_i([z_{i-1}, y_i])

    Without hidden layers and with ReLU, :math:`z_i = \max(0, W_i [z_{i-1}, y_i] + b_i)`, which is the authors' mapping.
    Then no entry below the top level is negative, and about half of them are exactly 0. Many y have the same z, so that
    Theorem 1 of the paper is an inequality.

    Source: Miao et al., appendix B.

    Args:
        sizes: number of dimensions of each level, from the top.
        hidden: widths of the hidden layers of each network.
        activation: applied after each layer, the last included; a name in `intel_hierarchy.network.ACTIVATIONS`.

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
        z: Tensor = network(torch.cat([above, own], dim=-1))
        return z

    @property
    def properties(self) -> Properties:
        r"""Continuous, and Lipschitz with a constant that depends on the present weights.

        Let :math:`a_i` and :math:`b_i` be the steepness of network i in the level above and in its own block, so that
        :math:`\|\Delta z_i\| \le a_i \|\Delta z_{i-1}\| + b_i \|\Delta y_i\|`. Then the vector of the levels' changes
        is at most :math:`T (\|\Delta y_0\|, \dots, \|\Delta y_{L-1}\|)^\top`, where T is lower triangular with
        :math:`T_{ij} = a_i a_{i-1} \cdots a_{j+1} b_j` and :math:`b_0 = 1`. So
        :math:`\|g(y) - g(y')\| \le \|T\|_2 \|y - y'\|`.

        No `Locus` is declared for the kinks of the activation, since they lie on surfaces that move with the weights.
        """
        return Properties(continuous=True, hoelder=self._lipschitz())

    def _lipschitz(self) -> Hoelder | None:
        if not all(bool(weight.isfinite().all()) for weight in self.parameters()):
            return None  # a network that has diverged has no bound
        rows = [[1.0]]
        for i, network in enumerate(self._below(), start=1):
            above, own = network.steepness([self.sizes[i - 1], self.sizes[i]])
            rows.append([*(above * entry for entry in rows[-1]), own])
        if not all(math.isfinite(entry) for row in rows for entry in row):
            return None
        bounds = torch.tensor([row + [0.0] * (len(rows) - len(row)) for row in rows], dtype=torch.float64, device="cpu")
        return Hoelder(spectral_norm(bounds) * ROUNDING)
