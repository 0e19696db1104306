r"""What is :math:`p(x|z)`? The base of all likelihoods, functions of the decoder's output.

Shapes, for one example of shape ``event = (D,)`` or ``(C, H, W)`` and parameters that have
``params_per_value`` times as many channels (the first dimension of the event)::

    log_prob: (..., n, *params_event), (n, *event) -> (..., n)     nats per example
    mean:     (n, *params_event) -> (n, *event)

In `log_prob` the parameters may carry leading dimensions (particles) that x does not have.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Likelihood"]


class Likelihood(nn.Module):
    """Base of all likelihoods: independent values given the decoder's output."""

    params_per_value: int = 1
    """How many outputs the decoder has for each value of x."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """``log p(x|z)``, summed over the values of an example: nats per example."""
        return self.log_density(params, x).flatten(-(x.dim() - 1)).sum(-1)

    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """The mean of `log_prob` over examples, for parameters without leading dimensions."""
        return self.log_density(params, x).sum() / x.shape[0]

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """``log p`` of each value, the shape of x with the parameters' leading dimensions."""
        raise TypeError(f"{type(self).__name__} does not define log_density")

    def mean(self, params: Tensor) -> Tensor:
        """The expectation of x, which is shown as a reconstruction or a sample."""
        raise TypeError(f"{type(self).__name__} does not define mean")

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw of x, noise included."""
        raise TypeError(f"{type(self).__name__} does not define sample")
