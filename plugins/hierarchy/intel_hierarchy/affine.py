"""Which hierarchy is invertible? Each level is its own block of y, scaled and shifted as the level above tells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.helpers.geometry import widened
from intel_core.mappings.properties import Properties
from intel_hierarchy.mapping import HierarchyMapping
from intel_hierarchy.network import Network

__all__ = ["AffineHierarchy"]


class AffineHierarchy(HierarchyMapping):
    r"""Levels by conditional scale and shift, a bijection of :math:`R^d`.

    .. math:: z_0 = y_0, \qquad z_i = y_i \odot e^{s_i(z_{i-1})} + t_i(z_{i-1}), \qquad
        s = B \tanh(\tilde s / B)

    with :math:`(\tilde s_i, t_i)` a dense network of the level above, whose last layer has no activation. The scales
    lie between :math:`e^{-B}` and :math:`e^B`, so nothing overflows. Since g is injective, Theorem 1 of the paper holds
    with equality. Besides the capabilities of every hierarchy it offers `Invertible`.

    Source: Miao et al., appendix B, where NN is the coupling layer of Dinh et al., "Density estimation using Real NVP",
    section 3.2.

    Args:
        sizes: number of dimensions of each level, from the top.
        hidden: widths of the hidden layers of each network.
        activation: applied after hidden layers; a name in `intel_hierarchy.network.ACTIVATIONS`.
        bound: B > 0.

    >>> mapping = AffineHierarchy((1, 2))
    >>> y = torch.tensor([[0.5, 1.0, -2.0]], dtype=torch.float64)
    >>> torch.allclose(mapping.inverse(mapping(y)), y)
    True
    """

    def __init__(
        self, sizes: Sequence[int], hidden: Sequence[int] = (32,), activation: str = "relu", bound: float = 2.0
    ) -> None:
        pairs = itertools.pairwise(sizes)
        super().__init__(sizes, [Network((a, *hidden, 2 * b), activation, last=False) for a, b in pairs])
        self.bound = bound

    def _scale_and_shift(self, network: Network, above: Tensor) -> tuple[Tensor, Tensor]:
        """``s_i`` and ``t_i``, ``(..., sizes[i-1]) -> (..., sizes[i])`` each."""
        scale, shift = network(above).chunk(2, dim=-1)
        return self.bound * torch.tanh(scale / self.bound), shift

    def level(self, network: Network, above: Tensor, own: Tensor) -> Tensor:
        """``y_i exp(s_i(z_{i-1})) + t_i(z_{i-1})``."""
        scale, shift = self._scale_and_shift(network, above)
        return own * torch.exp(scale) + shift

    @property
    def properties(self) -> Properties:
        """Continuous and injective; not Lipschitz, since the slope of ``exp(s(z)) y`` in z grows with y."""
        return Properties(continuous=True, injective=True)

    # --- Invertible ------------------------------------------------------------------------------------------

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, ``(..., y_dim) -> (..., y_dim)``; any z has one.

        It is ``y_i = (z_i - t_i(z_{i-1})) exp(-s_i(z_{i-1}))``, each level by itself, since all levels of z are known.

        >>> z = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        >>> mapping = AffineHierarchy((2, 1))
        >>> torch.allclose(mapping(mapping.inverse(z)), z)
        True
        """
        levels = self.split(widened(z))
        blocks = [levels[0]]
        for network, above, own in zip(self._below(), levels, levels[1:], strict=False):
            scale, shift = self._scale_and_shift(network, above)
            blocks.append((own - shift) * torch.exp(-scale))
        return torch.cat(blocks, dim=-1).to(z.dtype)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log |det dg/dy|`` of each row, the sum of all entries of all ``s_i``, ``(..., y_dim) -> (...)``.

        The Jacobian is block triangular, and its diagonal blocks are the diagonal matrices ``exp(s_i)``.

        >>> AffineHierarchy((1, 1), hidden=()).log_abs_det_jacobian(torch.zeros(3, 2)).tolist()
        [0.0, 0.0, 0.0]
        """
        levels = self.map_levels(y)
        terms = [
            self._scale_and_shift(network, above)[0].sum(-1)
            for network, above in zip(self._below(), levels, strict=False)
        ]
        return torch.stack(terms).sum(0).to(y.dtype)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{super().extra_repr()}, bound={self.bound:g}"
