"""Which clusters does a run have, in which of them is each example, and how is y drawn within one?

Clusters are those of the mapping, or, where it has none, the components of a mixture prior. Their numbers are the
same wherever clusters are spoken of: those that the mapping, or the prior, gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.errors import RunError, SpecError
from intel_core.evaluation.encoding_table import columns_of
from intel_core.helpers.own_prior import UnderPrior, clusters_of_prior, own_prior
from intel_core.helpers.parts_of_mapping import clusterings_of
from intel_core.mappings.contract import Clustering
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.reading.inputs import frame_of
from intel_core.runs.stored_run import Encoding

__all__ = ["DRAWS", "ClusteredEncoding", "Members", "RunClusters", "clusters_of", "counted", "draws_within", "members"]

DRAWS = 200
"""Draws of q(y|x) by which the mass in each cluster is counted: its standard error is at most 0.035."""
_NUMBERS = 2**21
"""Numbers that are held at once while masses are counted."""
_LOOKED, _RARE = 200_000, 1e-4
"""A cluster that so small a share of so many draws has entered is not drawn from."""
_DRAWN = 10_000


class RunClusters:
    """The clusters of a model.

    Attributes:
        n: their number K.
        of_prior: whether they are the components of the prior, and not the mapping's.
    """

    def __init__(self, clustering: Clustering, dims: tuple[int, ...], model: InteLVAE, *, of_prior: bool) -> None:
        self.n, self.of_prior = int(clustering.n_clusters), of_prior
        self._clustering, self._dims, self._model = clustering, list(dims), model

    @torch.no_grad()
    def assign(self, y: Tensor) -> Tensor:
        """The number of the cluster of each y, ``(..., y_dim) -> (...)``, on the CPU."""
        return self._clustering.assign(y[..., self._dims]).long().cpu()

    @torch.no_grad()
    def shares(self) -> Tensor:
        """The mass of the run's own prior in each cluster, ``(K,)``, float64 on the CPU."""
        prior = own_prior(self._model)
        if prior is None or self.of_prior:
            return self._clustering.proportions().double().cpu()
        on_device = _OnDevice(self._clustering, next(self._model.parameters()).device)
        return UnderPrior(on_device, tuple(self._dims), prior).proportions().double()


class _OnDevice:
    """The clusters of a mapping, asked with y on the CPU."""

    def __init__(self, clustering: Clustering, device: torch.device) -> None:
        self._clustering, self._device = clustering, device
        self.n_clusters = clustering.n_clusters

    def assign(self, y: Tensor) -> Tensor:
        return self._clustering.assign(y.to(self._device)).cpu()

    def proportions(self) -> Tensor:
        return self._clustering.proportions()


def clusters_of(model: InteLVAE) -> RunClusters | None:
    """The clusters of the first part of the mapping that has some, or those of a mixture prior; None without any.

    >>> from intel_core.mappings.compose import Identity
    >>> clusters_of(InteLVAE(torch.nn.Linear(3, 4), Identity(2), torch.nn.Linear(2, 3), None)) is None
    True
    """
    for part, dims in clusterings_of(model.mapping)[:1]:
        return RunClusters(part, dims, model, of_prior=False)
    of_prior = clusters_of_prior(model)
    everything = tuple(range(model.y_dim))
    return None if of_prior is None else RunClusters(of_prior, everything, model, of_prior=True)


# --- in which cluster is an example? ---------------------------------------------------------------------------


class Members(NamedTuple):
    """In which cluster each example is, on the CPU.

    Attributes:
        cluster: the number of its most probable cluster, ``(n,)``, int64.
        probability: how probable that one is, ``(n,)``, float32.
    """

    cluster: Tensor
    probability: Tensor


class ClusteredEncoding(Encoding):
    """Encodings that know, if they are asked, in which cluster each example is.

    Attributes:
        cluster: the number of the most probable cluster of each example, ``(n,)``; None for a run without clusters.
        cluster_probability: how probable that cluster is, ``(n,)``: for the clusters of a mapping the mass of q(y|x) in
            it, counted in 200 draws that are the same for all examples; for a mixture prior p(component|y) at the mean.
    """

    find: Callable[[], Members | None] = staticmethod(lambda: None)
    frame: Callable[[Mapping[str, Any]], Any] = staticmethod(frame_of)

    def to_frame(self) -> Any:
        """A data frame with a row for each example, and the columns that ``intel encode`` writes.

        They are ``mean0, …``, ``std0, …``, ``y0, …``, ``z0, …``, ``z_mean0, …``, and ``cluster`` and
        ``cluster_probability`` where there are clusters.

        It is of the library whose frame was encoded, with the same index; otherwise of pandas.

        Raises:
            EnvironmentProblem: if no library of data frames is installed.
        """
        arrays = {name: tensor.numpy() for name, tensor in self._asdict().items()}
        if self._members is not None:
            arrays |= {"cluster": self._members.cluster.numpy()}
            arrays |= {"cluster_probability": self._members.probability.numpy()}
        return self.frame(columns_of(arrays))

    def __reduce__(self) -> tuple[Any, ...]:
        return _found_before, (tuple(self), self._members)

    @cached_property
    def _members(self) -> Members | None:
        return self.find()

    @property
    def cluster(self) -> Tensor | None:
        """See above."""
        return None if self._members is None else self._members.cluster

    @property
    def cluster_probability(self) -> Tensor | None:
        """See above."""
        return None if self._members is None else self._members.probability


