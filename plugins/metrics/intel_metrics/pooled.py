r"""Which Gaussian mixture do the encodings of the training data form? Fitted by EM, kept as plain tensors.

With one draw of q(y|x) for each training example, the mixture is fitted to the aggregate posterior

.. math:: q(y) = \frac1N \sum_i q(y|x_i)

and the number of components is the one under which the encodings of validation examples are likeliest.

Source: Ghosh et al., "From variational to deterministic autoencoders", 2020.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from intel_core.errors import SpecError
from intel_core.evaluation.sampler import FittedSampler

__all__ = ["TRIED", "PooledMixture", "fit"]

TRIED = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80)
"""Numbers of components that are tried, until two in a row are no better than the best."""
_EACH = 5
"""Examples for each component, at least."""


class PooledMixture:
    """A mixture of Gaussians; a draw takes ``y_dim + 1`` numbers, the first of which says which component.

    It offers `Mixture`.

    Args:
        log_weights: logarithms of the shares, ``(K,)``.
        means: ``(K, y_dim)``.
        scale: lower triangular matrices L with covariances L Lᵀ, ``(K, y_dim, y_dim)``.

    Raises:
        ValueError: if the shapes do not fit, or a matrix has no positive diagonal.

    >>> one = PooledMixture(torch.zeros(1), torch.ones(1, 2), torch.eye(2).unsqueeze(0))
    >>> one.draw(torch.tensor([[0.3, 0.5, -1.0]])).tolist()
    [[1.5, 0.0]]
    >>> float(one.log_prob(torch.ones(2)))  # -log(2 pi)
    -1.837877...
    """

    def __init__(self, log_weights: Tensor, means: Tensor, scale: Tensor) -> None:
        k, width = means.shape
        if log_weights.shape != (k,) or scale.shape != (k, width, width) or not k:
            raise ValueError(f"{tuple(log_weights.shape)} weights and {tuple(scale.shape)} scales for {k} means")
        if not bool((scale.diagonal(dim1=-2, dim2=-1) > 0).all()):
            raise ValueError("a component has no positive scale")
        self.k, self.noise_dim = k, width + 1
        self.means, self.scale = means, scale.tril()
        self.log_weights = torch.log_softmax(log_weights, 0)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., y_dim + 1) -> (..., y_dim)``."""
        u = torch.special.ndtr(noise[..., 0].double())
        ends = self.log_weights.double().exp().cumsum(0)[:-1]
        component = torch.bucketize(u, ends.to(u.device), right=True)
        means, scale = self.means.to(noise), self.scale.to(noise)
        y: Tensor = means[component] + (scale[component] @ noise[..., 1:, None]).squeeze(-1)
        return y

    def _by_component(self, y: Tensor) -> Tensor:
        means, scale, weights = self.means.to(y), self.scale.to(y), self.log_weights.to(y)
        away = (y[..., None, :] - means).unsqueeze(-1)
        white = torch.linalg.solve_triangular(scale, away, upper=False).squeeze(-1)
        volume = scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        terms: Tensor = weights - volume - 0.5 * (white.square() + math.log(2 * math.pi)).sum(-1)
        return terms

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        return torch.logsumexp(self._by_component(y), -1)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``: log p(component|y)."""
        return torch.log_softmax(self._by_component(y), -1)


def fit(y: Tensor, held_out: Tensor, components: int | None, *, full: bool = True, seed: int = 0) -> FittedSampler:
    """The Gaussian mixture of y, ``(n, y_dim)``.

    Args:
        y: encodings of training data.
        held_out: encodings of validation data, ``(m, y_dim)``.
        components: how many; None for the number under which `held_out` is likeliest.
        full: whether dimensions vary jointly within a component.
        seed: of the start of EM.

    Raises:
        SpecError: if there are too few examples for so many components.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    most = len(y) // _EACH
    if (components or 1) > most:
        raise SpecError(
            f"{components or 1} components need {_EACH * (components or 1)} training examples, there are {len(y)}"
        )
    inside, outside = y.double().numpy(), held_out.double().numpy()
    scores: list[tuple[float, int]] = []
    best, worse = None, 0
    for k in (components,) if components else [k for k in TRIED if k <= most]:
        covariance = "full" if full else "diag"
        mixture = GaussianMixture(k, covariance_type=covariance, random_state=seed % 2**32, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # whatever it has reached is judged on other data
            mixture.fit(inside)
        scores.append((float(mixture.score(outside)), k))
        if max(scores)[1] == k:
            best, worse = mixture, 0
        elif (worse := worse + 1) == 2:
            break
    assert best is not None
    means = torch.from_numpy(best.means_)
    if full:
        scale = torch.linalg.cholesky(torch.from_numpy(best.covariances_))
    else:
        scale = torch.diag_embed(torch.from_numpy(best.covariances_).sqrt())
    return FittedSampler(
        {"log_weights": torch.from_numpy(best.weights_).log(), "means": means, "scale": scale.tril()},
        {
            "components": int(best.n_components),
            "chosen by": "given" if components else "log-likelihood of validation encodings, nats per example",
            "log-likelihood of validation encodings": {str(k): score for score, k in scores},
            "covariance": "full" if full else "diagonal",
        },
    )
