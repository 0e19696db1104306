r"""How is the gradient of the ELBO computed where encoder and decoder are dense networks?

The networks, the likelihood if it knows its derivative, and the usual posterior with its KL term are differentiated by
hand. What else lies between the networks, mappings, priors and posteriors of any kind, is left to autograd.

With :math:`y = \mu + \sigma \epsilon`, g the gradient with respect to y of what is minimised but for the KL term, and w
the weight of that term, the gradients are

.. math:: \partial_\mu = g + w\, \partial_\mu KL, \qquad
    \partial_{\log\sigma^2} = \tfrac12 g \sigma \epsilon + w\, \partial_{\log\sigma^2} KL.

Operations follow each other as autograd's do: for the vanilla VAE numbers are its own bit for bit, else up to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from typing import Any, cast

import torch
from torch import Tensor

from intel_core.compute.dense import DenseNetwork
from intel_core.helpers.directions_kl import Differentiated
from intel_core.helpers.pushforward import Image, ScaledFamily
from intel_core.model.divergence import draw, kl_terms
from intel_core.model.likelihood import Likelihood
from intel_core.model.objectives import ELBO, Objective, Terms
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian, Posterior
from intel_core.model.prior import FromEncoder, StandardNormal
from intel_core.model.vae import InteLVAE, plainly

__all__ = ["DenseELBO", "differentiated"]


def differentiated(objective: Objective, model: InteLVAE) -> Objective:
    """The objective, with a gradient of its own if it is the ELBO and both networks are dense ones on a CPU.

    >>> from intel_core.likelihoods.densities import Gaussian
    >>> from intel_core.mappings.building import load_mapping
    >>> from intel_core.networks.layers import mlp_decoder, mlp_encoder
    >>> networks = mlp_encoder((3,), (8,), 4, "tanh"), mlp_decoder(2, (8,), (3,), "tanh")
    >>> model = InteLVAE(networks[0], load_mapping("identity", 2), networks[1], Gaussian("fixed", 1.0, 0.0))
    >>> type(differentiated(ELBO(), model)).__name__
    'DenseELBO'
    """
    if type(objective) is not ELBO or model.apply_network is not plainly or isinstance(model.prior, FromEncoder):
        return objective
    if model.condition_dim:
        return objective
    encoder, decoder = DenseNetwork.of(model.encoder), DenseNetwork.of(model.decoder)
    if encoder is None or decoder is None:
        return objective
    return DenseELBO(objective.beta, model, encoder, decoder)


_DifferentiatedKL = Callable[[DiagonalGaussian, Tensor, float], Differentiated | None]
"""A function of q(y|x), noise ``(n, y_dim)`` and the term's weight; None where the gradients are not known."""


