"""Whose clusters does a start find examples for? Those of the mapping, or of a prior that is a mixture.

Both take what was found, and both score y, ``(..., y_dim) -> (..., K)``: the pull is the cross-entropy of the examples'
clusters under the softmax of those scores.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from intel_core.errors import SpecError
from intel_core.helpers.cluster_scores import ClusterScores, cluster_scores
from intel_core.helpers.own_prior import mixture_of
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.helpers.shares import TakesClusters, TakesShares, Turns
from intel_core.mappings.contract import Clustering
from intel_core.model.prior import Mixture
from intel_core.model.vae import InteLVAE
from intel_core.recipe.contracts import made_by
from intel_core.recipe.starts import StartSpec

__all__ = ["StartClusters", "Where", "clusters_for"]

_FEWEST = 0.5
"""Examples that each cluster counts at least, when shares are taken over."""


class Where(NamedTuple):
    """Where the examples of each cluster are encoded, and how many there are.

    Attributes:
        centres: mean of y, ``(K, y_dim)``; of a cluster without examples, that of all.
        spreads: standard deviation of y ~ q(y|x) in each dimension, ``(K, y_dim)``.
        sizes: examples, ``(K,)``, whole numbers.
    """

    centres: Tensor
    spreads: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, mean: Tensor, std: Tensor, cluster: Tensor, clusters: int) -> Where:
        """From the moments of q(y|x), ``(n, y_dim)``, and the cluster of each example, -1 for none.

        >>> where = Where.of(torch.tensor([[1.0], [3.0], [8.0]]), torch.zeros(3, 1), torch.tensor([0, 0, -1]), 2)
        >>> where.centres.tolist(), where.spreads[0].tolist(), where.sizes.tolist()
        ([[2.0], [4.0]], [1.0], [2, 0])
        """
        rows, number = cluster >= 0, cluster.long()
        mean, second = mean.double(), std.double().square() + mean.double().square()
        sizes = torch.bincount(number[rows], minlength=clusters)

        def average(values: Tensor) -> Tensor:
            sums = torch.zeros(clusters, values.shape[1], dtype=values.dtype)
            sums.index_add_(0, number[rows], values[rows])
            return torch.where(sizes.unsqueeze(1) > 0, sums / sizes.clamp(min=1).unsqueeze(1), values.mean(0))

        centres = average(mean)
        variances = (average(second) - centres.square()).clamp(min=0)
        return cls(centres.float(), variances.sqrt().float(), sizes)

    @property
    def shares(self) -> Tensor:
        """Share of each cluster among the examples that have one, ``(K,)``, float64; none is 0."""
        counts = self.sizes.double().clamp(min=_FEWEST)
        return counts / counts.sum()


class StartClusters(Protocol):
    """The clusters of a part of the model.

    Attributes:
        n_clusters: K.
    """

    n_clusters: int

    @property
    def part(self) -> object:
        """The mapping or the prior."""
        ...

    def take(self, where: Where) -> None:
        """Let the part of the model take the clusters that were found, as far as it can.

        Raises:
            PluginError: if its code breaks there.
        """
        ...

    def prepare(self) -> None:
        """Make the scores, from the part as it is now, the same in every process.

        Raises:
            PluginError: if the part's code breaks there.
        """
        ...

    def scores(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``."""
        ...

    @property
    def agreement(self) -> float:
        """How often the largest score is that of the cluster in which y lies, as a share of the prior's draws."""
        ...

    def kept(self) -> dict[str, Tensor]:
        """What a training that is resumed needs for the same scores."""
        ...

    def layout(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of each tensor of `kept`."""
        ...

    def restore(self, tensors: Dictionary[str, Tensor], device: torch.device) -> None:
        """Have the scores of those tensors again."""
        ...


def clusters_for(start: StartSpec, model: InteLVAE) -> StartClusters:
    """The clusters of a model that a start can find examples for; before it, a prior forgets where its own are.

    Raises:
        SpecError: if neither its mapping nor its prior has clusters of y.
    """
    found = clustering_of(model.mapping)
    if found is not None:
        return _OfMapping(*found)
    mixture = mixture_of(model.prior)
    if mixture is None:
        raise SpecError(f"start {start} is for a mapping whose clusters lie in y itself; use start=none")
    return _OfPrior(mixture, model)


class _OfMapping:
    """The cells of a mapping: they turn and take shares, and linear scores lead to them."""

    def __init__(self, part: Clustering, dims: tuple[int, ...]) -> None:
        self.n_clusters, self.part, self._dims = part.n_clusters, part, list(dims)
        self._scores: ClusterScores | None = None

    def take(self, where: Where) -> None:
        with made_by("set_proportions() of the mapping"), torch.no_grad():
            if isinstance(self.part, TakesShares):
                self.part.set_proportions(where.shares)
        with made_by("turn_towards() of the mapping"), torch.no_grad():
            if isinstance(self.part, Turns):
                self.part.turn_towards(where.centres[:, self._dims])

    def prepare(self) -> None:
        with made_by("assign() of the mapping"):
            self._scores = cluster_scores(self.part, len(self._dims))

    def scores(self, y: Tensor) -> Tensor:
        assert self._scores is not None
        return self._scores(y[..., self._dims])

    @property
    def agreement(self) -> float:
        return 1.0 if self._scores is None else self._scores.agreement

    def kept(self) -> dict[str, Tensor]:
        # Those of a mapping whose shares are learned would be others by the time that a training is resumed.
        return {} if self._scores is None else {"weight": self._scores.weight.cpu(), "bias": self._scores.bias.cpu()}

    def layout(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        k, d = self.n_clusters, len(self._dims)
        return {"weight": (torch.float32, (k, d)), "bias": (torch.float32, (k,))}

    def restore(self, tensors: Dictionary[str, Tensor], device: torch.device) -> None:
        self._scores = ClusterScores(tensors["weight"].to(device), tensors["bias"].to(device), 1.0)


class _OfPrior:
    """The components of a mixture: they go to the clusters, and log p(component|y) are the scores.

    The pull of weight 1 is then what the bound lacks if the component is known: log p(y) + log p(c|y) = log p(y, c).
    """

    agreement = 1.0

    def __init__(self, prior: Mixture, model: InteLVAE) -> None:
        self.n_clusters, self.part, self._model = prior.k, prior, model
        if isinstance(prior, TakesClusters):
            with made_by("forget_clusters() of the prior"), torch.no_grad():
                prior.forget_clusters()

    def take(self, where: Where) -> None:
        if isinstance(self.part, TakesClusters):
            device = next(self._model.parameters()).device
            with made_by("take_clusters() of the prior"), torch.no_grad():
                self.part.take_clusters(*(part.to(device) for part in (where.centres, where.spreads, where.shares)))

    def prepare(self) -> None:
        """Nothing: the prior itself is shared."""

    def scores(self, y: Tensor) -> Tensor:
        return self.part.log_responsibilities(y)

    def kept(self) -> dict[str, Tensor]:
        return {}

    def layout(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {}

    def restore(self, tensors: Dictionary[str, Tensor], device: torch.device) -> None:
        """Nothing: they are those of the prior, which is resumed with the model."""
