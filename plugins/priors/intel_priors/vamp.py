r"""How does an encoder make a prior? By the posteriors of inputs that are learned, the VampPrior.

.. math:: p(y) = \frac1K \sum_{k=1}^K q(y|u_k)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from intel_core.errors import SpecError
from intel_core.model.posterior import DiagonalGaussian, Posterior
from intel_core.model.prior import Prior
from intel_priors.densities import component_log_probs, widest
from intel_priors.spreading import spread_rows

__all__ = ["MixtureOfPosteriors", "VampPrior"]

_ROWS = 8192
"""Draws whose densities are computed at once: with 500 components, 32 MB in float64."""
_COARSE = 4
"""Initial pseudo-images are noise of this many values a side, enlarged."""
_EXAMPLES, _EXAMPLES_EACH = 4096, 8
"""Of so many training examples, or so many times K, those are chosen at which pseudo-inputs begin."""
_APART = 0.01
"""How far from its example a pseudo-input begins, in standard deviations: those of equal examples would stay equal."""


class MixtureOfPosteriors(NamedTuple):
    r"""K Gaussians of equal shares with independent dimensions, both tensors of shape ``(K, y_dim)``.

    .. math:: \log p(y) = \log \frac1K \sum_k \prod_j N(y_j; \mu_{kj}, \sigma_{kj}^2)

    All pairs of draws and components come from matrix products (`component_log_probs`).

    >>> prior = MixtureOfPosteriors(torch.zeros(3, 2), torch.zeros(3, 2))
    >>> prior.k, prior.noise_dim, round(float(prior.log_prob(torch.zeros(2))), 6)  # -log(2 pi)
    (3, 3, -1.837877)
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def k(self) -> int:
        """How many components."""
        return self.mean.shape[-2]

    @property
    def noise_dim(self) -> int:
        """One number for the component, then those of its Gaussian."""
        return self.mean.shape[-1] + 1

    def draw(self, noise: Tensor) -> Tensor:
        r"""``(..., y_dim + 1) -> (..., y_dim)``: the component is :math:`\lfloor K \Phi(\epsilon_0) \rfloor`."""
        # In float64: in float32 large noise comes in steps, and Phi of it would favour some of many components.
        component = (self.k * torch.special.ndtr(noise[..., 0].to(widest(noise.device)))).long().clamp(0, self.k - 1)
        std = torch.exp(0.5 * self.log_variance)
        return self.mean[component] + std[component] * noise[..., 1:]

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        return torch.cat([torch.logsumexp(part, -1) for part in self._joint(y)]).reshape(y.shape[:-1]).to(y.dtype)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``: log p(component|y), nats."""
        parts = [torch.log_softmax(part, -1) for part in self._joint(y)]
        return torch.cat(parts).reshape(*y.shape[:-1], self.k).to(y.dtype)

    def _joint(self, y: Tensor) -> list[Tensor]:
        """Log of each component's share times its density, ``(rows, K)``, some rows at a time."""
        log_stds, share = 0.5 * self.log_variance, math.log(self.k)
        rows = torch.split(y.reshape(-1, y.shape[-1]), _ROWS)
        return [component_log_probs(part, self.mean, log_stds) - share for part in rows]


class VampPrior(nn.Module):
    r"""p(y) is the mean of q(y|u_k) over K pseudo-inputs u_k, which are learned with the networks.

    The model encodes them, in training in one batch with the data (`FromEncoder`). With ``squash="sigmoid"`` the
    parameters are logits of values in (0, 1): unlike a clipped value, a logit always has a gradient.

    At first, pseudo-images are smooth random shapes on a dark ground, not noise: all pictures of independent
    pixels have nearly the same code, and the components would start as one. Other pseudo-inputs begin at training
    examples (`begin_at`): components have equal shares and seldom go from one cluster of the data to another, so each
    cluster keeps as many of them as it has at first. Until they are shown data they are N(0, I). Random numbers are
    drawn from torch's default generator.

    Source: Tomczak and Welling, VAE with a VampPrior, 2018.

    Args:
        components: K.
        x_shape: shape of one example.
        squash: ``sigmoid`` or ``none``; ``auto`` is sigmoid for images ``(C, H, W)``, none for everything else.
        start: ``data``, or ``noise`` for random shapes and N(0, I); ``auto`` is noise for images, else data.

    Raises:
        ValueError: if there is no component.

    >>> prior = VampPrior(5, (1, 8, 8))
    >>> u = prior.inputs()
    >>> u.shape, bool((u > 0).all() and (u < 1).all())
    (torch.Size([5, 1, 8, 8]), True)
    """

    def __init__(
        self,
        components: int,
        x_shape: tuple[int, ...],
        squash: Literal["auto", "sigmoid", "none"] = "auto",
        start: Literal["auto", "data", "noise"] = "auto",
    ) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"a mixture needs at least 1 component, there are {components}")
        is_image = len(x_shape) == 3
        self.squashed = is_image if squash == "auto" else squash == "sigmoid"
        self.from_data = not is_image if start == "auto" else start == "data"
        self.raw = nn.Parameter(_shapes(components, x_shape) if is_image else torch.randn(components, *x_shape))
        if is_image and not self.squashed:
            self.raw.data.sigmoid_()

    def inputs(self) -> Tensor:
        """The pseudo-inputs, ``(K, *x_shape)``."""
        return torch.sigmoid(self.raw) if self.squashed else self.raw

    def begin_at(self, examples: Callable[[int], Tensor]) -> None:
        """Begin at examples of the training data, if that was asked for: one from each part of the data.

        The parts have equally many examples (`intel_priors.spreading.spread_rows`), so that clusters get components in
        proportion to their shares. If there are fewer examples than components, some components begin at random.
        """
        if not self.from_data:
            return
        found = examples(max(_EXAMPLES, _EXAMPLES_EACH * len(self.raw)))
        chosen = found[spread_rows(found.flatten(1), min(len(self.raw), len(found)))]
        start = torch.logit(chosen, eps=0.01) if self.squashed else chosen
        noise = self.raw.data[: len(start)]
        noise.mul_(_APART * found.std(0) if not self.squashed and len(found) > 1 else _APART).add_(start)

    def given(self, posterior: Posterior) -> Prior:
        """The mixture of the posteriors of the pseudo-inputs, a `MixtureOfPosteriors`.

        Raises:
            SpecError: if they are no Gaussians with independent dimensions.
        """
        if not isinstance(posterior, DiagonalGaussian):
            raise SpecError(
                f"prior vamp needs posterior gaussian: it has to know q(y|x) at any y, and {type(posterior).__name__} "
                "has the density of its own draws only"
            )
        # A protocol's attributes can be assigned to, those of a NamedTuple cannot; nobody does.
        return cast(Prior, MixtureOfPosteriors(posterior.mean, posterior.log_variance))


def _shapes(k: int, x_shape: tuple[int, ...]) -> Tensor:
    """Logits of k images of smooth shapes."""
    channels, height, width = x_shape
    coarse = torch.randn(k, channels, min(_COARSE, height), min(_COARSE, width))
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return 3 * smooth - 2