class DenseELBO(ELBO):
    """The ELBO of a model with dense networks; called, it is `ELBO`.

    Args:
        beta: as of `ELBO`.
        model: the model.
        encoder: its encoder by hand.
        decoder: its decoder by hand.
    """

    def __init__(self, beta: float, model: InteLVAE, encoder: DenseNetwork, decoder: DenseNetwork) -> None:
        super().__init__(beta)
        self._encoder, self._decoder, self._latent = encoder, decoder, (model.family, model.prior)
        self._kl = _differentiated_kl(model)  # by hand; None where it is left to autograd

    @torch.no_grad()
    def differentiate(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """The terms, as of a call, and the gradient of the loss in ``grad`` of all parameters, where none was."""
        if not self._applies(model):
            with torch.enable_grad():
                terms = self(model, x, noise, weights)
            torch.autograd.backward(terms.loss)
            return terms
        weight, noise = self.beta * weights.get("kl", 1.0), noise[0]
        features = self._encoder.forward(x)
        gaussian = DiagonalGaussian(*features.chunk(2, dim=-1))
        by_hand = None if self._kl is None else self._kl(gaussian, noise, weight)
        posterior: Posterior = gaussian
        with torch.enable_grad():
            if by_hand is None:
                posterior = model.family(features.requires_grad_())
                y, known = draw(model.prior, posterior, noise)
            else:
                y = by_hand.y.requires_grad_()
            z, regularisers = model.map(y)
        log_likelihood, of_z = self._decoded(model.likelihood, z, x)
        factors = {name: model.regularisers[name] * weights.get(name, 1.0) for name in regularisers}
        following = [(z, of_z), *((term, torch.full_like(term, factors[name])) for name, term in regularisers.items())]
        if by_hand is None:
            with torch.enable_grad():
                kl, others = kl_terms(model.prior, posterior, y, known)
            _follow([*following, (kl, torch.full_like(kl, weight))])
            of_features = features.grad
        else:
            kl, others, of_y = by_hand.kl, by_hand.others, of_z
            if z is not y or regularisers:
                _follow(following)
                of_y = cast(Tensor, y.grad)
            of_std = (of_y * noise).mul_(by_hand.std).mul_(0.5)  # with respect to the logarithm of its square
            of_features = torch.cat([of_y + by_hand.of_mean, by_hand.of_log_variance.add_(of_std)], dim=-1)
        if of_features is not None:
            self._encoder.backward(of_features, of_input=False)
        loss = (kl if weight == 1.0 else weight * kl) - log_likelihood
        for name, term in regularisers.items():
            loss = loss + factors[name] * term
        return Terms(loss, log_likelihood, kl, {**regularisers, **others}, posterior)

    def _applies(self, model: InteLVAE) -> bool:
        """Whether nobody watches a part, or has put another in its place, who would be passed over."""
        return (
            model.training
            and not model.calls
            and "map" not in vars(model)
            and (model.family, model.prior) == self._latent
            and self._encoder.stands_for(model.encoder)
            and self._decoder.stands_for(model.decoder)
        )

    def _decoded(self, likelihood: Likelihood, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """``E_q log p(x|z)`` at z, and the gradient of its negative with respect to z; the decoder gets its own."""
        params = self._decoder.forward(z.detach())
        known = getattr(likelihood, "mean_log_prob_and_gradient", _unknown)(params, x)
        if known is None:
            with torch.enable_grad():
                log_likelihood = likelihood.mean_log_prob(params.requires_grad_(), x)
                torch.autograd.backward(-log_likelihood)
            of_params = cast(Tensor, params.grad)
        else:
            log_likelihood, of_params = known[0], known[1].neg_()
        return log_likelihood.detach(), cast(Tensor, self._decoder.backward(of_params, of_input=True))


def _unknown(params: Tensor, x: Tensor) -> None:
    """Of likelihoods that do not offer a gradient."""


def _follow(outputs: list[tuple[Tensor, Tensor]]) -> None:
    """Follow the gradients of outputs backwards, but of those on which nothing depends."""
    wanted = [(output, gradient) for output, gradient in outputs if output.requires_grad]
    if wanted:
        with torch.enable_grad():
            gradients = [gradient for _, gradient in wanted]
            scalar = _WithGradients.apply(gradients, *(output for output, _ in wanted))  # type: ignore[no-untyped-call]
        torch.autograd.backward(scalar)


class _WithGradients(torch.autograd.Function):
    """A scalar of which outputs have the gradients that are given.

    ``torch.autograd.backward(outputs, gradients)`` is the same, and imports torch's symbolic shapes and SymPy (0.3 s).
    """

    @staticmethod
    def forward(ctx: Any, gradients: list[Tensor], *outputs: Tensor) -> Tensor:
        ctx.gradients = gradients
        return outputs[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.gradients


# --- the KL term of a diagonal Gaussian and N(0, I) ---------------------------------------------------------------


def _differentiated_kl(model: InteLVAE) -> _DifferentiatedKL | None:
    usual = type(model.family) is DiagonalFamily or type(model.family) is ScaledFamily
    if not usual or type(model.prior) is not StandardNormal:
        return None
    image = model.prior.image
    if image is None:
        return _in_closed_form
    return image.differentiated if isinstance(image, Image) else None


def _in_closed_form(posterior: DiagonalGaussian, noise: Tensor, weight: float) -> Differentiated:
    r""":math:`KL = \frac1{2n} \sum (\mu^2 + \sigma^2 - 1 - \log\sigma^2)`, as `DiagonalGaussian.mean_kl` has it."""
    mean, log_variance = posterior
    half = _half(len(mean), weight, mean.dtype)
    std, more = posterior.std, torch.expm1(log_variance)
    kl = (mean.square() + (more - log_variance)).sum() * (0.5 / len(mean))
    of_log_variance = more.add_(1.0).mul_(half).sub_(half)
    return Differentiated(torch.addcmul(mean, noise, std), std, kl, mean * (2 * half), of_log_variance, {})


@functools.lru_cache(maxsize=64)
def _half(n: int, weight: float, dtype: torch.dtype) -> Tensor:
    """``weight / 2n``, rounded as by autograd."""
    return torch.full((), weight, dtype=dtype) * (0.5 / n)
