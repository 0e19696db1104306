r"""How probable are examples under a model? log p(x) by importance sampling, and how reliable the estimate is.

With :math:`y_k \sim q(y|x)` and :math:`w_k = p(x|g(y_k))\, p(y_k) / q(y_k|x)`, both densities being of y, whatever g
is, or of :math:`z_k = g(y_k)` in a run whose KL term is that in z, where more of the draws count:

=============  ===============================================================================================
log p(x)       :math:`\log \frac1K \sum_k w_k`; its expectation is below log p(x) and rises to it with K
ELBO           :math:`\frac1K \sum_k \log w_k`, never above the former for the same draws
effective      :math:`(\sum_k w_k)^2 / \sum_k w_k^2`, between 1 and K: near 1, one draw decides alone, and
sample size    the estimate lies below log p(x) by an amount that it does not show
=============  ===============================================================================================

Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016; the effective sample size is Kong's,
1992.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.likelihoods.specs import BernoulliSpec
from intel_core.model.objectives import log_importance_weights
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream

__all__ = ["Estimates", "estimates", "log_likelihood", "measure"]

FEW = 10.0
"""Effective sample size below which the estimate for an example depends on a few draws."""
MANY = 0.1
"""The share of such examples from which on the mean is called doubtful."""
_VALUES = 1 << 21
"""Decoded numbers that are in memory at a time: 8 MB, and about ten times that inside a convolutional decoder."""


class Estimates(NamedTuple):
    """The results of importance sampling for each example, float64 tensors ``(n,)`` on the CPU.

    Attributes:
        log_p: the estimate of log p(x), in nats.
        half: the same from half of the draws, mean of both halves: if it is much lower, K is too small.
        elbo: the ELBO from the same draws, in nats.
        ess: the effective sample size, between 1 and K.
    """

    log_p: Tensor
    half: Tensor
    elbo: Tensor
    ess: Tensor


def estimates(log_weights: Tensor) -> Estimates:
    """Estimates from K >= 2 log-weights of each example, ``(K, n)``; sums are in float64 and relative to the largest.

    >>> found = estimates(torch.tensor([[0.0], [-1e9]]))
    >>> round(float(found.log_p), 4), float(found.ess), float(found.elbo)
    (-0.6931, 1.0, -500000000.0)
    """
    log_weights = log_weights.detach().double().cpu()
    k = len(log_weights)
    whole = torch.logsumexp(log_weights, 0)
    middle = k // 2
    parts = [torch.logsumexp(log_weights[i : i + middle], 0) for i in (0, k - middle)]
    return Estimates(
        whole - math.log(k),
        (parts[0] + parts[1]) / 2 - math.log(middle),
        log_weights.mean(0),
        torch.exp(2 * whole - torch.logsumexp(2 * log_weights, 0)).clamp(1, k),
    )


@torch.no_grad()
def log_likelihood(
    model: InteLVAE,
    x: Tensor,
    particles: int = 500,
    *,
    generator: torch.Generator | None = None,
    tell: Callable[[float], None] | None = None,
    conditions: Tensor | None = None,
) -> Estimates:
    r"""Estimates of :math:`\log p(x) = \log E_{q(y|x)} [p(x|g(y))\, p(y) / q(y|x)]` under the model's own likelihood.

    Memory does not grow with `n` or `particles`, except for one number per draw of a few examples at a time.

    Args:
        model: a model in evaluation mode.
        x: examples ``(n, *x_shape)``; bytes stand for ``x / 255``.
        particles: K, at least 2.
        generator: source of randomness on the model's device.
        tell: called with the share that is done, in [0, 1].
        conditions: of the examples ``(n, C)``, for a model that has some.

    Returns:
        See `Estimates`; nats per example, in the units of the model's x.

    Raises:
        ValueError: for fewer than two particles.

    >>> from intel_core import InteLVAE, load_mapping
    >>> from intel_core.likelihoods.densities import Gaussian
    >>> linear = torch.nn.Linear(2, 2), torch.nn.Linear(1, 2)
    >>> model = InteLVAE(linear[0], load_mapping("identity", 1), linear[1], Gaussian("fixed", 1.0, 0.0), (2,))
    >>> found = log_likelihood(model, torch.zeros(3, 2), 100)
    >>> found.log_p.shape, bool((found.log_p >= found.elbo).all())
    (torch.Size([3]), True)
    """
    if particles < 2:
        raise ValueError(f"importance sampling needs at least 2 particles, not {particles}")
    like = next(model.parameters())
    size = max(1, math.prod(model.x_shape) * model.likelihood.params_per_value)
    at_once = max(1, _VALUES // size)
    draws = min(particles, at_once)
    rows = max(1, at_once // draws)
    parts, done = [], 0
    examples = Split(x, conditions=conditions)
    for some in torch.split(torch.arange(len(x)), rows):
        part = examples.part(some)
        batch, given = to_float(part.x.to(like.device)), model.on(part.conditions)
        chunks = []
        for start in range(0, particles, draws):
            shape = (min(draws, particles - start), len(batch), model.noise_dim)
            noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
            chunks.append(log_importance_weights(given, batch, noise).cpu())
        parts.append(estimates(torch.cat(chunks)))
        done += len(batch)
        if tell is not None:
            tell(done / len(x))
    return Estimates(*(torch.cat(column) for column in zip(*parts, strict=True)))


def measure(
    subject: Subject,
    *,
    particles: int,
    limit: int,
    seed: int,
) -> Measurement:
    """Estimates of log p(x) of test examples, the ELBO, the gap between them, and how reliable they are.

    The arguments are the fields of `intel_metrics.specs.likelihood.LikelihoodSpec`.
    """
    split = subject.split("test")
    x, known = split.x[:limit], split.conditions
    if len(x) < 2:
        raise NotApplicableError(f"a mean and its error need at least 2 test examples, there are {len(x)}")
    generator = torch.Generator(subject.run.model_device).manual_seed(stream(seed, "importance"))
    told = f"log p(x) of {len(x):,} examples"
    found = log_likelihood(
        subject.model,
        x,
        particles,
        generator=generator,
        tell=lambda share: subject.tell(told, share),
        conditions=None if known is None else known[:limit],
    )
    if not bool(torch.isfinite(found.elbo).all()):
        bad = int((~torch.isfinite(found.elbo)).sum())
        raise NotApplicableError(f"log-weights of {bad} of {len(x)} test examples are not finite")
    poor = found.ess < FEW
    share = float(poor.double().mean())
    beside = {"with half the particles": float(found.half.mean())}
    scaling = subject.run.info["data"].get("scaling")
    if scaling is not None:
        # A density changes with its units, by the determinant of the scaling.
        beside["in the data's own units"] = float(found.log_p.mean()) - sum(math.log(std) for std in scaling["std"])
    nats = "nats per example"
    return Measurement(
        numbers={
            "log p": Number(
                value=float(found.log_p.mean()),
                error=_error(found.log_p),
                unit=nats,
                better="higher",
                beside=beside,
                about="importance-sampled log p(x)",
            ),
            "elbo": Number(
                value=float(found.elbo.mean()),
                error=_error(found.elbo),
                unit=nats,
                better="higher",
                about="the lower bound on the same examples, by the same draws",
            ),
            "gap": Number(
                value=float((found.log_p - found.elbo).mean()),
                error=_error(found.log_p - found.elbo),
                unit=nats,
                better="lower",
                about="log p - ELBO: how far q(y|x) is from the true posterior",
            ),
            "effective sample size": Number(
                value=float(found.ess.mean()),
                error=_error(found.ess),
                better="higher",
                beside={"particles": float(particles)},
                about="draws that count, mean over examples",
            ),
            "doubtful": Number(
                value=100 * share,
                unit="%",
                better="lower",
                about=f"examples with an effective sample size below {FEW:g}",
            ),
        },
        protocol={
            "particles": particles,
            "examples": len(x),
            "part": "test",
            "likelihood": str(subject.run.spec.likelihood),
            "prior and posterior": f"densities of {'z = g(y)' if subject.run.spec.kl == 'z' else 'y, before g'}",
            "errors": "standard error over examples",
            "seed": seed,
        },
        details={
            "ess quantiles": {f"{q:g}": float(found.ess.quantile(q)) for q in (0.0, 0.05, 0.25, 0.5, 0.75, 1.0)},
        },
        notes=tuple(_notes(subject, particles, share)),
    )


def _error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))


def _notes(subject: Subject, particles: int, doubtful: float) -> list[str]:
    notes = []
    support = subject.run.info["data"].get("support")
    if isinstance(subject.run.spec.likelihood, BernoulliSpec) and support != "binary":
        notes.append(
            "bernoulli on grey values: these are cross-entropies, not normalised log-likelihoods; compare them only "
            "with others of the same kind."
        )
    elif support != "binary" and subject.split("test").x.dtype == torch.uint8:
        notes.append("a density of bytes taken as x/255, without dequantisation: it has no bound.")
    if subject.run.info["data"].get("scaling") is not None:
        notes.append("The data are standardised: nats are those of the standardised values unless said otherwise.")
    if doubtful > MANY:
        notes.append(
            f"{doubtful:.0%} of the examples have an effective sample size below {FEW:g} of {particles}: log p is "
            "too low there by an unknown amount; raise particles, and compare with half of them."
        )
    return notes
