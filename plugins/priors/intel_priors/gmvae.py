"""What is the prior of a GM-VAE? A mixture whose components are bent by a Gaussian w of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intel_priors.densities import NARROWEST, choose, widest

__all__ = ["GMVAEPrior"]


class GMVAEPrior(nn.Module):
    r"""y = (v, w): w is Gaussian, a component c is one of K, and v is Gaussian given both; c is summed out.

    .. math:: p(v, w) = N(w; 0, I)\, \frac1K \sum_c N(v; \mu_c(w), diag(\sigma_c^2(w)))

    :math:`\mu_c` and :math:`\log \sigma_c` are linear in one layer of tanh units of w, hence bounded. The mapping
    ``first:keep=`` hands v, the first dimensions of y, to the decoder. Since c is summed out, one Gaussian q(v, w|x) is
    the whole posterior, and p(c|v, w) are the responsibilities. A draw takes ``y_dim + 1`` numbers, the first of which
    says which component.

    It offers `Mixture` and `TakesClusters`; shares are 1/K, whatever those of the clusters are.

    Args:
        y_dim: dimensions of v and w together.
        k: number of components.
        w: dimensions of w, the last ones of y.
        hidden: number of tanh units.

    Raises:
        ValueError: if no dimension is left for v.

    Source: Dilokthanakul et al., 2016; the authors keep q(c|x), here p(c|v, w) is exact.

    >>> prior = GMVAEPrior(5, k=3, w=2)
    >>> prior.draw(torch.zeros(7, 6)).shape, prior.log_responsibilities(torch.zeros(7, 5)).shape
    (torch.Size([7, 5]), torch.Size([7, 3]))
    """

    def __init__(self, y_dim: int, k: int = 10, w: int = 10, hidden: int = 500) -> None:
        super().__init__()
        if w >= y_dim:
            raise ValueError(
                f"w has {w} of the {y_dim} latent dimensions, so none is left for v: take more latent dimensions "
                f"(w and those that first:keep= hands to the decoder) or a smaller w"
            )
        self.k, self.w, self.v = k, w, y_dim - w
        self.noise_dim = y_dim + 1
        self.trunk = nn.Linear(w, hidden)
        self.means = nn.Linear(hidden, k * self.v)
        self.log_stds = nn.Linear(hidden, k * self.v)

    def _parts(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """V and w."""
        return y[..., : self.v], y[..., self.v :]

    def _components(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """μ_c(w) and log σ_c(w), ``(..., w) -> (..., K, v)`` twice."""
        hidden = torch.tanh(self.trunk(w))
        size = (*w.shape[:-1], self.k, self.v)
        return self.means(hidden).reshape(size), self.log_stds(hidden).reshape(size)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., y_dim + 1) -> (..., y_dim)``."""
        which, (v, w) = noise[..., 0], self._parts(noise[..., 1:])
        means, log_stds = self._components(w)
        component = choose(which, means.new_full((self.k,), -math.log(self.k)))
        here = component[..., None, None].expand(*component.shape, 1, self.v)
        mean, log_std = (part.gather(-2, here).squeeze(-2) for part in (means, log_stds))
        return torch.cat([mean + log_std.exp() * v, w], -1)

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        w = self._parts(y)[1].to(widest(y.device))
        of_w = -0.5 * (w.square() + math.log(2 * math.pi)).sum(-1)
        return (of_w + torch.logsumexp(self._of_v(y), -1) - math.log(self.k)).to(y.dtype)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``: log p(c|v, w), nats."""
        return torch.log_softmax(self._of_v(y), -1).to(y.dtype)

    def _of_v(self, y: Tensor) -> Tensor:
        """Log N(v; μ_c(w), σ_c²(w)) of each component, ``(..., K)``."""
        # Every example has means of its own, so a matrix product does not help here.
        v, w = self._parts(y)
        means, log_stds = self._components(w)
        scaled = (v.unsqueeze(-2) - means) * torch.exp(-log_stds)
        parts = 0.5 * scaled.square() + log_stds
        found: Tensor = -parts.sum(-1, dtype=widest(y.device)) - 0.5 * self.v * math.log(2 * math.pi)
        return found

    @torch.no_grad()
    def forget_clusters(self) -> None:
        """See `intel_core.helpers.shares.TakesClusters`."""
        for layer in (self.means, self.log_stds):
            layer.weight.zero_()
            layer.bias.zero_()

    @torch.no_grad()
    def take_clusters(self, means: Tensor, stds: Tensor, proportions: Tensor) -> None:
        """See there: at first, the components do not depend on w."""
        self.forget_clusters()
        self.means.bias.copy_(self._parts(means)[0].flatten())
        self.log_stds.bias.copy_(self._parts(stds)[0].clamp(min=NARROWEST).log().flatten())

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"k={self.k}, v={self.v}, w={self.w}"
