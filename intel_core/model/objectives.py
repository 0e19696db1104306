r"""What is optimised? The ELBO on y, its weighted form, and the importance-weighted bound.

Every number is a sum over the values of x and the dimensions of y, and a mean over examples: nats per example.
Training and evaluation call the same objective. Noise is an argument, so that nothing here is random.

With :math:`y_k = \mu + \sigma \epsilon_k`, :math:`z_k = g(y_k)`:

- ELBO (Eq. 2): :math:`E_q \log p(x|z) - KL(q(y|x) \| p(y))`, the second term in closed form where there is one.
- IWAE: :math:`\log \frac1K \sum_k p(x|z_k)\, p(y_k) / q(y_k|x)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Dictionary
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from intel_core.model.divergence import draw, kl_terms, knows, weigh
from intel_core.model.posterior import Posterior
from intel_core.model.vae import InteLVAE

__all__ = ["ELBO", "IWAE", "Objective", "Terms", "log_importance_weights"]


class Terms(NamedTuple):
    """The terms of the loss for one batch, each a scalar tensor in nats per example.

    Attributes:
        loss: what is minimised, weights included.
        log_likelihood: ``E_q log p(x|z)``.
        kl: ``KL(q(y|x) || p(y))``, or in z, see `intel_core.model.divergence`; the ELBO is ``log_likelihood - kl``.
        others: the mapping's auxiliary losses, unweighted, and further numbers that the objective reports, by name.
        posterior: q(y|x) of the batch.
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    others: dict[str, Tensor]
    posterior: Posterior

    def numbers(self) -> dict[str, Tensor]:
        """Everything but the posterior by name, detached from the graph."""
        named = {"loss": self.loss, "log_likelihood": self.log_likelihood, "kl": self.kl, **self.others}
        return {name: value.detach() for name, value in named.items()}


class Objective(Protocol):
    """A bound to maximise; ``particles`` is how many draws of y it takes per example."""

    particles: int

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """Terms for a batch ``x``, ``(n, *x_shape)``, and standard normal ``noise``, ``(particles, n, noise_dim)``.

        ``weights`` holds the current factor of ``"kl"`` and of the mapping's regularisers; a term that is missing
        there has factor 1.
        """
        ...


class ELBO:
    """``loss = -(log_likelihood - beta * w * kl) + regularisers``, w the scheduled weight of the KL term.

    Source: Miao et al., Eq. (2); beta as in Higgins et al., 2017.
    """

    particles = 1

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """See `Objective`."""
        posterior, prior = model.infer(x)
        y, known = draw(prior, posterior, noise[0])
        z, regularisers = model.map(y)
        log_likelihood = model.likelihood.mean_log_prob(model.decode(z), x)
        # After decoding: before it, the gradients would be summed in another order.
        kl, others = kl_terms(prior, posterior, y, known)
        weight = self.beta * weights.get("kl", 1.0)
        loss = (kl if weight == 1.0 else weight * kl) - log_likelihood
        loss = _add_regularisers(loss, regularisers, model.regularisers, weights)
        return Terms(loss, log_likelihood, kl, {**regularisers, **others}, posterior)


class IWAE:
    """``loss = -mean log (1/K) sum_k exp(log p(x|z_k) + w (log p(y_k) - log q(y_k|x))) + regularisers``.

    Source: Burda et al., 2016; the paper's section 4 names it as a bound to combine the mapping with.
    """

    def __init__(self, particles: int) -> None:
        self.particles = particles

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """See `Objective`."""
        posterior, prior = model.infer(x)
        y, log_ratio = weigh(prior, posterior, noise)
        z, regularisers = model.map(y)
        log_likelihood = model.likelihood.log_prob(model.decode(z), x)
        # Reported with weight 1, whatever the weight of the warm-up in the loss.
        bound = _log_mean_exp(log_likelihood + log_ratio)
        weight = weights.get("kl", 1.0)
        optimised = bound if weight == 1.0 else _log_mean_exp(log_likelihood + weight * log_ratio)
        loss = _add_regularisers(-optimised, regularisers, model.regularisers, weights)
        with torch.no_grad():  # it is only told
            has = knows(prior, posterior)
            given = draw(prior, posterior, noise[0]) if has else None
            kl, others = (-log_ratio.mean((0, -1)), {}) if given is None else kl_terms(prior, posterior, *given)
        return Terms(loss, log_likelihood.mean((0, -1)), kl, {"iwae": bound, **regularisers, **others}, posterior)


def _log_mean_exp(log_weights: Tensor) -> Tensor:
    """Mean over examples of the log of the mean over particles, ``(K, ..., n) -> (...)``."""
    return (torch.logsumexp(log_weights, 0) - math.log(log_weights.shape[0])).mean(-1)


def log_importance_weights(model: InteLVAE, x: Tensor, noise: Tensor) -> Tensor:
    """``log p(x, y_k) / q(y_k|x)`` of each example, ``(K, n)``: their log-mean-exp estimates ``log p(x)``."""
    posterior, prior = model.infer(x)
    y, log_ratio = weigh(prior, posterior, noise)
    return model.likelihood.log_prob(model.decode(model.map(y)[0]), x) + log_ratio


def _add_regularisers(
    loss: Tensor, terms: Dictionary[str, Tensor], own: Dictionary[str, float], weights: Dictionary[str, float]
) -> Tensor:
    """``loss + sum_name own[name] * weights[name] * term``."""
    for name, term in terms.items():
        loss = loss + own[name] * weights.get(name, 1.0) * term
    return loss
