"""How is a space cut into K cells that all touch each other? The corners of a simplex, and the nearest of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding

from intel_cluster.displacement import Displacement, solve
from intel_cluster.split import Split, as_parameter, finest
from intel_core.helpers.geometry import widened
from intel_core.mappings.properties import Locus

__all__ = ["SimplexSplit", "corners", "log_shares", "offsets"]

NODES = 161
"""Of the quadrature; far more than the trapezoidal rule needs, whose error falls exponentially for such integrands."""
NEWTON_STEPS = 100
LEAST_SHARE = 1e-6
MOST_WITH_ALL = 10
"""Most cells of a simplex of which every place where g is not smooth is declared: 45 facets, 360 kinks."""


def corners(k: int) -> Tensor:
    r"""K unit vectors at equal angles, the inner products of two of them being -1/(K-1); ``(K, K - 1)``, float64.

    .. math:: u_k = \sqrt{\tfrac{2}{K-1}}\,(\cos\theta_k, \sin\theta_k, \cos 2\theta_k, \sin 2\theta_k, \dots),
        \qquad \theta_k = \tfrac{2\pi}{K}(k + \tfrac12)

    and for even K :math:`(-1)^{k+1}/\sqrt{K-1}` as the last coordinate. So the first two coordinates, if there are two,
    show the corners as a regular polygon, and where all others are 0 the cells are K equal sectors of a plane.

    >>> corners(2).tolist()
    [[-1.0], [1.0]]
    >>> corners(3)
    tensor([[ 0.5000,  0.8660],
            [-1.0000,  0.0000],
            [ 0.5000, -0.8660]], dtype=torch.float64)
    """
    number, wave = torch.arange(k, device="cpu").unsqueeze(1), torch.arange(1, (k + 1) // 2, device="cpu")
    # Reduced to one turn in whole numbers, so that no digits are lost where K is large.
    angle = (wave * (2 * number + 1) % (2 * k)).double() * (math.pi / k)
    waves = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1).flatten(1) * math.sqrt(2 / (k - 1))
    last = (number % 2 * 2 - 1).double() / math.sqrt(k - 1)
    both = waves if k % 2 else torch.cat([waves, last], dim=1)
    return torch.where(both.abs() < 1e-15, 0.0, both)  # cos(pi/2) is 6e-17 in floating point


def log_shares(offset: Tensor) -> Tensor:
    r"""Logarithms of the probabilities that a standard normal plus ``offset[k]`` is the largest of K, ``(K,) -> (K,)``.

    .. math:: p_k = \int n(x - \beta_k) \prod_{j \ne k} N(x - \beta_j)\, dx

    By the trapezoidal rule with the same nodes for all k, in logarithms, so that no share is lost however small.
    Differentiable.

    >>> log_shares(torch.tensor([0.5, 0.0, 0.0, 0.0])).exp()
    tensor([0.3933, 0.2022, 0.2022, 0.2022])
    """
    _, product, hazard = _quadrature(offset)
    mass = torch.logsumexp(product + hazard, dim=0)
    logs: Tensor = mass - torch.logsumexp(mass, 0)
    return logs


def _quadrature(offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""The distance of the nodes, and at these the logarithms of :math:`\prod_j N_j`, ``(n, 1)``, and of each n / N."""
    low, high = offset.detach().amin(0, keepdim=True), offset.detach().amax(0, keepdim=True)
    share = torch.linspace(0, 1, NODES, dtype=offset.dtype, device=offset.device).unsqueeze(1)
    # The smallest cluster is met half-way between its offset and the largest one.
    bottom, top = (low + high) / 2 - 9, high + 9
    away = bottom + share * (top - bottom) - offset
    below: Tensor = _LogNdtr.apply(away)  # type: ignore[no-untyped-call]  # torch's own gap
    hazard = -away.square() / 2 - math.log(2 * math.pi) / 2 - below
    return (top - bottom) / (NODES - 1), below.sum(-1, keepdim=True), hazard


