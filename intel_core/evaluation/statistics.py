"""Is a difference more than noise? Paired and Welch's t-tests, Holm's adjustment, what chance makes of shares."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from intel_core.errors import EnvironmentProblem

__all__ = [
    "Difference",
    "binomial_at_most",
    "binomial_deviation",
    "holm",
    "mean_and_std",
    "paired",
    "welch",
    "wilson_interval",
]

_ROUNDING = 1e-12
"""Values that differ by less than this part of the largest differ by rounding."""


class Difference(NamedTuple):
    """A difference of means, how well it is known, and whether chance alone explains it.

    Attributes:
        difference: the mean of the second sample less that of the first.
        error: its standard error.
        freedom: degrees of freedom of Student's t.
        p: two-sided p-value that the true difference is 0.
    """

    difference: float
    error: float
    freedom: float
    p: float

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Between which values the true difference lies, with a confidence of 1 - level.

        >>> [round(end, 2) for end in welch([1.0, 1.1, 0.9], [2.0, 2.1, 1.9]).interval()]
        [0.77, 1.23]
        """
        reach = self.error * float(_scipy_stats().t.ppf(1 - level / 2, self.freedom))
        return self.difference - reach, self.difference + reach


def welch(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    r"""Welch's two-sided test that two samples have the same mean.

    .. math:: t = \frac{\bar a - \bar b}{\sqrt{s_a^2/n_a + s_b^2/n_b}}, \qquad
        \nu = \frac{(s_a^2/n_a + s_b^2/n_b)^2}{(s_a^2/n_a)^2/(n_a-1) + (s_b^2/n_b)^2/(n_b-1)}

    Args:
        first: at least two numbers.
        second: at least two numbers.

    Returns:
        None if a sample has fewer than two numbers, or if neither sample varies by more than rounding: then there is no
        noise to compare the difference with.

    Raises:
        EnvironmentProblem: if scipy is not installed.

    Source: Welch, Biometrika 34, 1947.

    >>> welch([1.0, 1.1, 0.9], [2.0, 2.1, 1.9]).p < 0.001
    True
    >>> welch([1.0], [2.0, 2.1]) is None
    True
    """
    if min(len(first), len(second)) < 2 or not (_varies(first) or _varies(second)):
        return None
    largest = max(abs(value) for value in (*first, *second))  # so that no variance over- or underflows
    a, b = ([value / largest for value in values] for values in (first, second))
    shares = [statistics.variance(values) / len(values) for values in (a, b)]
    freedom = sum(shares) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(shares, (a, b), strict=True))
    return _difference(statistics.fmean(b) - statistics.fmean(a), math.sqrt(sum(shares)), freedom, largest)


def paired(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    r"""The paired two-sided t-test that two samples of equal length, measured in pairs, have the same mean.

    .. math:: t = \frac{\bar d}{s_d / \sqrt n}, \qquad d_i = b_i - a_i, \qquad \nu = n - 1

    Returns:
        None where there are fewer than two pairs, or the differences do not vary by more than rounding.

    Raises:
        EnvironmentProblem: if scipy is not installed.

    Source: Student, Biometrika 6, 1908.

    >>> found = paired([1.0, 2.0, 3.0], [1.5, 2.4, 3.6])
    >>> round(found.difference, 6), round(found.error, 4), round(found.p, 3)
    (0.5, 0.0577, 0.013)
    """
    if len(first) < 2 or len(first) != len(second):
        return None
    largest = max(abs(value) for value in (*first, *second))
    apart = [b / largest - a / largest if largest else 0.0 for a, b in zip(first, second, strict=True)]
    if max(apart) - min(apart) <= _ROUNDING:
        return None
    error = math.sqrt(statistics.variance(apart) / len(apart))
    return _difference(statistics.fmean(apart), error, len(apart) - 1, largest)


def _difference(difference: float, error: float, freedom: float, scale: float) -> Difference:
    p = float(2 * _scipy_stats().t.sf(abs(difference) / error, freedom))
    return Difference(difference * scale, error * scale, freedom, p)


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise EnvironmentProblem(
            "a t-test needs scipy: pip install 'intelvae-core[comparing]', or scipy itself"
        ) from None
    return stats


def _varies(values: Sequence[float]) -> bool:
    return max(values) - min(values) > _ROUNDING * max(abs(value) for value in values)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""p-values adjusted so that the probability of any false alarm among all tests is at most the level.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def mean_and_std(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation (n - 1 in the denominator) over rows, for every number that all rows have.

    The standard deviation of one row is None.

    >>> mean_and_std([{"elbo": 1.0, "name": "a"}, {"elbo": 3.0, "name": "b"}])
    {'elbo': {'mean': 2.0, 'std': 1.4142135623730951}}
    """
    found: dict[str, dict[str, float | None]] = {}
    rows = list(rows)
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            numbers = [float(cast(float, value)) for value in values]
            mean = math.fsum(numbers) / len(numbers) if all(map(math.isfinite, numbers)) else math.nan
            spread = math.sqrt(sum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)) if len(rows) > 1 else None
            found[name] = {"mean": mean, "std": spread}
    return found


def wilson_interval(count: int, n: int, level: float = 0.05) -> tuple[float, float]:
    r"""An interval for the probability of an event that came `count` times in n draws; (0, 1) if n is 0.

    .. math:: \frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}}{1 + z^2/n}

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    >>> [round(bound, 3) for bound in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf(1 - level / 2)
    share = count / n
    middle, reach = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def binomial_deviation(n: int, p: float) -> float:
    r"""The mean of ``|X/n - p|`` for a binomial X: how far the share of an event in n draws is from its probability.

    .. math:: E \left|\frac Xn - p\right| = \frac{2 m}{n} (1 - p) P(X = m), \qquad m = \lfloor np \rfloor + 1

    Source: De Moivre's formula; Diaconis and Zabell, Closed form summation for classical distributions, 1991.

    >>> binomial_deviation(1, 0.5), round(binomial_deviation(2, 0.5), 6)
    (0.5, 0.25)
    """
    if not 0 < p < 1:
        return 0.0
    above = min(n, math.floor(n * p) + 1)
    return 2 * above / n * (1 - p) * math.exp(_log_binomial(n, p, above))


def binomial_at_most(n: int, p: float, most: float) -> float:
    """The probability that a binomial X of n draws with probability p is at most `most`.

    >>> round(binomial_at_most(2, 0.5, 1), 9)
    0.75
    """
    if not 0 < p < 1:
        return float(p == 0)
    return math.fsum(math.exp(_log_binomial(n, p, j)) for j in range(math.floor(most) + 1))


def _log_binomial(n: int, p: float, j: int) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
    return ways + j * math.log(p) + (n - j) * math.log1p(-p)
