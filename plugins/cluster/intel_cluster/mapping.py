"""What is the cluster mapping? One cut of the latent space, or several side by side."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_cluster.diagnosis import describe_clusters
from intel_cluster.sectors import SectorSplit
from intel_cluster.split import Split
from intel_cluster.turn import Turn, around
from intel_core.helpers.geometry import widened
from intel_core.mappings.properties import Hoelder, Properties

__all__ = ["ClusterMapping", "LearnedClusterMapping"]


def _follow_strength(mapping: ClusterMapping, keys: object) -> None:
    """After weights were loaded, give the cuts the strength that was loaded with them."""
    for cut in mapping._cuts():
        cut.set_strength(float(mapping.strength))


class ClusterMapping(nn.Module):
    r"""K clusters by cutting the first dimensions of y; the remaining dimensions pass through.

    With several cuts into :math:`K_i` clusters each, there are :math:`K = \prod K_i` clusters, numbered in mixed radix
    with the first cut most significant. A product of bijections is a bijection, so g is a homeomorphism of :math:`R^d`,
    and Theorem 1 of the paper holds with equality: KL(q(z|x) ‖ p(z)) is the KL of y.

    It offers every capability of `intel_core.mappings.contract` except `Regularised`: `Declared`, `Clustering`,
    `Invertible`, `Annealed` and `Diagnosable`. Half precision is computed in float32.

    Source: Miao et al., section 6.2 and appendix C.2.

    Args:
        splits: the cuts, for consecutive dimensions of y.
        y_dim: number of dimensions of y.
        turn: whether the cuts can be turned to other directions, see `turn_towards`.

    Raises:
        ValueError: if the cuts need more dimensions than there are.

    >>> from intel_cluster import ClusterSpec
    >>> mapping = ClusterSpec(k=3).build(2)
    >>> y = torch.tensor([[0.5, 1.0]])
    >>> torch.allclose(mapping.inverse(mapping(y)), y)
    True
    >>> int(mapping.assign(y))
    0
    """

    strength: Tensor

    def __init__(self, splits: Sequence[Split], y_dim: int, turn: bool = False) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.splits = nn.ModuleList(splits)
        width = sum(split.width for split in splits)
        rest = y_dim - width
        if rest < 0:
            raise ValueError(f"{y_dim - rest} dimensions are to be cut, there are {y_dim}")
        self.register_buffer("strength", torch.ones(()))
        self.register_load_state_dict_post_hook(_follow_strength)  # type: ignore[no-untyped-call]  # torch's own gap
        self._widths = [split.width for split in splits] + ([rest] if rest else [])
        self.turn = Turn(width, y_dim) if turn else None

    def set_strength(self, strength: float) -> None:
        """Multiply all displacements; with 1, g is the whole mapping, with 0 the identity, and always a bijection.

        Unless the cells of a simplex meet at 0, it is a translation instead of the identity: y is counted from there.

        Raises:
            ValueError: if the strength is negative.
        """
        if not strength >= 0:
            raise ValueError(f"a strength is at least 0, not {strength:g}")
        self.strength.fill_(strength)
        for cut in self._cuts():
            cut.set_strength(strength)

    def _cuts(self) -> list[Split]:
        return cast("list[Split]", list(self.splits))

    def _blocks(self, y: Tensor) -> tuple[Tensor, ...]:
        """The coordinates of each cut, then the dimensions that pass through, if any; in float32 or float64."""
        wide = widened(y)
        if self.turn is not None and self.turn.is_turned:
            return torch.split(self.turn.into(wide), [cut.width for cut in self._cuts()], dim=-1)
        return (wide,) if len(self._widths) == 1 else torch.split(wide, self._widths, dim=-1)

    def _map_blocks(self, y: Tensor, maps: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        blocks = self._blocks(y)
        mapped = [go(block) for go, block in zip(maps, blocks, strict=False)]
        if self.turn is not None and self.turn.is_turned:
            moved = [after - before for after, before in zip(mapped, blocks, strict=True)]
            return (widened(y) + self.turn.back(torch.cat(moved, dim=-1))).to(y.dtype)
        joined = mapped[0] if len(blocks) == 1 else torch.cat([*mapped, *blocks[len(mapped) :]], dim=-1)
        return joined.to(y.dtype)

    @torch.no_grad()
    def turn_towards(self, centres: Tensor) -> None:
        """Turn the cuts so that each cluster's cell lies where its centre is, as far as a rotation can.

        Sectors of a plane are put into the order in which the centres lie around it, see `around`.

        Args:
            centres: of each cluster in y, ``(K, y_dim)``. Nothing happens if the mapping was made without a turn.

        >>> from intel_cluster import ClusterSpec
        >>> mapping = ClusterSpec(k=3).build(2)
        >>> centres = torch.tensor([[0.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
        >>> mapping.turn_towards(centres)
        >>> mapping.assign(centres)
        tensor([0, 1, 2])
        """
        if self.turn is not None:
            found = torch.zeros(1, 0, dtype=torch.float64)
            for cut in self._cuts():
                if isinstance(cut, SectorSplit) and cut.ordered:
                    cut.set_order(around(centres, cut.proportions()))
                own = cut.directions()
                found = torch.cat([found.repeat_interleave(len(own), 0), own.repeat(len(found), 1)], dim=1)
            self.turn.towards(centres, found)

    def directions(self) -> Tensor | None:
        """The orthonormal directions of y that are cut, ``(width, y_dim)``; None if they are its first axes."""
        return self.turn.exact if self.turn is not None and self.turn.is_turned else None

    def turn_back(self) -> None:
        """Cut along the first axes again."""
        if self.turn is not None:
            self.turn.undo()

    def forward(self, y: Tensor) -> Tensor:
        """``z = g(y)``, ``(..., y_dim) -> (..., y_dim)``."""
        return self._map_blocks(y, self._cuts())

    # --- Invertible ------------------------------------------------------------------------------------------

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, ``(..., y_dim) -> (..., y_dim)``; any z has one.

        >>> from intel_cluster import ClusterSpec
        >>> z = torch.tensor([[-6.0], [14.0]], dtype=torch.float64)
        >>> [round(y, 12) for y in ClusterSpec(k=2, c1=5, c2=0.5, eps=1e-3).build(1).inverse(z).flatten().tolist()]
        [-1.0, 4.0]
        """
        return self._map_blocks(z, [cut.inverse for cut in self._cuts()])

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log |det dg/dy|`` of each row, summed over the cuts, ``(..., y_dim) -> (...)``."""
        cuts = zip(self._cuts(), self._blocks(y), strict=False)
        terms = [cut.log_abs_det_jacobian(block) for cut, block in cuts]
        return torch.stack(terms).sum(0).to(y.dtype)

    # --- Clustering ------------------------------------------------------------------------------------------

    @property
    def n_clusters(self) -> int:
        """Number of clusters K."""
        return math.prod(cut.k for cut in self._cuts())

    def assign(self, y: Tensor) -> Tensor:
        """Index of the cluster of each row, ``(..., y_dim) -> (...)``, integers in ``[0, K)``.

        >>> from intel_cluster import ClusterSpec
        >>> ClusterSpec(k=[2, 2]).build(4).assign(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
        tensor([2])
        """
        index = torch.zeros(y.shape[:-1], dtype=torch.long, device=y.device)
        for cut, block in zip(self._cuts(), self._blocks(y), strict=False):
            index = index * cut.k + cut.assign(block)
        return index

    def proportions(self) -> Tensor:
        """The prior's mass in each cluster, shape ``(K,)``; differentiable if it is learned.

        >>> from intel_cluster import ClusterSpec
        >>> ClusterSpec(k=2, proportions=[0.25, 0.75]).build(2).proportions()
        tensor([0.2500, 0.7500], dtype=torch.float64)
        """
        shares = torch.ones(())
        for cut in self._cuts():
            own = cut.proportions()
            shares = (shares.to(own).unsqueeze(-1) * own).flatten()
        return shares

    def set_proportions(self, proportions: Tensor) -> None:
        """Make the prior's mass in each cluster this, shape ``(K,)``, as far as it is learned; each is at least 1e-6.

        With several cuts there are only the shares of each, so that each gets the marginal.

        >>> from intel_cluster import ClusterSpec
        >>> mapping = ClusterSpec(k=2, learnable=True).build(1)
        >>> mapping.set_proportions(torch.tensor([0.25, 0.75]))
        >>> mapping.proportions().detach()
        tensor([0.2500, 0.7500])
        """
        table = proportions.reshape([cut.k for cut in self._cuts()])
        for axis, cut in enumerate(self._cuts()):
            others = [other for other in range(table.ndim) if other != axis]
            cut.set_proportions(table.sum(others) if others else table)

    # --- Declared --------------------------------------------------------------------------------------------

    @property
    def properties(self) -> Properties:
        """Continuous and injective, with K clusters.

        Where the cuts are turned, no plane of two axes shows them, and their places are not declared.

        It is Hölder continuous: φ is concave with φ(0) = 0, so for points at distance h, on two sides of a boundary or
        on one, the images are at most ``h + 2 φ(h/2) <= h + 2^(1-c2) c1 h^c2`` apart in each cut.
        """
        cuts = self._cuts()
        starts = [sum(self._widths[:i]) for i in range(len(cuts))]
        # Of a simplex, the first two coordinates show all cells; see `corners`.
        planes: tuple[tuple[int, int], ...] = tuple(
            (start, start + 1) for start, cut in zip(starts, cuts, strict=True) if cut.width > 1
        )
        phis = [cut.displacement for cut in cuts]
        steepest = max(2 ** (1 - phi.c2) * phi.c1 for phi in phis)
        places = [
            [place.on_dims(range(start, start + cut.width)) for place in cut.places()]
            for start, cut in zip(starts, cuts, strict=True)
        ]
        every = [place for of_cut in places for place in of_cut]
        if self.directions() is not None:  # none of them lies along axes of y
            planes, every = (), []
        return Properties(
            continuous=True,
            injective=True,
            clusters=self.n_clusters,
            hoelder=Hoelder(1 + math.sqrt(len(cuts)) * steepest, min(phi.c2 for phi in phis)),
            planes=planes,
            centres=tuple(place for place in every if place.codimension > 1),
            seams=tuple(place for place in every if place.codimension == 1),
        )

    # --- Diagnosable -----------------------------------------------------------------------------------------

    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """Whether the clusters took, and whether they are the classes; see `describe_clusters`.

        Args:
            y: posterior means, shape ``(n, y_dim)``.
            labels: integer class of each row, shape ``(n,)``, or None.

        >>> from intel_cluster import ClusterSpec
        >>> mapping = ClusterSpec(k=2).build(1)
        >>> report = mapping.diagnose(torch.tensor([[-1.0], [2.0], [3.0]]), torch.tensor([1, 0, 0]))
        >>> report["accuracy"], report["contingency"]
        (1.0, [[0, 1], [2, 0]])
        """
        return describe_clusters(self.assign(y.detach()), self.proportions().detach(), labels)


class LearnedClusterMapping(ClusterMapping):
    r"""Clusters whose proportions follow the posterior's mass; offers `Regularised` as well.

    The gradient through g is a poor guide for the proportions. It comes only from the few samples near boundaries, so
    its variance is large, and it tells what happens if a boundary moves while every posterior stays, so that the
    boundary cuts through posteriors. Here a boundary is moved *together with* the posteriors instead. If each posterior
    keeps its cluster and its place in it, only the KL term changes, by the derivative of

    .. math:: KL(m \| p) = \sum_k m_k \log (m_k / p_k),

    where m is the mass that the posteriors of a batch have in each cluster. So in training p is a constant in g, and p
    is learned by the auxiliary loss ``proportions`` of weight 1, which is this KL with m held constant. It is the
    M-step of the EM algorithm for the weights of a mixture, by gradient steps; its noise is that of shares of a batch.
    With several cuts the loss is the sum over cuts, each with its own shares.

    Before the data have chosen their clusters, one cluster could take everything. So p is not learned while the
    strength is below 1, and a run waits for an eighth of its steps (the schedule ``proportions``).

    Sectors of a plane, each between two neighbours that it can lose its examples to, keep the shares of a start that
    has turned them: learned further, on MNIST two of ten sectors took 98 % of the prior.

    All this, and `proportions` too, assumes that the mapping's input is the Gaussian y. Behind another mapping in a
    composition it is not, and the shares are not the prior's.

    Source: section 6.2 and appendix C.2 of Miao et al. learn the proportions by the gradient through g; this estimator
    is the project's own.

    >>> from intel_cluster import ClusterSpec
    >>> mapping = ClusterSpec(k=2, learnable=True).build(2)
    >>> y = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])
    >>> z, losses = mapping.map_with_regularisers(y)  # mass 3/4 and 1/4, proportions a half each
    >>> round(losses["proportions"].item(), 4)
    0.1308
    """

    @property
    def regularisers(self) -> dict[str, float]:
        """The weight 1, since the loss stands for a part of the KL term."""
        return {"proportions": 1.0}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``z``, with the proportions held constant, and ``KL(m ‖ p)`` in nats; all rows of y are one batch."""
        z = self._map_blocks(y, [functools.partial(cut, frozen=True) for cut in self._cuts()])
        gaps = [self._gap(cut, block) for cut, block in zip(self._cuts(), self._blocks(y), strict=False)]
        return z, {"proportions": torch.stack(gaps).sum()}

    def _gap(self, cut: Split, y: Tensor) -> Tensor:
        index = cut.assign(y.detach()).flatten()
        if index.numel() == 0:
            return cut.log_proportions().to(y).sum() * 0
        clusters = torch.arange(cut.k, device=index.device)
        mass = (index.unsqueeze(-1) == clusters).to(y.dtype).mean(0)
        logs = cut.log_proportions().to(y)
        turned = self.turn is not None and self.turn.is_turned
        if cut.displacement.c1 < cut.whole.c1 or (cut.ordered and turned):
            # A gradient of 0 where a start has set the shares: of a parameter that has moved since the first step, a
            # training that is resumed expects an optimiser to remember something.
            logs = logs.detach() + 0 * logs if turned else logs.detach()
        gap: Tensor = torch.special.xlogy(mass, mass).sum() - (mass * logs).sum()
        return gap
