r"""In which direction lies a cluster? Scores of y, linear and largest within the cluster's cell, for any `Clustering`.

A mapping only assigns points to clusters; a pull towards one needs a gradient. The scores

.. math:: s_k(y) = \langle w_k, y \rangle + b_k

are those of a multinomial regression of the cluster on y, fitted to draws of the prior. Where cells are bounded by
hyperplanes, as those of all cuts of this project, they agree with the assignment at about 99 of 100 draws.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from intel_core.compute.optimizer import without_compiler
from intel_core.mappings.contract import Clustering

__all__ = ["ClusterScores", "cluster_scores"]

_DRAWS = 20_000
_MOST_SCORES = 2 * 10**7
"""Of all draws together: with a thousand clusters and more, there are fewer draws."""
_SCORES_AT_ONCE, _OF_A_BLOCK = 2 * 10**6, 2 * 10**5
"""So many are in memory at a time; more are made in blocks, which are small lest the heap is left in pieces."""
_DECAY = 1e-4
_ITERATIONS = 100
SHARPNESS = 3 * math.sqrt(2)
"""Mean difference of the slopes of two scores: at distance t from the boundary of two clusters, log-odds of 4.2 t."""


@without_compiler
class _LBFGS(torch.optim.LBFGS):
    pass


class ClusterScores(NamedTuple):
    """Linear scores of K clusters.

    Attributes:
        weight: ``(K, d)``, float32.
        bias: ``(K,)``.
        agreement: share of other draws of the prior whose largest score is that of their cluster.
    """

    weight: Tensor
    bias: Tensor
    agreement: float

    def __call__(self, y: Tensor) -> Tensor:
        """The scores, ``(..., d) -> (..., K)``; in float32, whatever the format of a surrounding autocast."""
        # Not a matrix product, which an autocast would round to bfloat16.
        return (y.float().unsqueeze(-2) * self.weight).sum(-1) + self.bias

    def to(self, device: torch.device) -> ClusterScores:
        """The same on a device."""
        return ClusterScores(self.weight.to(device), self.bias.to(device), self.agreement)


def cluster_scores(clusters: Clustering, dim: int) -> ClusterScores:
    """Linear scores of the clusters of a mapping that reads `dim` dimensions of y, on the CPU; always the same ones.

    Args:
        clusters: a mapping with clusters, on any device.
        dim: number of dimensions that it reads.

    >>> class Halves:
    ...     n_clusters = 2
    ...
    ...     def assign(self, y):
    ...         return (y[..., 0] > 0.5).long()
    ...
    ...     def proportions(self):
    ...         return torch.tensor([0.69, 0.31])
    >>> scores = cluster_scores(Halves(), 2)
    >>> y = torch.tensor([[0.4, 3.0], [0.6, -3.0]])
    >>> scores(y).argmax(-1).tolist(), scores.agreement > 0.99
    ([0, 1], True)
    """
    return _fitted(clusters.n_clusters, _cells(clusters, torch.cat(_draws(clusters.n_clusters, dim))), dim)


def _draws(n_clusters: int, dim: int) -> tuple[Tensor, Tensor]:
    """Those of which the scores are fitted, and as many others; always the same."""
    draws = min(_DRAWS, max(1, _MOST_SCORES // n_clusters))
    y, others = torch.randn(2, draws, dim, generator=torch.Generator().manual_seed(0))
    return y, others


@functools.lru_cache(maxsize=8)  # the runs of a process, and a run that goes on, mostly have the same clusters
@torch.enable_grad()
def _fitted(n_clusters: int, cells: bytes, dim: int) -> ClusterScores:
    """The scores for clusters that the draws have, given as the bytes of their numbers."""
    y, others = _draws(n_clusters, dim)
    cluster, of_others = torch.split(torch.frombuffer(bytearray(cells), dtype=torch.int64), len(y))
    y = y.double()
    weight = torch.zeros(n_clusters, dim, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(n_clusters, dtype=torch.float64, requires_grad=True)
    optimizer = _LBFGS([weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    whole = len(y) * n_clusters <= _SCORES_AT_ONCE
    at_once = len(y) if whole else max(1, _OF_A_BLOCK // n_clusters)
    blocks = list(zip(torch.split(y, at_once), torch.split(cluster, at_once), strict=True))

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for i, (rows, of_rows) in enumerate(blocks):
            value = cross_entropy(rows @ weight.T + bias, of_rows) * (len(rows) / len(y))
            value = value + _DECAY / 2 * weight.square().sum() if i == 0 else value
            torch.autograd.backward(value)
            total = total + value.detach()
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found, offset = weight.detach(), bias.detach()
    k = len(found)
    # Separable cells have no slope of their own: the decay decides it, and this scale replaces it.
    scale = SHARPNESS / max(float(torch.cdist(found, found).sum()) / (k * (k - 1)), 1e-12)
    scores = ClusterScores((found * scale).float(), (offset * scale).float(), 0.0)
    largest = torch.cat([scores(rows).argmax(-1) for rows in torch.split(others, max(1, at_once // dim))])
    agreement = float((largest == of_others).double().mean())
    return scores._replace(agreement=agreement)


@torch.no_grad()
def _cells(clusters: Clustering, y: Tensor) -> bytes:
    device = clusters.proportions().device
    return bytes(clusters.assign(y.to(device)).to("cpu", torch.int64).numpy().tobytes())
