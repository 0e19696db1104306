r"""How large is a KL divergence at least? Bounds from samples or counts that hold with a proven confidence.

Nothing but draws of the two distributions is needed. No such bound from n samples can exceed about ``log n`` nats
(McAllester and Stratos, 2020), and the one here cannot exceed 8: it says little about distributions that are tens of
nats apart.

All divergences are in nats, all arithmetic is in float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from intel_core.randomness import stream

__all__ = ["KLBound", "kl_lower_bound", "partition_bound"]

_FIT_ROWS = 50_000  # enough for a critic with a few hundred weights; the other rows make the interval narrower
_CLIP = 4.0
_COSINES = 32
_ROWS = 1 << 16
_NEWTON_STEPS = 25
_ENOUGH = 1e-5
"""Nats that a further step would gain; the deviations are a hundred times as large."""


class KLBound(NamedTuple):
    """What samples show about a KL divergence, in nats.

    Attributes:
        lower: a lower bound of the KL, wrong with a probability of at most `level`; never below 0.
        estimate: the Donsker-Varadhan value on the held-out rows, without an interval. It tends to be too low, because
            the critic misses what its features cannot distinguish and what its clip cuts off. It may be slightly below
            0.
        level: α, the probability with which `lower` may be wrong.
        n: the number of rows of the smaller sample.
        clip: M, the critic's largest absolute value.
    """

    lower: float
    estimate: float
    level: float
    n: int
    clip: float


# --- from samples -------------------------------------------------------------------------------------------


@torch.no_grad()
def kl_lower_bound(q: Tensor, p: Tensor, *, alpha: float = 1e-9, seed: int = 0, fit_rows: int = _FIT_ROWS) -> KLBound:
    r"""A lower confidence bound of KL(Q ‖ P) from samples: held-out Donsker-Varadhan and empirical Bernstein.

    A critic f is fitted to the first rows of both samples (half of them, `fit_rows` at most) and clipped to [-M, M], M
    the 99.9 % quantile of the absolute values there, 4 at most. On the remaining rows, with sample variances V,

    .. math:: lower = [mean_q f - dev(f)] - \log[mean_p e^f + dev(e^f)], \quad
              dev = \sqrt{2 V \ln(2/δ) / n} + 7 (b - a) \ln(2/δ) / (3 (n - 1)), \quad δ = α/2,

    where b - a is 2M for f and :math:`e^M - e^{-M}` for :math:`e^f`. A negative bound is replaced by 0.

    Proof that :math:`P(lower > KL) \le α` if the rows of each sample are independent and identically distributed:

    1. Given the first rows f is fixed and bounded, so :math:`KL \ge E_Q f - \log E_P e^f` (Donsker and Varadhan).
    2. :math:`E_Q f \ge mean_q f - dev(f)` and :math:`E_P e^f \le mean_p e^f + dev(e^f)` each fail with a probability
       of at most δ (Maurer and Pontil, 2009, Theorem 4, for values in [a, b]), so one of them fails with at most
       2δ = α, whether the two are independent or not.
    3. log increases and KL ≥ 0, so lower ≤ KL whenever both hold, whatever the first rows were.

    The critic is a logistic regression of the two samples on each coordinate, its square, its log magnitude, whether
    it is 0 (smooth features alone miss an atom there), and 32 random cosines. A poor critic makes the bound weaker but
    never wrong: rows may be constant, repeated or huge. Magnitudes above 1e100 count as 1e100.

    Row i of `q` may depend on row i of `p`. The proof does not cover rows of one sample that depend on each other, such
    as those of a batch after a batch norm.

    Args:
        q: draws of Q, shape ``(n, d)``, n ≥ 4.
        p: draws of P, shape ``(m, d)``, m ≥ 4.
        alpha: α.
        seed: of the cosines; the same seed gives the same result.
        fit_rows: for how many rows the critic is fitted at most; fewer take less time and leave more to the bound.

    Raises:
        ValueError: if the shapes do not fit, there are fewer than 4 rows, a value is not finite or not real, or α is
            not in (0, 1).

    Source: Donsker and Varadhan, 1983; Maurer and Pontil, Empirical Bernstein bounds, 2009, Theorem 4.

    >>> q, p = torch.randn(2, 50_000, 1, generator=torch.Generator().manual_seed(0))
    >>> 0.25 < kl_lower_bound(q + 1, p).lower < 0.5  # the KL is 1/2
    True
    >>> kl_lower_bound(q, p).lower
    0.0
    """
    q, p = _rows("q", q), _rows("p", p)
    if q.shape[1] != p.shape[1]:
        raise ValueError(f"q has {q.shape[1]} columns and p has {p.shape[1]}")
    n = min(len(q), len(p))
    if n < 4:
        raise ValueError(f"at least 4 rows of each sample are needed, not {n}")
    _check_alpha(alpha)
    fit = min(n // 2, fit_rows)  # the same rows of both, in case row i of q depends on row i of p
    critic, on_first = _fit_critic(q[:fit], p[:fit], seed)
    clip = min(_CLIP, float(torch.quantile(on_first.abs(), 0.999)))
    on_q = critic(q[fit:]).clamp(-clip, clip)
    # Subtracting 1 does not change a deviation, and keeps a mean near 1 precise.
    on_p = torch.expm1(critic(p[fit:]).clamp(-clip, clip))
    mean_q, mean_p = float(on_q.mean()), float(on_p.mean())
    low = mean_q - _deviation(on_q, 2 * clip, alpha / 2)
    high = mean_p + _deviation(on_p, 2 * math.sinh(clip), alpha / 2)
    return KLBound(
        lower=max(0.0, low - math.log1p(high)), estimate=mean_q - math.log1p(mean_p), level=alpha, n=n, clip=clip
    )


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha:g}, expected a probability between 0 and 1")


def _rows(what: str, values: Tensor) -> Tensor:
    """A sample in float64 on the CPU."""
    if values.dim() != 2 or values.shape[1] == 0 or values.is_complex():
        raise ValueError(f"{what} is {values.dtype} of shape {tuple(values.shape)}, expected real numbers (n, d)")
    values = values.detach().cpu().double()
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"{what} holds NaN or infinity")
    return values.clamp(-1e100, 1e100)  # so that no square or difference overflows


def _deviation(values: Tensor, width: float, delta: float) -> float:
    """The empirical Bernstein deviation of the mean of independent values in an interval of some width."""
    n, log_term = len(values), math.log(2 / delta)
    return math.sqrt(2 * float(values.var()) * log_term / n) + 7 * width * log_term / (3 * (n - 1))


def _fit_critic(q: Tensor, p: Tensor, seed: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """``(n, d) -> (n,)``: the log-odds that a row is of `q` rather than of `p`, which estimate ``log dQ/dP``.

    And what it gives for the rows that it was fitted to.
    """
    both = torch.cat([q, p])
    generator = torch.Generator().manual_seed(stream(seed, "theorem1/critic"))

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    centre, scale = _location_and_scale(both)
    directions = torch.randn(both.shape[1], _COSINES, generator=generator, dtype=torch.float64)
    lengths = 0.5 * 8 ** random(_COSINES)  # wavelengths between 1.5 and 12 scales
    frequencies = directions / directions.norm(dim=0) * lengths
    phases = 2 * math.pi * random(_COSINES)

    def features(z: Tensor) -> Tensor:
        t = ((z - centre) / scale).clamp(-20, 20)  # so that outliers do not dominate
        size = z.abs()
        cosines = torch.cos(t @ frequencies + phases)
        return torch.cat([t, t.square(), torch.log(size + 1e-9), (size < 1e-9).double(), cosines], dim=1)

    design = features(both)
    middle, spread = design.mean(0), design.std(0)
    # A feature that is constant here gets no weight; dividing by its tiny spread would amplify noise.
    factor = torch.where(spread > 1e-9, 1 / spread.clamp(min=1e-9), 0.0)
    design = design.sub_(middle)
    intercept, weights = _logistic_regression(design * factor, len(q))
    weights = weights * factor

    def critic(z: Tensor) -> Tensor:
        return torch.cat([features(rows).sub_(middle) @ weights + intercept for rows in torch.split(z, _ROWS)])

    return critic, torch.cat([rows @ weights + intercept for rows in torch.split(design, _ROWS)])


def _location_and_scale(z: Tensor) -> tuple[Tensor, Tensor]:
    """Of each column the median, and the half width of the narrowest of some central intervals that is not 0."""
    ordered = z.sort(dim=0).values
    last = len(ordered) - 1
    scale = torch.zeros_like(ordered[0])
    for tail in (0.25, 0.05, 0.001, 0.0):
        low = int(tail * last)
        scale = torch.where(scale > 0, scale, (ordered[last - low] - ordered[low]) / 2)
    return ordered[last // 2], torch.where(scale > 0, scale, 1.0)


def _logistic_regression(design: Tensor, positives: int) -> tuple[Tensor, Tensor]:
    """Intercept and weights by Newton's method; the first half of the rows are the positives.

    A ridge of 1/n keeps the Hessian positive definite and the weights finite, even if a plane separates the two; steps
    that do not lower the loss are halved.
    """
    design = torch.cat([torch.ones(len(design), 1, dtype=design.dtype), design], dim=1)
    n, width = design.shape
    target = (torch.arange(n) < positives).double()
    ridge = 1 / n

    def loss_at(weights: Tensor, odds: Tensor) -> float:
        fit = torch.nn.functional.softplus(odds) - target * odds
        return float(fit.mean() + 0.5 * ridge * weights.square().sum())

    # The curvature only steers, so it is computed in float32, which takes half the time.
    light = design.float()
    weighted = torch.empty_like(light)
    weights = torch.zeros(width, dtype=torch.float64)
    odds = torch.zeros(n, dtype=torch.float64)
    loss = loss_at(weights, odds)
    for _ in range(_NEWTON_STEPS):
        probability = torch.sigmoid(odds)
        gradient = design.T @ (probability - target) / n + ridge * weights
        spread = (probability * (1 - probability)).float().unsqueeze(1)
        curvature = (torch.mul(light, spread, out=weighted).T @ light).double() / n
        step = torch.linalg.solve(curvature + ridge * torch.eye(width, dtype=torch.float64), gradient)
        if float(gradient @ step) < _ENOUGH:
            break
        along = design @ step
        size = 1.0
        while size > 1e-3 and not loss_at(weights - size * step, odds - size * along) < loss:
            size /= 2
        if size <= 1e-3:
            break
        weights, odds = weights - size * step, odds - size * along
        loss = loss_at(weights, odds)
    return weights[0], weights[1:]


# --- from counts --------------------------------------------------------------------------------------------


def partition_bound(counts_q: Tensor, counts_p: Tensor, *, alpha: float = 1e-9) -> float:
    r"""A lower confidence bound of KL(Q ‖ P), in nats, from how often each of k events happened.

    By data processing the KL is at least that of the events' probabilities, :math:`\sum_i a_i \log(a_i / b_i)`. Both
    sum to 1, so this is :math:`\sum_i (a_i \log(a_i / b_i) - a_i + b_i)`, whose terms are never negative, and each is
    smallest over a box of intervals where a and b come closest: 0 if these overlap.

    Each of the 2k intervals fails with a probability of at most δ = α/2k. They are Chernoff intervals: all r with
    :math:`n\, kl(\hat r \| r) \le \log(2/δ)`, kl that of a coin; slightly wider than Clopper and Pearson's, and as
    valid at any n. The events (clusters, atoms) have to be chosen before the counts are seen.

    Args:
        counts_q: shape ``(k,)``: how many draws of Q fell into each cell; every draw falls into exactly one cell.
        counts_p: the same for P, shape ``(k,)``.
        alpha: the probability with which the bound may be wrong.

    Returns:
        Nats, 0 or more.

    Raises:
        ValueError: if the shapes differ, a count is negative or not whole, there are no draws, or α is not in (0, 1).

    Source: Chernoff, 1952; Cover and Thomas, Theorem 2.8.1, for data processing.

    >>> round(partition_bound(torch.tensor([900, 100]), torch.tensor([100, 900])), 2)  # 1.76 of the frequencies
    1.0
    >>> partition_bound(torch.tensor([500, 500]), torch.tensor([520, 480]))
    0.0
    """
    counts = [torch.as_tensor(values).detach().cpu().double() for values in (counts_q, counts_p)]
    if counts[0].dim() != 1 or counts[0].shape != counts[1].shape:
        shapes = " and ".join(str(tuple(values.shape)) for values in counts)
        raise ValueError(f"the counts have shapes {shapes}, expected (k,) for both")
    for values in counts:
        if not bool(((values >= 0) & (values == values.floor()) & torch.isfinite(values)).all()):
            raise ValueError("counts are whole numbers, 0 or more")
        if float(values.sum()) == 0:
            raise ValueError("there is no draw to count")
    _check_alpha(alpha)
    log_term = math.log(4 * len(counts[0]) / alpha)
    (a_low, a_high), (b_low, b_high) = (_chernoff_interval(values, log_term) for values in counts)
    a = torch.where(a_low > b_high, a_low, a_high)
    b = torch.where(a_low > b_high, b_high, b_low)
    terms = torch.where((a_low > b_high) | (a_high < b_low), a * torch.log(a / b) - a + b, 0.0)
    return float(terms.sum())


def _chernoff_interval(counts: Tensor, log_term: float) -> tuple[Tensor, Tensor]:
    """The ends of ``{r: n kl(r_hat || r) <= log_term}`` by bisection, rounded outwards."""
    n = counts.sum()
    rate = counts / n

    def excess(r: Tensor) -> Tensor:
        hit = torch.xlogy(rate, rate) - torch.xlogy(rate, r)
        miss = torch.special.xlog1py(1 - rate, -rate) - torch.special.xlog1py(1 - rate, -r)
        above: Tensor = n * (hit + miss) - log_term
        return above

    ends = []
    for outer in (torch.zeros_like(rate), torch.ones_like(rate)):
        inside = rate
        for _ in range(100):
            middle = (inside + outer) / 2
            is_outside = excess(middle) > 0
            outer, inside = torch.where(is_outside, middle, outer), torch.where(is_outside, inside, middle)
        ends.append(outer)
    return ends[0], ends[1]
