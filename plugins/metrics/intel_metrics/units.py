r"""Which dimensions of y carry information, and how much? Active units, KL per dimension, mutual information.

With N examples and :math:`q_N(y) = \frac1N \sum_j q(y|x_j)`, the mean KL is the sum of two parts:

.. math:: \frac1N \sum_i KL(q(y|x_i) \| p(y)) = I_q(i; y) + KL(q_N(y) \| p(y))

the information of y about the index of its example, and the KL of the mixture of all posteriors from the prior.

Sources: Burda, Grosse and Salakhutdinov, 2016 (active units); Hoffman and Johnson, "ELBO surgery", 2016.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from intel_core.data.values import to_float
from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.model.divergence import knows
from intel_core.model.posterior import DiagonalGaussian
from intel_core.model.prior import ClosedForm
from intel_core.randomness import stream
from intel_core.training.scoring import ACTIVE_VARIANCE

__all__ = ["active_by_kl", "active_by_variance", "index_information", "kl_per_dimension", "measure"]

DRAWS = 64
"""Draws of y of each example, where a KL has no closed form."""
_PAIRS = 1 << 22
"""Differences that are in memory at a time, 32 MB."""


def kl_per_dimension(mean: Tensor, std: Tensor) -> Tensor:
    r""":math:`\frac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)`, the KL of each posterior to N(0, 1).

    Args:
        mean: means of q(y|x), ``(n, D)``.
        std: its standard deviations, ``(n, D)``, positive.

    Returns:
        float64 ``(n, D)``, nats.

    >>> kl_per_dimension(torch.tensor([[1.0]]), torch.tensor([[1.0]])).tolist()
    [[0.5]]
    """
    return DiagonalGaussian(mean.double(), 2 * std.double().log()).kl()


def active_by_variance(mean: Tensor, threshold: float = ACTIVE_VARIANCE) -> Tensor:
    """Which dimensions have a posterior mean ``(n, D)`` whose variance over the examples exceeds a threshold, ``(D,)``.

    >>> active_by_variance(torch.tensor([[0.0, 1.0], [0.1, -1.0]])).tolist()
    [False, True]
    """
    return mean.double().var(0, correction=0) > threshold


def active_by_kl(mean: Tensor, std: Tensor, threshold: float = 0.01) -> Tensor:
    """Which dimensions have a mean KL to the prior above a threshold in nats, ``(D,)``; arguments ``(n, D)``.

    >>> active_by_kl(torch.tensor([[0.0, 1.0]]), torch.ones(1, 2)).tolist()
    [False, True]
    """
    return kl_per_dimension(mean, std).mean(0) > threshold


def index_information(mean: Tensor, std: Tensor, y: Tensor) -> Tensor:
    r"""Estimates :math:`\log q(y_i|x_i) - \log \frac1N \sum_j q(y_i|x_j)`, whose mean is the mutual information.

    It is unbiased for the mutual information of y and the index of the example among these N, which is at most log N
    and, in expectation over examples, at most that of y and x.

    Args:
        mean: means of q(y|x), ``(n, D)``.
        std: its standard deviations, ``(n, D)``, positive.
        y: one sample of each, ``(n, D)``.

    Returns:
        float64 ``(n,)``, nats.

    >>> far = torch.tensor([[0.0], [1000.0]])
    >>> index_information(far, torch.ones(2, 1), far).mul(1e4).round().tolist()  # ln 2
    [6931.0, 6931.0]
    """
    mean, std, y = mean.double(), std.double(), y.double()
    n, width = mean.shape
    scale = 1 / std
    offset = -std.log().sum(1)
    found = []
    for rows in torch.split(torch.arange(n), max(1, _PAIRS // (n * width))):
        squared = (y[rows].unsqueeze(1) - mean).mul_(scale).square_()  # in place: it is large
        log_q = offset - 0.5 * squared.sum(-1)
        found.append(log_q[torch.arange(len(rows)), rows] - torch.logsumexp(log_q, 1) + math.log(n))
    return torch.cat(found)


def measure(
    subject: Subject,
    *,
    limit: int,
    variance: float,
    least_kl: float,
    seed: int,
) -> Measurement:
    """Active dimensions of y, the KL to the prior, and the part of it that distinguishes examples.

    The arguments are the fields of `intel_metrics.specs.latent.UnitsSpec`; `least_kl` is its `kl`.
    """
    encoding = subject.encode(limit=limit, seed=seed)
    n, width = encoding.mean.shape
    if n < 2:
        raise NotApplicableError(f"a variance over examples needs 2 of them, there are {n}")
    spec = subject.run.spec
    usual = spec.prior.is_usual and spec.posterior.is_usual
    kl, total, gaussian = (None, None, True) if usual else divergences(subject, n, seed)
    if usual:
        kl = kl_per_dimension(encoding.mean, encoding.std)
        total = kl.sum(1)
    assert total is not None
    varies = active_by_variance(encoding.mean, variance)
    shared = index_information(encoding.mean, encoding.std, encoding.y) if gaussian else None
    prior = "N(0, I)" if spec.prior.is_usual else f"the prior, {spec.prior}"
    nats, most = "nats per example", math.log(n)
    notes = []
    if float(total.mean()) < least_kl:
        notes.append("The posterior is the prior: y says nothing of x (collapse).")
    if shared is not None and float(shared.mean()) > 0.9 * most:
        notes.append(
            f"The mutual information is close to log {n} = {most:.2f}, the most that {n} examples can show; the true "
            "one may be larger, and the aggregate's KL smaller."
        )
    if kl is None:
        notes.append(
            f"The KL of posterior {spec.posterior} from prior {spec.prior} has no closed form: it is a mean over "
            "draws and not a sum over dimensions, so that none are active by KL; count those that are by variance."
        )
    if shared is None:
        notes.append(f"The density of posterior {spec.posterior} is known at its draws alone: no mutual information.")
    return Measurement(
        numbers={
            "active by variance": Number(
                value=int(varies.sum()),
                beside={"dimensions": width},
                about=f"dimensions of y whose posterior mean has a variance above {variance:g}",
            ),
            **_by_kl(kl, least_kl),
            "kl": Number(
                value=float(total.mean()),
                error=_error(total),
                unit=nats,
                about=f"KL(q(y|x) || {prior}), {'sampled' if kl is None else 'in closed form'}",
            ),
            **({} if shared is None else _of_examples(total, shared, most, prior)),
        },
        protocol={
            "examples": n,
            "part": "test",
            "variance": variance,
            "kl": least_kl,
            "errors": "standard error over examples",
            **({} if usual else {"prior": str(spec.prior), "posterior": str(spec.posterior)}),
            **({"draws": DRAWS} if kl is None else {}),
            "seed": seed,
        },
        details={
            **({} if kl is None else {"kl per dimension": kl.mean(0).tolist()}),
            "variance of means": encoding.mean.double().var(0, correction=0).tolist(),
            "mean variance": encoding.std.double().square().mean(0).tolist(),
        },
        notes=tuple(notes),
    )


@torch.no_grad()
def divergences(subject: Subject, n: int, seed: int) -> tuple[Tensor | None, Tensor, bool]:
    r"""KL(q(y|x) || p(y)) of the first n test examples, for any prior and posterior.

    Where there is no closed form, it is the mean of :math:`\log q(y|x) - \log p(y)` over `DRAWS` draws.

    Returns:
        By dimension, float64 ``(n, D)``, None where there is no closed form; of each example, float64 ``(n,)``; and
        whether q is a diagonal Gaussian.
    """
    model, device = subject.model, subject.run.model_device
    generator = torch.Generator(device).manual_seed(stream(seed, "units"))
    by_dim: list[Tensor] = []
    totals: list[Tensor] = []
    gaussian = True
    for rows in torch.split(torch.arange(n), 100):
        part = subject.split("test").part(rows)
        posterior, prior = model.on(part.conditions).infer(to_float(part.x.to(device)))
        gaussian = gaussian and isinstance(posterior, DiagonalGaussian)
        if knows(prior, posterior):
            by_dim.append(cast(ClosedForm, prior).kl(posterior).double().cpu())
            totals.append(by_dim[-1].sum(-1))
            continue
        like = posterior.mean
        shape = (DRAWS, len(rows), model.noise_dim)
        noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=device)
        y, log_q = posterior.draw(noise)
        totals.append((log_q - prior.log_prob(y)).double().mean(0).cpu())
    return torch.cat(by_dim) if by_dim else None, torch.cat(totals), gaussian


def _by_kl(kl: Tensor | None, least_kl: float) -> dict[str, Number]:
    if kl is None:
        return {}
    about = f"dimensions of y with a KL above {least_kl:g} nats"
    return {
        "active by KL": Number(
            value=int((kl.mean(0) > least_kl).sum()), beside={"dimensions": kl.shape[1]}, about=about
        )
    }


def _of_examples(total: Tensor, shared: Tensor, most: float, prior: str) -> dict[str, Number]:
    away = total - shared
    return {
        "mutual information": Number(
            value=float(shared.mean()),
            error=_error(shared),
            unit="nats per example",
            beside={"most that can be seen": most},
            about="of y and the example it encodes",
        ),
        "aggregate KL": Number(
            value=float(away.mean()),
            error=_error(away),
            unit="nats per example",
            better="lower",
            about=f"KL of the mixture of these posteriors to {prior}: the rest of the KL",
        ),
    }


def _error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))
