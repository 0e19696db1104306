r"""How far is q(y|x) from p(y)? By a closed form where the prior knows one, else by the draws that there are.

.. math:: KL(q \| p) = E_q[\log q(y|x) - \log p(y)]

The default, a diagonal Gaussian and N(0, I), takes no density of a draw at all, or, where a mapping knows them, the
densities of z = g(y).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from intel_core.model.posterior import DiagonalGaussian, Posterior
from intel_core.model.prior import ClosedForm, Prior, StandardNormal

__all__ = ["draw", "in_y", "knows", "mean_kl", "weigh"]


def knows(prior: Prior, posterior: Posterior) -> bool:
    """Whether there is a closed form of the KL divergence."""
    # The usual case first: to ask for a capability takes microseconds, and this is asked at every step.
    if isinstance(prior, StandardNormal):
        return prior.knows(posterior)
    return isinstance(prior, ClosedForm) and prior.knows(posterior)


def draw(prior: Prior, posterior: Posterior, noise: Tensor) -> tuple[Tensor, Tensor | None]:
    """Y ~ q(y|x), and ``log q(y|x)`` where `mean_kl` needs it."""
    if knows(prior, posterior):
        return posterior.rsample(noise), None
    return posterior.draw(noise)


def mean_kl(prior: Prior, posterior: Posterior, y: Tensor, log_q: Tensor | None) -> Tensor:
    """KL(q(y|x) || p(y)), or that in z, mean over examples: nats per example. `y` and `log_q` are those of `draw`."""
    if isinstance(posterior, DiagonalGaussian) and isinstance(prior, StandardNormal):
        return posterior.mean_kl() if prior.image is None else prior.image.kl(posterior, y).mean(-1)
    if log_q is None:
        return cast(ClosedForm, prior).kl(posterior).sum(-1).mean()
    return (log_q - prior.log_prob(y)).mean()


@torch.no_grad()
def in_y(prior: Prior, posterior: Posterior) -> dict[str, Tensor]:
    """KL(q(y|x) || p(y)) as ``kl_y``, without a gradient, where the KL term is that in z."""
    image = prior.image if isinstance(prior, StandardNormal) and isinstance(posterior, DiagonalGaussian) else None
    return {} if image is None else {"kl_y": image.kl_in_y(cast(DiagonalGaussian, posterior)).mean(-1)}


def weigh(prior: Prior, posterior: Posterior, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Y ~ q(y|x) and ``log p(y) - log q(y|x)``, ``(K, n)``.

    >>> q = DiagonalGaussian(torch.zeros(1, 1), torch.zeros(1, 1))
    >>> weigh(StandardNormal(1), q, torch.ones(1, 1, 1))[1].tolist()  # q is p
    [[0.0]]
    """
    if isinstance(prior, StandardNormal) and isinstance(posterior, DiagonalGaussian):
        y = posterior.rsample(noise)
        if prior.image is not None:
            return y, -prior.image.log_ratio(posterior, y, noise)
        return y, 0.5 * (noise.square() + posterior.log_variance - y.square()).sum(-1)  # the constants cancel
    y, log_q = posterior.draw(noise)
    return y, prior.log_prob(y) - log_q
