"""How is a plane cut into sectors? The boundary rays, the distance to them, and the mapping of one plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from intel_cluster.displacement import Displacement, solve
from intel_cluster.split import Split, as_parameter
from intel_core.mappings.properties import Locus

__all__ = ["SectorSplit"]

TURN = 2 * math.pi


class Tables(NamedTuple):
    """The geometry of all wedges; a wedge is the half of a sector that is nearer to one of its two rays.

    Wedge ``2k`` lies between the first ray of sector k and its bisector, wedge ``2k + 1`` between the bisector and the
    next ray. The wedge of a point determines its sector and its nearer ray.

    Attributes:
        bounds: angles between the wedges, measured from the first ray, shape ``(2K - 1,)``; not differentiated.
        normal: unit normal of the wedge's ray, pointing inward, shape ``(2K, 2)``.
        bisector: unit vector along the bisector of the wedge's sector, shape ``(2K, 2)``.
        ray: unit vector along the wedge's ray, shape ``(2K, 2)``; not differentiated.
    """

    bounds: Tensor
    normal: Tensor
    bisector: Tensor
    ray: Tensor


class Angles(NamedTuple):
    """All angles of the geometry as affine functions of the shares, so that one product and one sum compute them.

    Attributes:
        weights: of the shares, shape ``(4, 2K, K)``, for each wedge's normal, bisector, ray and end.
        offsets: added to that, shape ``(3, 2K)``, for each wedge's normal, bisector and ray.
    """

    weights: Tensor
    offsets: Tensor

    def tables(self, shares: Tensor) -> Tables:
        """The tables for some shares of shape ``(K,)``, differentiable in them."""
        # Not a matrix product, since a GPU might round that to TF32.
        angles = (self.weights * shares).sum(-1)
        turned = angles[:3] + self.offsets
        normal, bisector, ray = torch.stack([torch.cos(turned), torch.sin(turned)], dim=-1).unbind(0)
        return Tables(angles[3, :-1].detach(), normal, bisector, ray.detach())


def angles_of(k: int, phase: float) -> Angles:
    """How the angles depend on the shares of `k` sectors whose first ray is at angle `phase`; float64."""
    wedge = torch.arange(2 * k, device="cpu")
    sector, second = (wedge // 2).unsqueeze(1), (wedge % 2).unsqueeze(1)
    share = torch.arange(k, device="cpu")
    before, own = (share < sector).double(), (share == sector).double()
    end = before + own
    bisector = before + own / 2
    ray = before + own * second
    ray[-1] = 0  # the last sector ends on the first ray itself, not on a copy that is a rounding error away
    weights = torch.stack([ray, bisector, ray, torch.where(second == 1, end, bisector)]) * TURN
    inward = (0.5 - second.squeeze(1).double()) * math.pi  # a quarter turn, counter-clockwise from the first ray
    offsets = torch.stack([inward, torch.zeros_like(inward), torch.zeros_like(inward)]) + phase
    return Angles(weights, offsets)


def fixed_tables(shares: Sequence[float], phase: float) -> Tables:
    """The tables for known shares, in float64."""
    tables = angles_of(len(shares), phase).tables(torch.tensor(shares, dtype=torch.float64, device="cpu"))
    # cos(pi/2) is 6e-17 in floating point; here it must be 0, so that K = 2 moves only one coordinate.
    return Tables(*(torch.where(table.abs() < 1e-15, 0.0, table) for table in tables))


class Wedge(NamedTuple):
    """The rows of `Tables` for each point, shape ``(..., 2)``; `ray` is None if no sector can exceed half a turn."""

    normal: Tensor
    bisector: Tensor
    ray: Tensor | None


def _take_order(split: SectorSplit, keys: object) -> None:
    """After weights were loaded, let the sectors lie in the order that was loaded with them."""
    order = split.order.tolist()
    if sorted(order) != list(range(split.k)):
        raise ValueError(f"the order of {split.k} sectors is {order[:20]}, which names not each cluster once")
    split._order = order
    split.place_constants()


class SectorSplit(Split):
    r"""The plane cut into K sectors around the origin.

    .. math:: g(y) = y + \varphi(dis(y))\, r(y)

    Sector k begins at the angle :math:`\varphi_0 + 2\pi \sum_{i<k} p_i` and has the width :math:`\alpha_k = 2\pi p_k`.
    r is its bisector, and dis the distance to its two boundary *rays*: with δ the angle to the nearer ray,
    :math:`dis(y) = \|y\| \sin \min(\delta, \pi/2)`. The prior's mass in sector k is exactly :math:`p_k`.

    g is a homeomorphism of the plane for all widths in (0, 2π): dis grows strictly along r, so of two points on a line
    along r the farther one is pushed farther, and they cannot meet.

    Angles are used only to look up the sector. All that is differentiated are products with normals, so that a point
    which rounding puts into the neighbouring sector is misplaced by at most slope times rounding error.

    Source: Miao et al., section 6.2, equations (6), (C.1), (C.2); unequal sectors: appendix C.2.

    Args:
        shares: :math:`p_k`, or their start values if they are learned; positive, with sum 1.
        displacement: φ.
        phase: :math:`\varphi_0`, angle of the first ray.
        learnable: learn ``u`` with :math:`p = \mathrm{softmax}(u)`.
        ordered: the sectors may lie in another order than the clusters are numbered, see `set_order`.

    Attributes:
        order: the cluster of each sector, counted from the first ray, ``(K,)``; saved if `ordered`.

    >>> split = SectorSplit([0.5, 0.5], Displacement(5.0, 0.5, 1e-3))
    >>> split(torch.tensor([[3.0, 4.0], [3.0, -1.0], [2.0, 0.0]]))
    tensor([[ 3., 14.],
            [ 3., -6.],
            [ 2.,  0.]])
    """

    width = 2
    order: Tensor

    def __init__(
        self,
        shares: Sequence[float],
        displacement: Displacement,
        phase: float = 0.0,
        learnable: bool = False,
        ordered: bool = False,
    ) -> None:
        super().__init__(displacement, learnable)
        self.k = len(shares)
        self.phase = math.fmod(phase, TURN)
        self._shares = tuple(shares)
        self._order = list(range(self.k))
        self.ordered = ordered
        if ordered:
            self.register_buffer("order", torch.arange(self.k))
            self.register_load_state_dict_post_hook(_take_order)  # type: ignore[no-untyped-call]  # torch's own gap
        # In a sector wider than half a turn, the nearest point of a ray may be its end, the origin.
        self._may_be_reflex = learnable or max(shares) > 0.5
        if learnable:
            self.u = as_parameter([math.log(share) for share in shares])
        self.place_constants()

    def constants(self) -> tuple[Tensor, ...]:
        """The tables, or the angles from which they are computed."""
        if self.learnable:
            return angles_of(self.k, self.phase)
        return fixed_tables([self._shares[cluster] for cluster in self._order], self.phase)

    def _tables_for(self, y: Tensor, frozen: bool = False) -> Tables:
        constants = self.constants_for(y)
        if not self.learnable:
            return Tables(*constants)
        u = self.u.detach() if frozen else self.u
        return Angles(*constants).tables(torch.softmax(u.to(y.dtype), 0))

    def _index(self, y: Tensor, bounds: Tensor) -> Tensor:
        """Index of each point's wedge, ``(..., 2) -> (...)``, by its angle; not differentiated."""
        first, second = y.detach().unbind(-1)
        angle = torch.atan2(second, first)
        if self.phase:
            angle = angle - self.phase
        # A search, unlike a division, always gives a valid index, even on the seam and for NaN. Contiguous, since torch
        # warns if y, and with it the angle, is a transposed view.
        return torch.bucketize(torch.remainder(angle, TURN).contiguous(), bounds)

    def _wedge(self, y: Tensor, frozen: bool = False) -> Wedge:
        tables = self._tables_for(y, frozen)
        index = self._index(y, tables.bounds)
        # embedding is the cheapest gather with a gradient, and deterministic.
        ray = embedding(index, tables.ray) if self._may_be_reflex else None
        return Wedge(embedding(index, tables.normal), embedding(index, tables.bisector), ray)

    def _distance(self, y: Tensor, wedge: Wedge) -> tuple[Tensor, Tensor | None]:
        """dis, shape ``(..., 1)``, and a mask of the points to which the origin is nearest (None for no point)."""
        # Not a matrix product, since its rounding may depend on the batch, and may be that of TF32 on a GPU.
        height = (y * wedge.normal).sum(-1, keepdim=True).clamp(min=0)
        if wedge.ray is None:
            return height, None
        far = (y * wedge.ray).detach().sum(-1, keepdim=True) < 0
        # hypot does not underflow; where its value is not used it gets a unit vector, so that its gradient is finite.
        safe = torch.where(far, y, wedge.ray.detach())
        return torch.where(far, torch.hypot(safe[..., :1], safe[..., 1:]), height), far

    def _gain(self, y: Tensor, wedge: Wedge, distance: Tensor, far: Tensor | None) -> Tensor:
        """κ, the slope of dis along r: sin(α/2), or the cosine of y's angle to r if the origin is nearest."""
        near = (wedge.normal * wedge.bisector).sum(-1, keepdim=True)
        if far is None:
            return near
        along = (y * wedge.bisector).sum(-1, keepdim=True)
        return torch.where(far, along / torch.where(far, distance, 1.0), near)

    def forward(self, y: Tensor, frozen: bool = False) -> Tensor:
        """``z = g(y)``, ``(..., 2) -> (..., 2)``."""
        wedge = self._wedge(y, frozen)
        distance, _ = self._distance(y, wedge)
        return torch.addcmul(y, self.displacement.unit(distance), wedge.bisector, value=self.displacement.c1)

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, ``(..., 2) -> (..., 2)``; differentiable.

        y and z lie in the same wedge, and ``y = z - φ(t) r`` with t the root of ``t - dis(z - φ(t) r)``. That function
        is increasing and concave, as `solve` needs: dis is linear in a sector of at most half a turn, and in a wider
        one it is the distance to a convex set, hence convex.
        """
        wedge = self._wedge(z)

        def defect(t: Tensor) -> tuple[Tensor, Tensor]:
            y = z - self.displacement(t) * wedge.bisector
            distance, far = self._distance(y, wedge)
            return t - distance, 1 + self.displacement.slope(t) * self._gain(y, wedge, distance, far)

        t = solve(defect, torch.zeros_like(z[..., :1]))
        return z - self.displacement(t) * wedge.bisector

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log(1 + φ'(dis) κ)``, ``(..., 2) -> (...)``: the matrix determinant lemma for ``I + φ' r ∇dis``."""
        wedge = self._wedge(y)
        distance, far = self._distance(y, wedge)
        gain = self._gain(y, wedge, distance, far)
        return torch.log1p(self.displacement.slope(distance) * gain).squeeze(-1)

    def assign(self, y: Tensor) -> Tensor:
        """Index of the cluster, ``(..., 2) -> (...)``: of the sector, counted from the first ray, unless ordered."""
        sector = self._index(y, self._tables_for(y).bounds) // 2
        return torch.tensor(self._order, device=y.device)[sector] if self.ordered else sector

    def proportions(self) -> Tensor:
        """p, shape ``(K,)``."""
        if self.learnable:
            return self._by_cluster(torch.softmax(self.u, 0))
        return torch.tensor(self._shares, dtype=torch.float64, device=self.device)

    def log_proportions(self) -> Tensor:
        """Logarithms of p, shape ``(K,)``."""
        return self._by_cluster(torch.log_softmax(self.u, 0)) if self.learnable else self.proportions().log()

    def _by_cluster(self, of_sectors: Tensor) -> Tensor:
        """What is known of each sector, in the order of the clusters."""
        if not self.ordered:
            return of_sectors
        return of_sectors[sorted(range(self.k), key=self._order.__getitem__)]

    @torch.no_grad()
    def set_proportions(self, shares: Tensor) -> None:
        """Make p these, if it is learned; at least 1e-6 each."""
        if self.learnable:
            self.u.copy_(shares.detach()[self._order].clamp(min=1e-6).log())

    @torch.no_grad()
    def set_order(self, order: Sequence[int]) -> None:
        """Let the sectors lie in another order; each cluster keeps its number and its share.

        Args:
            order: the cluster of each sector, counted from the first ray.

        >>> split = SectorSplit([0.5, 0.2, 0.2, 0.1], Displacement(5.0, 0.5, 1e-3), ordered=True)
        >>> split.set_order([3, 2, 1, 0])
        >>> int(split.assign(torch.tensor([1.0, 0.1])))
        3
        """
        shares = self.proportions()
        self.order.copy_(torch.tensor(order))
        self._order = list(order)
        self.set_proportions(shares)
        self.place_constants()

    def directions(self) -> Tensor:
        """The bisectors."""
        shares = self._of_sectors().detach().double().cpu()
        angle = self.phase + TURN * (shares.cumsum(0) - shares / 2)
        return self._by_cluster(torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1))

    def _of_sectors(self) -> Tensor:
        """The shares in the order of the sectors."""
        return self.proportions()[self._order]

    def places(self) -> tuple[Locus, ...]:
        """The origin, and the boundary ray before each sector and its bisector.

        A bisector is a seam only of a sector of less than half a turn: there the nearer ray changes. In a wider one
        the origin is the nearest point on both sides of it.
        """
        rays = [(self.phase, True)]
        for share in self._of_sectors().detach().tolist():
            start = rays[-1][0]
            rays += [(start + TURN * share / 2, share < 0.5), (start + TURN * share, True)]
        origin = (0.0, 0.0)
        # Right angles exactly, as in the tables.
        ways = [
            tuple(0.0 if abs(x) < 1e-15 else x for x in (math.cos(a), math.sin(a))) for a, kept in rays[:-1] if kept
        ]
        seams = [Locus((0, 1), origin, (way,)) for way in ways]
        return (Locus((0, 1), origin), *seams)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{super().extra_repr()}, phase={self.phase:g}"