class _LogNdtr(torch.autograd.Function):
    """``torch.special.log_ndtr``, which `torch.func.vmap` would compute slice by slice, with a warning."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        logs: Tensor = torch.special.log_ndtr(x)
        return logs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, logs = ctx.saved_tensors
        return gradients[0] * torch.exp(-x.square() / 2 - math.log(2 * math.pi) / 2 - logs)

    @staticmethod
    def vmap(info: object, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        return _LogNdtr.apply(x), in_dims[0]  # type: ignore[no-untyped-call]


def offsets(shares: Sequence[float]) -> Tensor:
    r"""The offsets, with sum 0, for which `log_shares` gives these shares; ``(K,)``, float64.

    They minimise the convex function :math:`E \max_k(x_k + \beta_k) - \sum_k p_k \beta_k`. By Newton's method for the
    logarithms of the shares, its steps shortened until the error falls.

    >>> offsets([0.25, 0.75]) * math.sqrt(2)
    tensor([-0.6745,  0.6745], dtype=torch.float64)
    """
    goal = torch.tensor(shares, dtype=torch.float64, device="cpu").log()
    found, step = torch.zeros_like(goal), torch.zeros_like(goal)
    error, size = goal.new_tensor(math.inf), 1.0
    for _ in range(NEWTON_STEPS):
        tried = found + size * step
        missing = log_shares(tried) - goal
        if not missing.abs().max() < error:
            size /= 2
            continue
        found, error = tried, missing.abs().max()
        if error < 1e-13:
            break
        between, product, hazard = _quadrature(found)
        border = torch.exp(product / 2 + hazard)
        touching = between * border.T @ border
        touching.fill_diagonal_(0)
        slope = (touching.sum(0).diag() - touching) / log_shares(found).exp().unsqueeze(1)
        # It is singular along (1, ..., 1), which the added constant fills.
        step = -torch.linalg.solve(slope + 1 / len(goal), missing)
        step = step - step.mean()
        size = min(1.0, 2 / float(step.abs().max()))
    return found


@functools.lru_cache(maxsize=64)
def threshold(shares: tuple[float, ...]) -> tuple[float, ...]:
    """The point b at which all cells meet, for given shares."""
    k = len(shares)
    if k == 2:
        left, right = shares
        # Phi^-1 loses its digits near 1, so it is computed from the smaller share.
        return (NormalDist().inv_cdf(left) if left <= right else -NormalDist().inv_cdf(right),)
    b = math.sqrt((k - 1) / k) * (offsets(shares).unsqueeze(1) * corners(k)).sum(0)
    return tuple((0.0 - b).tolist())


@functools.lru_cache(maxsize=16)
def seams(k: int) -> list[tuple[tuple[float, ...], ...]]:
    """The cones in which two cells touch, then those in which two others are equally near to the points of a cell.

    Cells i and j touch where i and j are nearer than all others: in all sums of vectors away from the others' corners.

    >>> [tuple(round(x, 3) for x in cone[0]) for cone in seams(3)[:3]]
    [(-0.5, 0.866), (1.0, 0.0), (-0.5, -0.866)]
    """
    corner = [tuple(row) for row in corners(k).tolist()]
    away = [tuple(0.0 - x for x in row) for row in corner]

    def others(*taken: int) -> tuple[tuple[float, ...], ...]:
        return tuple(away[m] for m in range(k) if m not in taken)

    if k > MOST_WITH_ALL:
        return [others(i, (i + 1) % k) for i in range(k)]
    facets = [others(i, j) for i, j in itertools.combinations(range(k), 2)]
    pairs = itertools.product(range(k), itertools.combinations(range(k), 2))
    kinks = [(corner[i], *others(i, j, m)) for i, (j, m) in pairs if i not in (j, m)]
    return facets + kinks


class SimplexSplit(Split):
    r"""The space of K - 1 dimensions cut into K cells, each of which borders on all others.

    .. math:: g(y) = w + \varphi(t(w))\, u_k, \qquad w = y - b

    Cell k has the corner :math:`u_k` (see `corners`), k is the largest of :math:`c_k = \langle u_k, w \rangle`, and
    :math:`t = \sqrt{(K-1)/(2K)}\,(c_k - \text{the second largest})` is the distance to the boundary of the cell. As in
    the paper's split of a line, y is translated, so that z is cut at 0 whatever b is.

    Along :math:`u_k`, t grows at the rate :math:`\kappa = \sqrt{K / (2 (K - 1))}` and no other cell is entered. So g
    maps each cell onto itself, t to :math:`t + \kappa \varphi(t)`: it is a homeomorphism, for any b.

    For K = 2 it is the line of the paper's appendix C.2, cut at b, and for K = 3 and b = 0 the three sectors of its
    section 6.2.

    Source: the generalisation to K cells is the project's own; Miao et al., section 6.2 and appendix C.2.

    Args:
        shares: the prior's mass in each cell, or its start value if it is learned; positive, with sum 1.
        displacement: φ.
        learnable: make b a parameter.

    >>> SimplexSplit([0.5, 0.5], Displacement(5.0, 0.5, 1e-3))(torch.tensor([[-1.0], [0.0], [4.0]]))
    tensor([[-6.],
            [ 0.],
            [14.]])
    """

    def __init__(self, shares: Sequence[float], displacement: Displacement, learnable: bool = False) -> None:
        super().__init__(displacement, learnable)
        self.k = len(shares)
        self.width = self.k - 1
        self._shares = tuple(shares)
        self._start = threshold(self._shares)
        self._rate = math.sqrt(self.k / (2 * self.width))
        if learnable:
            # A number for K = 2, as it always was.
            self.b = as_parameter(list(self._start) if self.k > 2 else self._start[0])
        self.place_constants()

    def constants(self) -> tuple[Tensor, ...]:
        """The corners, and the point at which all cells meet, if it is fixed."""
        return corners(self.k), torch.tensor(self._start, dtype=torch.float64, device="cpu")

    def _moved(self, y: Tensor, frozen: bool = False, sign: int = -1) -> Tensor:
        """``y - b``, or ``y + b``."""
        if not self.learnable:
            return y + sign * self.constants_for(y)[1] if any(self._start) else y
        return torch.add(y, (self.b.detach() if frozen else self.b).to(y.dtype), alpha=sign)

    def _nearest(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the nearest corner and of the second nearest, ``(..., K - 1) -> (...)``; not differentiated."""
        # In double precision, so that a matrix product is rounded neither to TF32 nor, under autocast, to bfloat16.
        # The rounding of what follows is harmless: there only a difference of two corners is used.
        fine = w.detach().to(finest(w.device))
        first, second = (fine @ self.constants_for(fine)[0].T).topk(2, dim=-1).indices.unbind(-1)
        return first, second

    def _depth(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The corner of the cell, ``(..., K - 1)``, and the distance t to its boundary, ``(..., 1)``."""
        table = self.constants_for(w)[0]
        # embedding is the cheapest gather, and not a matrix product, whose rounding may be that of TF32 on a GPU.
        corner, other = (embedding(index, table) for index in self._nearest(w))
        normal = (corner - other) * (0.5 / self._rate)
        return corner, (normal * w).sum(-1, keepdim=True).clamp(min=0)

    def forward(self, y: Tensor, frozen: bool = False) -> Tensor:
        """``z = g(y)``, ``(..., K - 1) -> (..., K - 1)``."""
        w = self._moved(y, frozen)
        corner, depth = self._depth(w)
        return torch.addcmul(w, self.displacement.unit(depth), corner, value=self.displacement.c1)

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, ``(..., K - 1) -> (..., K - 1)``; differentiable.

        z and w lie in the same cell, with the same nearest boundary, and t is the root of the concave
        ``t + κ φ(t) = t(z)``.
        """
        corner, depth = self._depth(z)

        def defect(t: Tensor) -> tuple[Tensor, Tensor]:
            return t + self._rate * self.displacement(t) - depth, 1 + self._rate * self.displacement.slope(t)

        t = solve(defect, torch.zeros_like(depth))
        return self._moved(z - self.displacement(t) * corner, sign=1)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log(1 + κ φ'(t))``, ``(..., K - 1) -> (...)``: the matrix determinant lemma for ``I + φ' u ∇t``."""
        _, depth = self._depth(self._moved(y))
        return torch.log1p(self.displacement.slope(depth) * self._rate).squeeze(-1)

    def assign(self, y: Tensor) -> Tensor:
        """Index of the cell, ``(..., K - 1) -> (...)``."""
        return self._nearest(self._moved(y))[0]

    def proportions(self) -> Tensor:
        """The shares, shape ``(K,)``."""
        if self.learnable:
            return self.log_proportions().exp()
        return torch.tensor(self._shares, dtype=torch.float64, device=self.device)

    def log_proportions(self) -> Tensor:
        """Logarithms of the shares, shape ``(K,)``."""
        if not self.learnable:
            return self.proportions().log()
        b = widened(self.b)
        return log_shares(-math.sqrt(self.width / self.k) * (self.constants_for(b)[0] * b).sum(-1))

    @torch.no_grad()
    def set_proportions(self, shares: Tensor) -> None:
        """Move b, if it is learned, so that the shares are these; at least 1e-6 each."""
        if self.learnable:
            wanted = shares.detach().double().cpu().clamp(min=LEAST_SHARE)
            b = threshold(tuple((wanted / wanted.sum()).tolist()))
            self.b.copy_(torch.tensor(b, dtype=torch.float64).reshape(self.b.shape))

    def directions(self) -> Tensor:
        """See `corners`."""
        return corners(self.k)

    def places(self) -> tuple[Locus, ...]:
        """The point b at which all cells meet, the facets between two of them, and the kinks within them.

        A kink is where two other cells are equally near. Above `MOST_WITH_ALL` cells, where there would be thousands,
        only the facets between a cell and the next one are declared.
        """
        b = self.b.detach().reshape(-1).tolist() if self.learnable else self._start
        dims, point = tuple(range(self.width)), tuple(b)
        centre = [Locus(dims, point)] if self.k > 2 else []
        return (*centre, *(Locus(dims, point, cone) for cone in seams(self.k)))
