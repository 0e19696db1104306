r"""Which dimensions of y carry information, and how much? Active units, KL per dimension, mutual information.

With N examples and :math:`q_N(y) = \frac1N \sum_j q(y|x_j)`, the mean KL is the sum of two parts:

.. math:: \frac1N \sum_i KL(q(y|x_i) \| p(y)) = I_q(i; y) + KL(q_N(y) \| p(y))

the information of y about the index of its example, and the KL of the mixture of all posteriors from the prior.

Sources: Burda, Grosse and Salakhutdinov, 2016 (active units); Hoffman and Johnson, "ELBO surgery", 2016.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.model.posterior import DiagonalGaussian
from intel_core.training.scoring import ACTIVE_VARIANCE

__all__ = ["active_by_kl", "active_by_variance", "index_information", "kl_per_dimension", "measure"]

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
        away = (y[rows].unsqueeze(1) - mean) * scale
        log_q = offset - 0.5 * away.square().sum(-1)
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
    kl = kl_per_dimension(encoding.mean, encoding.std)
    total = kl.sum(1)
    varies = active_by_variance(encoding.mean, variance)
    informs = active_by_kl(encoding.mean, encoding.std, least_kl)
    shared = index_information(encoding.mean, encoding.std, encoding.y)
    away = total - shared
    nats, most = "nats per example", math.log(n)
    notes = []
    if float(total.mean()) < least_kl:
        notes.append("The posterior is the prior: y says nothing of x (collapse).")
    if float(shared.mean()) > 0.9 * most:
        notes.append(
            f"The mutual information is close to log {n} = {most:.2f}, the most that {n} examples can show; the true "
            "one may be larger, and the aggregate's KL smaller."
        )
    return Measurement(
        numbers={
            "active by variance": Number(
                value=int(varies.sum()),
                beside={"dimensions": width},
                about=f"dimensions of y whose posterior mean has a variance above {variance:g}",
            ),
            "active by KL": Number(
                value=int(informs.sum()),
                beside={"dimensions": width},
                about=f"dimensions of y with a KL above {least_kl:g} nats",
            ),
            "kl": Number(
                value=float(total.mean()),
                error=_error(total),
                unit=nats,
                about="KL(q(y|x) || N(0, I)), in closed form",
            ),
            "mutual information": Number(
                value=float(shared.mean()),
                error=_error(shared),
                unit=nats,
                beside={"most that can be seen": most},
                about="of y and the example it encodes",
            ),
            "aggregate KL": Number(
                value=float(away.mean()),
                error=_error(away),
                unit=nats,
                better="lower",
                about="KL of the mixture of these posteriors to N(0, I): the rest of the KL",
            ),
        },
        protocol={
            "examples": n,
            "part": "test",
            "variance": variance,
            "kl": least_kl,
            "errors": "standard error over examples",
            "seed": seed,
        },
        details={
            "kl per dimension": kl.mean(0).tolist(),
            "variance of means": encoding.mean.double().var(0, correction=0).tolist(),
            "mean variance": encoding.std.double().square().mean(0).tolist(),
        },
        notes=tuple(notes),
    )


def _error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))
