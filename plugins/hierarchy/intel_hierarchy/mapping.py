"""What do all hierarchies have in common? Levels, computed from the top down, and what can be asked of each level."""

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

    Level i occupies the same dimensions in y and in z, and depends only on the blocks 0 to i of y. A subclass defines
    :math:`f_i`. It offers `Declared`, `Levelled` and `Diagnosable` of `intel_core.mappings.contract`. Half precision is
    computed in float32.

    Source: Miao et al., appendix B.

    Args:
        sizes: number of dimensions of each level, from the top.
        networks: the network of each level but the top.
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
        """The networks of the levels below the top, from level 1 on."""
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
        """Maps y with the block of one level replaced, which shows what a change of that level's feature does.

        The levels above stay as they were; that level and all below are computed anew.

        Args:
            y: shape ``(..., y_dim)``.
            level: number of the level, 0 for the top.
            values: the new block, shape ``(..., sizes[level])``; leading shapes broadcast, so that values of shape
                ``(steps, 1, sizes[level])`` are applied to each row of y.

        Returns:
            z, shape ``(..., y_dim)`` with the common leading shape.

        Raises:
            ValueError: if there is no such level, or `values` have another number of dimensions than it.

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
        """The properties of this form of hierarchy."""
        raise NotImplementedError

    # --- Diagnosable -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        r"""What each level holds, and how much of it comes from the level above; lists have an entry per level.

        Besides the numbers of `describe_levels` there are ``level_from_above`` and ``level_from_own``, from an analysis
        of variance of :math:`f_i(a, b)` over all pairs of an a among the :math:`z_{i-1}` and a b among the :math:`y_i`
        of 128 evenly spaced rows (see `shares_of_variance`). They are the share of the variance of :math:`z_i` that
        remains if :math:`y_i` is averaged out, and the share that remains if :math:`z_{i-1}` is. 1 minus both is their
        interaction. For the top level they are 0 and 1.

        Args:
            y: posterior means, shape ``(n, y_dim)``.
            labels: integer class of each row, shape ``(n,)``, or None.

        >>> from intel_hierarchy import HierarchySpec
        >>> mapping = HierarchySpec(levels=2, activation="identity").build(2)
        >>> _ = mapping.networks[0].layers[0].weight.data.copy_(torch.tensor([[3.0, 4.0]]))  # z1 = 3 z0 + 4 y1
        >>> report = mapping.diagnose(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]), torch.tensor([0, 1]))
        >>> [round(share, 4) for share in report["level_from_above"]]  # 3**2 / (3**2 + 4**2)
        [0.0, 0.36]
        >>> report["level_variance"], report["level_class_share"]
        ([1.0, 1.0], [1.0, 1.0])
        """
        levels = self.map_levels(y)
        report = describe_levels(levels, labels)
        if not len(y):
            return report
        rows = evenly_spaced(len(y))
        blocks = self.split(widened(y))
        shares = [(0.0, 1.0) if report["level_variance"][0] > 0 else (0.0, 0.0)]
        for i, network in enumerate(self._below(), start=1):
            above, own = levels[i - 1][rows], blocks[i][rows]
            pairs = above.unsqueeze(1).expand(-1, len(rows), -1), own.expand(len(rows), -1, -1)
            shares.append(shares_of_variance(self.level(network, *pairs)))
        report["level_from_above"] = [above for above, _ in shares]
        report["level_from_own"] = [own for _, own in shares]
        return report

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"sizes={self.sizes}"
