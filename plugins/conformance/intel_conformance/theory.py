r"""What does Theorem 1 say about a mapping and a posterior?

A mapping can only lose information, so with one and the same g in training and generation

.. math:: KL(g_\# q \| g_\# p) \le KL(q(y|x) \| N(0, I)),

and the ELBO on z is tighter than that on y, by the difference. The right side has a closed form. The left side has none
for most mappings, so it is bounded from below by samples, with a proven confidence (`intel_conformance.kl_bounds`). If
that bound exceeds the right side, training and generation do not use the same g, since the theorem holds otherwise.

All divergences are in nats per example, all arithmetic is in float64 on the CPU.

Source: Miao et al., Theorem 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intel_conformance.kl_bounds import KLBound, kl_lower_bound
from intel_core.data.values import to_float
from intel_core.mappings.compose import properties_of
from intel_core.mappings.contract import Mapping
from intel_core.model.posterior import DiagonalGaussian
from intel_core.model.prior import StandardNormal
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream

__all__ = ["MeanTheorem1", "Theorem1", "theorem1", "tightening"]

_ROWS = 1 << 16


class Theorem1(NamedTuple):
    """The two sides of Theorem 1 for one posterior, in nats.

    Attributes:
        kl_y: KL(q(y|x) ‖ N(0, I)) in closed form.
        kl_z: what samples show about KL(q(z|x) ‖ p(z)).
        injective: whether the mapping declares that it is injective. If it does, both sides are equal in exact
            arithmetic, and `tightening` is what the critic misses, or what g keeps only in the last digits (the radius
            of a circle with a tiny ε).
    """

    kl_y: float
    kl_z: KLBound
    injective: bool

    @property
    def tightening(self) -> float:
        """The estimate of how much tighter the ELBO on z is.

        It is too large by as much as `kl_z` is too small: by a lot from about 3 nats on, because the critic is clipped.
        The value for the same posterior under the identity, whose true tightening is 0, shows by how much.
        """
        return _gap(self.kl_y, self.kl_z.estimate)

    @property
    def at_most(self) -> float:
        """An upper bound of how much tighter the ELBO on z is, wrong with a probability of at most ``kl_z.level``."""
        return _gap(self.kl_y, self.kl_z.lower)

    @property
    def violated(self) -> bool:
        """Whether the bound exceeds KL in y; with one g on both paths, with a probability of at most ``kl_z.level``."""
        return self.kl_z.lower > self.kl_y


class MeanTheorem1(NamedTuple):
    """Theorem 1 for several examples of a trained model; all numbers are means over them, in nats per example.

    Attributes:
        each: Theorem 1 for each example, in order, each with its share of `level`.
        level: the probability with which any of the lower bounds, and so their mean, may be wrong.
    """

    each: tuple[Theorem1, ...]
    level: float

    @property
    def kl_y(self) -> float:
        """KL(q(y|x) ‖ N(0, I)) in closed form."""
        return math.fsum(one.kl_y for one in self.each) / len(self.each)

    @property
    def lower(self) -> float:
        """A lower bound of KL(q(z|x) ‖ p(z)), wrong with a probability of at most `level`."""
        return math.fsum(one.kl_z.lower for one in self.each) / len(self.each)

    @property
    def estimate(self) -> float:
        """The estimate of KL(q(z|x) ‖ p(z)), which is too low rather than too high."""
        return math.fsum(one.kl_z.estimate for one in self.each) / len(self.each)

    @property
    def injective(self) -> bool:
        """Whether the mapping declares that it is injective; see `Theorem1`."""
        return self.each[0].injective

    @property
    def tightening(self) -> float:
        """The estimate of how much tighter the ELBO on z is; see `Theorem1.tightening` for its error."""
        return _gap(self.kl_y, self.estimate)

    @property
    def at_most(self) -> float:
        """An upper bound of how much tighter the ELBO on z is, wrong with a probability of at most `level`."""
        return _gap(self.kl_y, self.lower)

    @property
    def violated(self) -> bool:
        """Whether it is violated for any example; with one g on both paths, with a probability of at most `level`."""
        return any(one.violated for one in self.each)


def _gap(kl_y: float, kl_z: float) -> float:
    return max(0.0, kl_y - max(0.0, kl_z))


@torch.no_grad()
def theorem1(
    mapping: Mapping,
    mean: Tensor,
    log_variance: Tensor,
    *,
    n: int = 300_000,
    alpha: float = 1e-9,
    seed: int = 0,
) -> Theorem1:
    r"""Both sides of Theorem 1 for one posterior :math:`q = N(\mu, diag(e^{\lambda}))` and the prior N(0, I).

    Both are drawn in float64, rounded to the dtype of the mapping (that of `mean` if the mapping has no parameters) and
    mapped in batches. The rounding is thus a part of g and the same on both paths, so that the inequality holds for the
    rounded values too. For an injective mapping there is equality, see `Theorem1`.

    This cannot detect a mapping whose rows depend on each other in the same way on both paths, such as a batch norm in
    training mode, which lowers the KL. For rows from another source, such as a step of training, use
    `intel_conformance.kl_bounds.kl_lower_bound`.

    Args:
        mapping: g, on any device, in the mode it is in.
        mean: μ, shape ``(y_dim,)``.
        log_variance: λ, shape ``(y_dim,)``.
        n: number of draws of each.
        alpha: the probability with which the bound on KL(q(z|x) ‖ p(z)) may be wrong.
        seed: of the draws and of the critic.

    Raises:
        ValueError: if the shapes do not fit the mapping, a value of μ, λ or z is not finite, n < 4, or α is not in
            (0, 1).

    Source: Miao et al., Theorem 1.

    >>> from intel_core import Identity
    >>> found = theorem1(Identity(1), torch.tensor([1.0]), torch.tensor([0.0]), n=50_000)
    >>> found.kl_y, found.injective, found.violated
    (0.5, True, False)
    >>> 0.25 < found.kl_z.lower < 0.5
    True
    """
    posterior = DiagonalGaussian(mean.detach(), log_variance.detach())
    for what, values in zip(posterior._fields, posterior, strict=True):
        if values.shape != (mapping.y_dim,) or not values.is_floating_point():
            shape = tuple(values.shape)
            raise ValueError(f"{what} is {values.dtype} of shape {shape}, expected floats of shape ({mapping.y_dim},)")
    return _compare(mapping, posterior, _prior_of_z(mapping, posterior, n, seed), alpha, seed)


@torch.no_grad()
def tightening(model: InteLVAE, x: Tensor, *, n: int = 300_000, alpha: float = 1e-9, seed: int = 0) -> MeanTheorem1:
    r"""Both sides of Theorem 1 for the posteriors of a few examples by a trained model, and their means.

    Each of k examples gets a bound at α/k. By the union bound all of them hold, and so does their mean, except with a
    probability of α. The examples share the draws of the prior, which the union bound allows. On one core with
    n = 300,000 an example takes half a second in 2 dimensions of z, and ten seconds in 64.

    Args:
        model: its encoder and its mapping are used in evaluation mode; its mode is restored.
        x: examples ``(k, *x_shape)``, uint8 or float.
        n: number of draws of each posterior and of the prior.
        alpha: the probability with which any of the bounds may be wrong.
        seed: of the draws and of the critics.

    Raises:
        ValueError: if there is no example, a mean, a log-variance or a value of z is not finite, n < 4, or α is not
            in (0, 1).

    Source: Miao et al., Theorem 1.
    """
    if len(x) == 0:
        raise ValueError("at least one example is needed")
    was_training = model.training
    model.eval()
    try:
        encoded = model.encode(to_float(x.to(next(model.parameters()).device)))
        if not isinstance(encoded, DiagonalGaussian) or not isinstance(model.prior, StandardNormal):
            raise ValueError("prior or posterior of another kind: this test is for N(0, I) and a diagonal Gaussian")
        means, log_variances = encoded
        posteriors = [DiagonalGaussian(*pair) for pair in zip(means, log_variances, strict=True)]
        prior = _prior_of_z(model.mapping, posteriors[0], n, seed)
        each = tuple(
            _compare(model.mapping, posterior, prior, alpha / len(x), stream(seed, f"theorem1/{i}"))
            for i, posterior in enumerate(posteriors)
        )
    finally:
        model.train(was_training)
    return MeanTheorem1(each, alpha)


def _prior_of_z(mapping: Mapping, like: DiagonalGaussian, n: int, seed: int) -> Tensor:
    """Draws of p(z), in the dtype that `like` gives to a mapping without parameters."""
    zeros = torch.zeros_like(like.mean)
    return _draws(mapping, DiagonalGaussian(zeros, zeros), n, stream(seed, "theorem1/prior"))


def _compare(mapping: Mapping, posterior: DiagonalGaussian, prior: Tensor, alpha: float, seed: int) -> Theorem1:
    """Theorem 1 for one posterior, vectors of shape ``(y_dim,)``, against draws of p(z)."""
    wide = DiagonalGaussian(*(values.cpu().double() for values in posterior))
    for what, values in zip(wide._fields, wide, strict=True):
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{what} holds NaN or infinity")
    z = _draws(mapping, posterior, len(prior), stream(seed, "theorem1/posterior"))
    return Theorem1(
        kl_y=float(wide.kl().sum()),
        kl_z=kl_lower_bound(z, prior, alpha=alpha, seed=seed),
        injective=properties_of(mapping).injective,
    )


def _draws(mapping: Mapping, posterior: DiagonalGaussian, n: int, seed: int) -> Tensor:
    """`n` draws of g(y), ``(n, z_dim)`` in float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    parameter = next(mapping.parameters(), None) if isinstance(mapping, nn.Module) else None
    like = posterior.mean if parameter is None else parameter
    wide = DiagonalGaussian(*(values.cpu().double() for values in posterior))
    parts = [torch.zeros(0, mapping.z_dim, dtype=torch.float64)]
    for start in range(0, n, _ROWS):
        noise = torch.randn(min(_ROWS, n - start), mapping.y_dim, generator=generator, dtype=torch.float64)
        parts.append(mapping(wide.rsample(noise).to(like.dtype).to(like.device)).cpu().double())
    return torch.cat(parts)
