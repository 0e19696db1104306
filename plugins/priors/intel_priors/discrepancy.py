"""How far is the aggregate posterior from the prior, and how is that penalised? By an MMD of their draws, in `DD`."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.errors import SpecError
from intel_core.model.divergence import draw, mean_kl
from intel_core.model.objectives import Terms
from intel_core.model.vae import InteLVAE

__all__ = ["DD", "SCALES", "squared_mmd"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""The kernels' scales s."""
_CACHED, _PARALLEL = 1 << 16, 1 << 24
"""How many pairs are compared at once, on a processor and on an accelerator."""


def squared_mmd(a: Tensor, b: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    r"""The squared maximum mean discrepancy of two samples, for each dimension alone, summed over dimensions.

    .. math:: \sum_d \Big[\frac{1}{n(n-1)} \sum_{i \ne j} k(a_{id}, a_{jd})
        + \frac{1}{m(m-1)} \sum_{i \ne j} k(b_{id}, b_{jd}) - \frac{2}{nm} \sum_{i,j} k(a_{id}, b_{jd})\Big],
        \qquad k(u, v) = \sum_s \frac{2s}{2s + (u - v)^2}

    It is unbiased, so it can be negative. Since dimensions are compared one by one, it does not see how they depend on
    each other. It has first derivatives only.

    Args:
        a: shape ``(n, D)``.
        b: shape ``(m, D)``.
        scales: the s of the kernels.

    Returns:
        A scalar, without a unit; 0 if one of the samples has fewer than two rows.

    Source: Mathieu et al., 2019, and their code.

    >>> a = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    >>> bool(squared_mmd(a[:1000], a[1000:]) < 0.05 < 1 < squared_mmd(a[:1000], a[1000:] + 2))
    True
    """
    n, m = a.shape[0], b.shape[0]
    if min(n, m) < 2:
        return (a.sum() + b.sum()) * 0.0
    within_a, of_a, to_a = _kernels(a, a, scales)
    within_b, of_b, to_b = _kernels(b, b, scales)
    between, across_a, across_b = _kernels(a, b, scales)
    own = len(scales) * a.shape[1]  # the sum of k(u, u) over dimensions
    value = (within_a - own * n) / (n * (n - 1)) + (within_b - own * m) / (m * (m - 1)) - between * (2 / (n * m))
    for sample, inside, outside in ((a, of_a + to_a, across_a), (b, of_b + to_b, across_b)):
        rows = sample.shape[0]
        gradient = inside / (rows * (rows - 1)) - outside * (2 / (n * m))
        # A term of value 0 with this gradient.
        value = value + (gradient * (sample - sample.detach())).sum()
    return value


@torch.no_grad()
def _kernels(a: Tensor, b: Tensor, scales: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of all values of k over pairs and dimensions, and its gradients by `a` and `b`.

    Both are taken at once, from tensors that fit into a processor's cache. Autograd would keep 18 tensors of
    ``(D, n, m)`` for the same gradient: a gigabyte at n = m = 500, D = 50, and twenty times the seconds.
    """
    at_once = max(1, (_CACHED if a.device.type == "cpu" else _PARALLEL) // (a.shape[0] * b.shape[0]))
    total, of_a, of_b = a.new_zeros(()), [], []
    for rows_a, rows_b in zip(torch.split(a.T, at_once), torch.split(b.T, at_once), strict=True):
        differences = rows_a.unsqueeze(2) - rows_b.unsqueeze(1)
        squares = differences.square()
        slopes = torch.zeros_like(squares)
        for scale in scales:
            values = 2 * scale / (2 * scale + squares)
            total = total + values.sum()
            slopes = slopes + values.square() / (2 * scale)
        slopes = -2 * differences * slopes
        of_a.append(slopes.sum(2))
        of_b.append(-slopes.sum(1))
    return total, torch.cat(of_a).T, torch.cat(of_b).T


class DD:
    r"""``loss = -(log_likelihood - beta w kl - alpha MMD(q(y), p(y))) + regularisers``, w the weight of the KL term.

    q(y) is the aggregate posterior: one draw for each example of the batch is compared with as many draws of the prior.
    With the mapping identity, as in the source, y is z. The number ``mmd`` is the discrepancy without its weight; it is
    that of a batch, so batches should not be small.

    Of the three particles of noise the first is that of y, the others make the prior's draws, in order and as many of
    their numbers as those take.

    Source: Mathieu et al., Disentangling disentanglement in variational autoencoders, 2019; where it is called DD.

    Args:
        alpha: weight of the discrepancy.
        beta: weight of the KL term.
    """

    particles = 3

    def __init__(self, alpha: float = 100.0, beta: float = 1.0) -> None:
        self.alpha, self.beta = alpha, beta

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """See `intel_core.Objective`.

        Raises:
            SpecError: if a draw of the prior takes more noise than two draws of the posterior.
        """
        posterior, prior = model.infer(x)
        y, log_q = draw(prior, posterior, noise[0])
        z, regularisers = model.map(y)
        log_likelihood = model.likelihood.mean_log_prob(model.decode(z), x)
        kl = mean_kl(prior, posterior, y, log_q)
        others = noise[1:].movedim(0, -2).flatten(-2)
        if prior.noise_dim > others.shape[-1]:
            raise SpecError(
                f"objective dd has {others.shape[-1]} random numbers for each draw of the prior, "
                f"which takes {prior.noise_dim}"
            )
        mmd = squared_mmd(y, prior.draw(others[..., : prior.noise_dim]))
        loss = self.beta * weights.get("kl", 1.0) * kl + self.alpha * mmd - log_likelihood
        for name, term in regularisers.items():
            loss = loss + model.regularisers[name] * weights.get(name, 1.0) * term
        return Terms(loss, log_likelihood, kl, {"mmd": mmd, **regularisers}, posterior)
