"""Is a claim confirmed, denied, or can it not be told with so many seeds?

Nothing here imports torch.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from intel_core.errors import EnvironmentProblem
from intel_core.evaluation.statistics import Difference, welch
from intel_study.design import Claim
from intel_study.results import Results

__all__ = ["Verdict", "judge", "one_sample", "power", "verdicts"]

Outcome = Literal["confirmed", "denied", "cannot be told", "not run"]


class Verdict(NamedTuple):
    """What the seeds say of a claim.

    Attributes:
        outcome: ``confirmed``, ``denied``, ``cannot be told``, or ``not run`` where an arm has no numbers.
        why: in words.
        arm: mean, standard deviation (None for one seed) and number of seeds of the arm.
        against: the same of the arm that it is compared with; of a value, that value, None and 0.
        difference: of the arm from the other, in the direction of the claim; None where it cannot be computed.
        interval: in which the true difference lies with a confidence of 1 - level.
        power: the probability with which a true difference of the margin would be told from 0 by so many seeds of such
            a spread; None where there is no margin, or no spread.
    """

    outcome: Outcome
    why: str
    arm: tuple[float, float | None, int] | None = None
    against: tuple[float, float | None, int] | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    power: float | None = None


def one_sample(values: Sequence[float], expected: float) -> Difference | None:
    r"""Student's two-sided test that a mean is `expected`; None where the sample does not vary, or has one number.

    .. math:: t = \frac{\bar a - \mu}{s / \sqrt n}, \qquad \nu = n - 1

    >>> found = one_sample([1.0, 2.0, 3.0], 1.0)
    >>> round(found.difference, 6), found.freedom, round(found.p, 4)
    (1.0, 2, 0.2254)
    """
    if len(values) < 2 or not _varies(values):
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    difference = statistics.fmean(values) - expected
    p = float(2 * _t().sf(abs(difference) / error, len(values) - 1))
    return Difference(difference, error, len(values) - 1, p)


def power(margin: float, error: float, freedom: float, level: float) -> float:
    r"""The probability that a two-sided t-test tells a true difference from 0.

    .. math:: 1 - F_{\nu, \delta}(t) + F_{\nu, \delta}(-t), \qquad \delta = \frac{\text{margin}}{\text{error}},
        \quad t = t_{\nu, 1 - \text{level} / 2}

    with the distribution function F of the noncentral t.

    Args:
        margin: the true difference.
        error: standard error of a difference of means.
        freedom: degrees of freedom.
        level: of the test.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988.

    >>> round(power(0.0, 1.0, 8, 0.05), 3), round(power(3.0, 1.0, 8, 0.05), 2)
    (0.05, 0.75)
    """
    reach = float(_t().ppf(1 - level / 2, freedom))
    shift = margin / error
    if shift > 30:  # where scipy's noncentral t gives up, and the power is 1
        return 1.0
    nct = _scipy().nct
    found = float(nct.sf(reach, freedom, shift) + nct.cdf(-reach, freedom, shift))
    return min(1.0, found) if math.isfinite(found) else 1.0


def _scipy() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise EnvironmentProblem("verdicts need scipy: pip install scipy") from None
    return stats


def _t() -> Any:
    return _scipy().t


def _varies(values: Sequence[float]) -> bool:
    return max(values) - min(values) > 1e-12 * max(abs(value) for value in values)


def judge(claim: Claim, values: Sequence[float], others: Sequence[float] | float, level: float = 0.05) -> Verdict:
    r"""The verdict on a claim.

    d is the difference of means in the direction of the claim, and (low, high) its two-sided confidence interval: that
    of Welch's test between two arms, of Student's test against a value. Seeds are not paired.

    - above, below: confirmed if low > 0 and high >= margin; denied if high < margin, or high <= 0; else it cannot be
      told. So a difference that is real, and surely smaller than what matters, denies the claim.
    - same: confirmed if the whole interval lies within ± margin, denied if no part of it does.

    Args:
        claim: the claim.
        values: the numbers of its arm, one for each seed.
        others: those of the other arm, or the value.
        level: one less the confidence.

    >>> claim = Claim(sentence="a exceeds b", number="n", arm="a", against="b", direction="above", margin=0.5)
    >>> judge(claim, [3.0, 3.1, 2.9], [1.0, 1.1, 0.9]).outcome, judge(claim, [1.2, 1.3, 1.1], [1.0, 1.1, 0.9]).outcome
    ('confirmed', 'denied')
    """
    mine = _summary(values)
    theirs = (float(others), None, 0) if isinstance(others, int | float) else _summary(others)
    known: dict[str, Any] = {"arm": mine, "against": theirs}
    if mine is None or theirs is None:
        return Verdict("not run", "there are no numbers of it", **known)
    if claim.direction == "same" and claim.margin <= 0:
        return Verdict("cannot be told", "it names no margin within which two are the same", **known)
    sign = -1.0 if claim.direction == "below" else 1.0
    d = sign * (mine[0] - theirs[0])
    known["difference"] = d
    test = one_sample(values, theirs[0]) if isinstance(others, int | float) else welch(others, values)
    if test is None:
        return _without_noise(claim, values, others, d, known)
    reach = test.error * float(_t().ppf(1 - level / 2, test.freedom))
    low, high = d - reach, d + reach
    known["interval"] = (low, high)
    if claim.margin:
        known["power"] = power(claim.margin, test.error, test.freedom, level)
    outcome, why = _told(claim, d, low, high)
    return Verdict(outcome, why, **known)


def _told(claim: Claim, d: float, low: float, high: float) -> tuple[Outcome, str]:
    margin = claim.margin
    if claim.direction == "same":
        if -margin <= low and high <= margin:
            return "confirmed", "the whole interval lies within the margin"
        if low > margin or high < -margin:
            return "denied", "the whole interval lies outside the margin"
        return "cannot be told", "the interval reaches across the margin"
    if low > 0 and high >= margin:
        sure = "" if low >= margin else ", though perhaps by less than the margin" if margin else ""
        return "confirmed", f"the difference is real{sure}"
    if high <= 0:
        real = high < 0
        return "denied", "the difference is the other way round" if real else "there is no difference in this direction"
    if high < margin:
        if low > 0:
            return "denied", "the difference is real, but smaller than what matters"
        return "denied", "if there is a difference, it is smaller than what matters"
    return "cannot be told", "the interval reaches from below 0 to what would matter"


def _without_noise(
    claim: Claim, values: Sequence[float], others: Sequence[float] | float, d: float, known: dict[str, Any]
) -> Verdict:
    """Where no test can be made: one seed on a side, or nothing varies."""
    counts = [len(values)] if isinstance(others, int | float) else [len(values), len(others)]
    if min(counts) < 2:
        return Verdict("cannot be told", "one seed says nothing of the noise; more seeds are needed", **known)
    outcome, why = _told(claim, d, d, d)
    return Verdict(outcome, f"nothing varies over seeds: {why}", **{**known, "interval": (d, d)})


def _summary(values: Sequence[float]) -> tuple[float, float | None, int] | None:
    if not values:
        return None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values)


def verdicts(results: Results) -> list[tuple[Claim, Verdict]]:
    """The verdict on each claim of a study, from the numbers that there are."""
    found = []
    for claim in results.study.claims:
        problem = claim.problem if claim.problem is not None else results.study.problem_names[0]
        values = [n.value for n in results.values(problem, claim.arm, claim.number).values()]
        if isinstance(claim.against, str):
            others: list[float] | float = [
                n.value for n in results.values(problem, claim.against, claim.number).values()
            ]
        else:
            others = float(claim.against)
        found.append((claim, judge(claim, values, others, results.study.level)))
    return found
