"""What does a number say beside that of a run without the bias? A difference is held against its standard error."""

from __future__ import annotations

import math

from intel_core.evaluation.bias.evidence import Compared, Retry
from intel_core.evaluation.bias.finding import Finding, Outcome

__all__ = ["of_likelihood", "of_manifold"]

ERRORS = 2.0
"""Standard errors beyond which two numbers differ."""
DOUBTFUL = 5.0
"""% of examples with a doubtful likelihood from which on the finding mentions them."""
_NOTHING = Retry()


def of_likelihood(found: Compared | None, retry: Retry = _NOTHING) -> list[Finding]:
    """Whether the likelihood is as good as without the bias; nothing where it is not known."""
    if found is None:
        return []
    question = "Are the test data modelled worse than without the bias?"
    numbers = f"{f'{_signed(found.value)} {found.unit}'.rstrip()} with the bias, {_signed(found.vanilla)} without it"
    if not _is_tested(found):
        return [_untested(question, numbers, found)]
    shown = _shown(found.value - found.vanilla, found.error or 0.0)
    case = {
        "took": "The test data are modelled better than without the bias",
        "not": "The test data are modelled worse than without the bias",
        "partly": "No difference is shown, since it could be chance; a small one may be there",
    }[shown]
    sentence = f"{case}: the log-likelihood (higher is better) is {numbers}{_difference(found)}"
    command = ""
    if found.doubtful > DOUBTFUL:
        sentence += f" For {found.doubtful:.0f}% of the rows the number is too low, since too few random draws count."
        command = found.remedy
    worse = shown == "not"
    return [
        Finding(
            "not" if worse else "took",
            question,
            sentence,
            next=command or (retry.seeds[0] if worse else ""),
            own_answer={"not": "yes", "took": "no, better", "partly": "not shown"}[shown],
        )
    ]


def of_manifold(found: Compared | None, retry: Retry = _NOTHING) -> list[Finding]:
    """Whether fewer samples fall beside the data than without the bias; nothing where it is not known."""
    if found is None:
        return []
    question = "Do fewer samples miss the data than without the bias?"
    mine, other = (f"{value:.3g} {found.unit}".rstrip() for value in (found.value, found.vanilla))
    numbers = f"{mine} with the bias, {other} without it"
    if not _is_tested(found):
        return [_untested(question, numbers, found)]
    shown = _shown(found.vanilla - found.value, found.error or 0.0)
    case = {
        "took": "Fewer samples miss the data than without the bias",
        "not": "More samples miss the data than without the bias",
        "partly": "No difference is shown, since it could be chance; a small one may be there",
    }[shown]
    return [
        Finding(
            shown,
            question,
            f"{case}: {numbers}{_difference(found)}",
            next=retry.seeds[0] if shown == "not" else "",
            own_answer="not shown" if shown == "partly" else "",
        )
    ]


def _untested(question: str, numbers: str, found: Compared) -> Finding:
    said = f"It is not known how much of the difference is chance: {numbers}.{_measured(found)}"
    return Finding("unknown", question, said)


def _is_tested(found: Compared) -> bool:
    """Whether there is a standard error to hold a difference against: not where a likelihood has overflowed."""
    return found.error is not None and math.isfinite(found.error) and math.isfinite(found.value - found.vanilla)


def _shown(better: float, error: float) -> Outcome:
    """What a difference with its standard error shows; positive ones are of the better kind."""
    if abs(better) <= ERRORS * error:
        return "partly"
    return "took" if better > 0 else "not"


def _difference(found: Compared) -> str:
    """The difference of two numbers, and what it is held against.

    >>> _difference(Compared("Log p(x)", -97.0, -98.0, 0.0123))
    ', a difference of +1.000 ± 0.012 (by chance up to 0.025, two standard errors). Measured: log p(x).'
    """
    error = found.error or 0.0
    decimals = 2 if error == 0 else min(6, max(2, 1 - math.floor(math.log10(error))))
    told = f"{_signed(found.value - found.vanilla, decimals, plus=True)} ± {error:.{decimals}f}"
    chance = f"by chance up to {ERRORS * error:.{decimals}f}, two standard errors"
    return f", a difference of {told} ({chance}).{_measured(found)}"


def _measured(found: Compared) -> str:
    return f" Measured: {found.what[:1].lower()}{found.what[1:]}."


def _signed(value: float, decimals: int = 2, *, plus: bool = False) -> str:
    """A number with a minus sign that is one.

    >>> _signed(-23.394), _signed(0.2, plus=True)
    ('−23.39', '+0.20')
    """
    return f"{value:{'+' if plus else ''}.{decimals}f}".replace("-", "−")
