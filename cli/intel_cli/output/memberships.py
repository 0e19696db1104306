"""Which cluster is each example in, and how surely? Columns for files of encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from intel_core.evaluation.clusters import clusters_of
from intel_core.helpers.own_prior import own_prior
from intel_core.model.prior import Mixture

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.evaluation.clusters import ClusteredEncoding
    from intel_core.model.vae import InteLVAE

__all__ = ["membership_columns", "of_clusters", "of_components"]


def membership_columns(name: str, labels: Tensor, probabilities: Tensor) -> dict[str, Any]:
    """Columns ``name`` and ``name_probability``: a number of each example's group, and how probable that group is.

    Args:
        name: what the groups are called, e.g. ``cluster``.
        labels: ``(n,)``, integers.
        probabilities: ``(n,)``.

    >>> membership_columns("cluster", torch.tensor([2]), torch.tensor([0.75]))
    {'cluster': array([2]), 'cluster_probability': array([0.75], dtype=float32)}
    """
    return {name: labels.cpu().numpy(), f"{name}_probability": probabilities.cpu().numpy()}


def of_clusters(encoding: ClusteredEncoding) -> dict[str, Any]:
    """The most probable cluster of each example, and how probable it is; empty for a run without clusters."""
    if encoding.cluster is None or encoding.cluster_probability is None:
        return {}
    return membership_columns("cluster", encoding.cluster, encoding.cluster_probability)


@torch.no_grad()
def of_components(model: InteLVAE, mean: Tensor) -> dict[str, Any]:
    """The component of a mixture prior that is most responsible for each mean of q(y|x), and p(component|y) there.

    Empty for other priors, and where the components are the clusters of the run.
    """
    own, clusters = own_prior(model), clusters_of(model)
    if own is None or not isinstance(own.prior, Mixture) or own.prior.k < 2 or (clusters and clusters.of_prior):
        return {}
    probability, component = own.log_responsibilities(mean).exp().max(-1)
    return membership_columns("component", component, probability)
