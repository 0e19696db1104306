"""Which cluster is each example in, and how surely? Columns for files of encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from intel_core.helpers.own_prior import clusters_of_prior, own_prior
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.model.prior import Mixture

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.model.vae import InteLVAE

__all__ = ["in_components", "membership_columns"]


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


@torch.no_grad()
def in_components(model: InteLVAE, mean: Tensor) -> dict[str, Any]:
    """The component of a mixture prior that is most responsible for each mean of q(y|x), and p(component|y) there.

    They are called what `intel evaluate` calls them: clusters, unless the mapping has its own or the prior is made of
    the encoder's posteriors. Empty for other priors.
    """
    own = own_prior(model)
    if own is None or not isinstance(own.prior, Mixture) or own.prior.k < 2:
        return {}
    of_prior = clustering_of(model.mapping) is None and clusters_of_prior(model) is not None
    probability, component = own.log_responsibilities(mean).exp().max(-1)
    return membership_columns("cluster" if of_prior else "component", component, probability)
