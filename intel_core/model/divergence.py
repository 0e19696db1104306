r"""How far is q(y|x) from p(y)? By a closed form where the prior knows one, else by the draws that there are.

.. math:: KL(q \| p) = E_q[\log q(y|x) - \log p(y)]

The default, a diagonal Gaussian and N(0, I), takes no density of a draw at all, or, where a mapping knows them, the
densities of z = g(y).
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor

from intel_core.model.posterior import DiagonalGaussian, Posterior
from intel_core.model.prior import ClosedForm, Prior, StandardNormal

__all__ = ["draw", "kl_terms", "knows", "mean_kl", "weigh"]


def knows(prior: Prior, posterior: Posterior) -> bool:
    """Whether there is a closed form of the KL divergence."""
    # The usual case first: to ask for a capability takes microseconds, and this is asked at every step.
    if isinstance(prior, StandardNormal):
        return prior.knows(posterior)
    return isinstance(prior, ClosedForm) and prior.knows(posterior)


def draw(prior: Prior, posterior: Posterior, noise: Tensor) -> tuple[Tensor, Any]:
    """Y ~ q(y|x), and what `kl_terms` needs: ``log q(y|x)``, the terms themselves, or nothing."""
    if isinstance(prior, StandardNormal) and prior.image is not None and isinstance(posterior, DiagonalGaussian):
        y, kl, kl_y = prior.image.draw(posterior, noise)
        return y, (kl, kl_y)
    if knows(prior, posterior):
        return posterior.rsample(noise), None
    return posterior.draw(noise)


def kl_terms(prior: Prior, posterior: Posterior, y: Tensor, known: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """`mean_kl`, and where it is in z that in y as ``kl_y``, which has no gradient."""
    if isinstance(posterior, DiagonalGaussian) and isinstance(prior, StandardNormal):
        if prior.image is None:
            return posterior.mean_kl(), {}
        return known[0], {"kl_y": known[1]}
    if known is None:
        return cast(ClosedForm, prior).kl(posterior).sum(-1).mean(), {}
    return (known - prior.log_prob(y)).mean(), {}


def mean_kl(prior: Prior, posterior: Posterior, y: Tensor, known: Any) -> Tensor:
    """KL(q(y|x) || p(y)), or that in z, mean over examples: nats per example. `y` and `known` are those of `draw`."""
    return kl_terms(prior, posterior, y, known)[0]


def weigh(prior: Prior, posterior: Posterior, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Y ~ q(y|x) and ``log p(y) - log q(y|x)``, ``(K, n)``.

    >>> import torch
    >>> q = DiagonalGaussian(torch.zeros(1, 1), torch.zeros(1, 1))
    >>> weigh(StandardNormal(1), q, torch.ones(1, 1, 1))[1].tolist()  # q is p
    [[0.0]]
    """
    if isinstance(prior, StandardNormal) and isinstance(posterior, DiagonalGaussian):
        if prior.image is not None:
            y, log_ratio = prior.image.weigh(posterior, noise)
            return y, -log_ratio
        y = posterior.rsample(noise)
        return y, 0.5 * (noise.square() + posterior.log_variance - y.square()).sum(-1)  # the constants cancel
    y, log_q = posterior.draw(noise)
    return y, prior.log_prob(y) - log_q
