"""What has every hierarchy in common? Levels, the way down from the top, and what can be asked of each level."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_core.helpers.geometry import widened
from intel_core.mappings.properties import Properties
from intel_hierarchy.diagnosis import describe_levels, evenly_spaced, shares_of_variance
from intel_hierarchy.network import Network

__all__ = ["HierarchyMapping"]


class HierarchyMapping(nn.Module):
    r"""L levels, each a function of the level above and of its own block of y.

    .. math:: z_0 = y_0, \qquad z_i = f_i(z_{i-1}, y_i), \qquad z = [z_0, z_1, \dots, z_{L-1}]

    Level i occupies the same dimensions in y and in z, and depends on the blocks 0 to i of y alone. A subclass says
    what :math:`f_i` is. It offers `Declared`, `Levelled` and `Diagnosable` of `intel_core.mappings.contract`. Half precision
    is computed in float32.

    Source: Miao et al., appendix B.

    Args:
        sizes: number of dimensions of each level, from the top.
        networks: that of each level but the top.
    """

    def __init__(self, sizes: Sequence[int], networks: Sequence[Network]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.y_dim = self.z_dim = sum(sizes)
        self.networks = nn.ModuleList(networks)

    def level(self, network: Network, above: Tensor, own: Tensor) -> Tensor:
        """``f_i(z_{i-1}, y_i)``, ``(..., sizes[i-1]), (..., sizes[i]) -> (..., sizes[i])``."""
        raise NotImplementedError

    def _below(self) -> list[Network]:
        """The networks, that of level 1 first."""
        return cast("list[Network]", list(self.networks))

    def map_levels(self, y: Tensor) -> list[Tensor]:
        """``z_0, …, z_{L-1}`` of y, in float32 or float64: ``(..., y_dim)`` to ``(..., sizes[i])`` each."""
        top, *blocks = self.split(widened(y))
        levels = [top]
        for network, own in zip(self._below(), blocks, strict=True):
            levels.append(self.level(network, levels[-1], own))
        return levels

    def forward(self, y: Tensor) -> Tensor:
        """``z = g(y)``, ``(..., y_dim) -> (..., y_dim)``."""
        return torch.cat(self.map_levels(y), dim=-1).to(y.dtype)

    # --- Levelled --------------------------------------------------------------------------------------------

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The dimensions of each level, in y and in z alike."""
        ends = list(itertools.accumulate(self.sizes))
        return tuple(tuple(range(end - size, end)) for size, end in zip(self.sizes, ends, strict=True))

    def split(self, z: Tensor) -> tuple[Tensor, ...]:
        """The levels of z, or the blocks of y, from the top: ``(..., y_dim)`` to ``(..., sizes[i])`` each.

        >>> from intel_hierarchy import HierarchySpec
        >>> [list(part.shape) for part in HierarchySpec(levels=[1, 1, 2]).build(4).split(torch.zeros(7, 4))]
        [[7, 1], [7, 1], [7, 2]]
        """
        return torch.split(z, list(self.sizes), dim=-1)

    def replace_level(self, y: Tensor, level: int, values: Tensor) -> Tensor:
        """z, after the block of y that belongs to one level was replaced: what changing a feature changes.

        The levels above stay as they were, that level and all below are computed anew.

        Args:
            y: shape ``(..., y_dim)``.
            level: which one, 0 being the top.
            values: shape ``(..., sizes[level])``; leading shapes broadcast, so that a sweep of shape
                ``(steps, 1, sizes[level])`` is applied to each row of y.

        Returns:
            Shape ``(..., y_dim)`` with the common leading shape.

        Raises:
            ValueError: if there is no such level, or it has another number of dimensions.

        Source: Miao et al., figure B.2.

        >>> from intel_hierarchy import HierarchySpec
        >>> mapping = HierarchySpec(levels=3).build(6)
        >>> y, other = torch.randn(4, 6), torch.randn(4, 2)
        >>> (mapping.replace_level(y, 1, other) == mapping(y)).all(0)[:2].tolist()
        [True, True]
        """
        if not 0 <= level < len(self.sizes):
            raise ValueError(f"there is no level {level}; levels are 0 to {len(self.sizes) - 1}")
        if values.shape[-1:] != (self.sizes[level],):
            raise ValueError(f"level {level} has {self.sizes[level]} dimensions, the values {list(values.shape)[-1:]}")
        blocks = list(self.split(y))
        blocks[level] = values.to(y)
        leading = torch.broadcast_shapes(y.shape[:-1], values.shape[:-1])  # type: ignore[no-untyped-call]  # torch's own gap
        replaced = torch.cat([block.expand(*leading, -1) for block in blocks], dim=-1)
        z: Tensor = self(replaced)
        return z

    # --- Declared --------------------------------------------------------------------------------------------

    @property
    def properties(self) -> Properties:
        """What a form of hierarchy promises."""
        raise NotImplementedError

    # --- Diagnosable -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        r"""What each level carries, and how much of it comes from the level above; lists from the top.

        To the numbers of `describe_levels` come ``level_from_above`` and ``level_from_own``, by an analysis of
        variance of :math:`f_i(a, b)` over all pairs of an a among the rows' :math:`z_{i-1}` and a b among their
        :math:`y_i`, of 128 rows evenly spaced among all (see `shares_of_variance`): the share of the variance of
        :math:`z_i` that stays when :math:`y_i` is averaged out, and the one that stays when :math:`z_{i-1}` is.
        What the two lack of 1 is their interaction. The top is all its own.

        Args:
            y: posterior means, shape ``(n, y_dim)``.
            labels: integer class of each row, shape ``(n,)``, or None.

        >>> from intel_hierarchy import HierarchySpec
        >>> mapping = HierarchySpec(levels=2, activation="identity").build(2)
        >>> _ = mapping.networks[0].layers[0].weight.data.copy_(torch.tensor([[3.0, 4.0]]))  # z1 = 3 z0 + 4 y1
        >>> found = mapping.diagnose(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]), torch.tensor([0, 1]))
        >>> [round(share, 4) for share in found["level_from_above"]]  # 3**2 / (3**2 + 4**2)
        [0.0, 0.36]
        >>> found["level_variance"], found["level_class_share"]
        ([1.0, 1.0], [1.0, 1.0])
        """
        levels = self.map_levels(y)
        found = describe_levels(levels, labels)
        if not len(y):
            return found
        rows = evenly_spaced(len(y))
        blocks = self.split(widened(y))
        shares = [(0.0, 1.0) if found["level_variance"][0] > 0 else (0.0, 0.0)]
        for i, network in enumerate(self._below(), start=1):
            above, own = levels[i - 1][rows], blocks[i][rows]
            pairs = above.unsqueeze(1).expand(-1, len(rows), -1), own.expand(len(rows), -1, -1)
            shares.append(shares_of_variance(self.level(network, *pairs)))
        found["level_from_above"] = [above for above, _ in shares]
        found["level_from_own"] = [own for _, own in shares]
        return found

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"sizes={self.sizes}"