def _found_before(tensors: tuple[Tensor, ...], found: Members | None) -> ClusteredEncoding:
    """A copy, which no longer needs the run and its examples."""
    encoding = ClusteredEncoding(*tensors)
    encoding.find = lambda: found
    return encoding


@torch.no_grad()
def members(
    model: InteLVAE, x: Tensor, mean: Tensor, seed: int = 0, conditions: Tensor | None = None
) -> Members | None:
    """The most probable cluster of each example, and how probable it is; None for a model without clusters.

    Args:
        model: in evaluation mode.
        x: examples as the model knows them, ``(n, *x_shape)``.
        mean: means of q(y|x), ``(n, y_dim)``, where a mixture prior is asked.
        seed: of the draws.
        conditions: of the examples, where the model has some.
    """
    clusters = clusters_of(model)
    if clusters is None:
        return None
    if clusters.of_prior:
        prior = own_prior(model)
        assert prior is not None
        probability, component = prior.log_responsibilities(mean).exp().max(-1)
        return Members(component.cpu(), probability.float().cpu())
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(stream(seed, "clusters"))
    noise = model.draw_noise(DRAWS, model.noise_dim, generator).unsqueeze(1)
    found = [counts.max(1) for counts in counted(model, clusters, x, noise, conditions)]
    if not found:
        return Members(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    return Members(torch.cat([most.indices for most in found]), torch.cat([most.values for most in found]) / DRAWS)


@torch.no_grad()
def counted(
    model: InteLVAE, clusters: RunClusters, x: Tensor, noise: Tensor, conditions: Tensor | None = None
) -> Iterator[Tensor]:
    """How many draws of q(y|x) lie in each cluster, ``(rows, K)``: of some examples after the others.

    Args:
        model: in evaluation mode.
        clusters: its clusters, of the mapping.
        x: examples as the model knows them, ``(n, *x_shape)``.
        noise: of the draws, the same for all examples, ``(draws, 1, noise_dim)``.
        conditions: of the examples, where the model has some.
    """
    like = next(model.parameters())
    examples = Split(x, conditions=conditions)
    for rows in torch.split(torch.arange(len(x)), max(1, _NUMBERS // (len(noise) * max(model.noise_dim, clusters.n)))):
        part = examples.part(rows)
        posterior = model.on(part.conditions).encode(to_float(part.x.to(like.device)).to(like.dtype))
        y = posterior.rsample(noise.expand(-1, len(part), -1))
        cluster = clusters.assign(y)
        counts = torch.zeros(len(part), clusters.n)
        yield counts.scatter_add_(1, cluster.T, torch.ones_like(cluster.T, dtype=counts.dtype))


# --- how is y drawn within a cluster? --------------------------------------------------------------------------


def draws_within(
    clusters: RunClusters | None, cluster: int, n: int, draw: Callable[[int], Tensor], what: str
) -> Tensor:
    """`n` draws of y that lie in one cluster, ``(n, y_dim)``: all others are thrown away.

    Args:
        clusters: those of the run; None if it has none.
        cluster: the number of one.
        n: how many draws.
        draw: gives so many draws of y from all clusters.
        what: the run, for messages.

    Raises:
        SpecError: if there is no such cluster.
        RunError: if hardly any draw lies in it.
    """
    if clusters is None:
        raise SpecError(f"{what} has no clusters: neither its mapping nor its prior makes some; leave out the cluster")
    if isinstance(cluster, bool) or not hasattr(cluster, "__index__") or not 0 <= cluster < clusters.n:
        raise SpecError(f"{what} has no cluster {cluster}; its {clusters.n} clusters are 0 to {clusters.n - 1}")
    kept: list[Tensor] = []
    entered = drawn = 0
    while entered < n:
        if drawn >= _LOOKED and entered < _RARE * drawn:
            raise RunError(
                f"hardly anything enters cluster {cluster} of {what}: {entered} of {drawn:,} draws of y; draw from "
                "another cluster, or from another sampler"
            )
        y = draw(_DRAWN)
        inside = y[clusters.assign(y).to(y.device) == cluster]
        kept.append(inside[: n - entered])
        entered, drawn = entered + len(kept[-1]), drawn + len(y)
    return torch.cat(kept)
