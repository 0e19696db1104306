"""What does each piece of evidence say about a bias? One rule for each kind of evidence, and all thresholds.

Each rule is a function from its evidence to findings. Nothing here uses torch, files or the name of a mapping, so that
each rule can be tested at both of its thresholds. These are conventions, not tests of a hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from intel_core.evaluation.bias.evidence import Clusters, Compared, Levels, Shape, Sparse
from intel_core.evaluation.statistics import binomial_at_most, binomial_deviation

__all__ = [
    "Finding",
    "Outcome",
    "of_clusters",
    "of_collapse",
    "of_levels",
    "of_likelihood",
    "of_manifold",
    "of_shape",
    "of_sparsity",
]

Outcome = Literal["took", "partly", "not", "unknown"]

NEAR, FAR = 0.10, 0.25
"""How far the data's shares of clusters may be from the declared ones (total variation)."""
BARE, LUCK = 0.1, 0.01
"""A cluster with less than the first part of its share is nearly empty, if chance does so with less than the second."""
LOYAL, TORN = 0.90, 0.70
"""Share of posterior samples that stay in the cluster of their mean."""
AGREE, APART = 0.60, 0.20
"""Agreement of clusters and labels (normalised mutual information)."""
FILLED, EMPTY = 0.80, 0.50
"""Share of the declared set that the data fill, divided by the share that other draws of the prior fill."""
SPARSER, EVEN = 0.25, 0.05
"""The Hoyer score, as a part of the way from the score of a Gaussian to 1."""
PASSES_ON, ALONE = 0.10, 0.02
"""Share of a level's variance that comes from the levels above."""
SHUT, OPEN = 0.25, 0.02
"""Share of the coordinates of active dimensions that the mapping makes less than half as large."""
ACTIVE_KL = 0.05
"""Nats per example below which a level carries nothing."""
ERRORS = 2.0
"""Standard errors beyond which two numbers differ."""
DOUBTFUL = 5.0
"""% of examples with a doubtful likelihood from which on the finding mentions them."""


@dataclass(frozen=True)
class Finding:
    """The answer to one question about the bias.

    Attributes:
        outcome: the outcome of this question alone.
        question: the question in a few words.
        sentence: the answer with its numbers.
        part: the part of the mapping it is about; empty for a comparison with the run without the bias.
        decisive: whether a "no" here means that the part did not take.
    """

    outcome: Outcome
    question: str
    sentence: str
    part: str = ""
    decisive: bool = False


def _graded(value: float, good: float, bad: float) -> Outcome:
    """Whether a number has reached the good threshold, which may be the upper or the lower one."""
    if good < bad:
        value, good, bad = -value, -good, -bad
    return "took" if value >= good else "not" if value <= bad else "partly"


def of_collapse(y_dim: int) -> Finding:
    """The finding that no dimension of y is active."""
    return Finding(
        "not",
        "Does y carry anything?",
        f"None of the {y_dim} dimensions of y is active: the posterior has collapsed, and no mapping can "
        "order what is not there.",
    )


def of_clusters(found: Clusters) -> list[Finding]:
    """Whether the data fill the clusters as declared, keep to them, and whether they are the classes."""
    part, k, n = f"clusters in {found.where}", len(found.declared), max(found.n, 1)
    apart = 0.5 * sum(abs(a - b) for a, b in zip(found.declared, found.seen, strict=True))
    chance = 0.5 * sum(binomial_deviation(n, p) for p in found.declared)
    outcome = _graded(apart - chance, NEAR, FAR)
    bare = [
        i
        for i, (p, q) in enumerate(zip(found.declared, found.seen, strict=True))
        if q < BARE * p and binomial_at_most(n, p, BARE * n * p) < LUCK / k
    ]
    if bare and outcome == "took":
        outcome = "partly"
    sentence = (
        f"The prior has {_shares(found.declared)} of its mass in the {k} clusters, the {found.n:,} posterior means are "
        f"{_shares(found.seen)}: {apart:.0%} of the data would have to move (about {chance:.0%} by chance)."
    )
    if bare:
        sentence += f" Nearly empty: {', '.join(f'cluster {i + 1}' for i in bare)}."
    if 1 - min(found.declared) - chance < FAR:
        outcome = "unknown"
        sentence += " So few examples tell nothing of so many clusters."
    findings = [Finding(outcome, "Do the data fill the clusters as declared?", sentence, part, decisive=True)]
    if found.loyalty is not None:
        findings.append(
            Finding(
                _graded(found.loyalty, LOYAL, TORN),
                "Does each example keep to its cluster?",
                f"{found.loyalty:.0%} of posterior samples lie in the cluster of their mean.",
                part,
            )
        )
    if found.agreement is not None and found.classes > 1:
        graded = _graded(found.agreement, AGREE, APART)
        said = {"took": "know each other well", "partly": "agree in part", "not": "are different things"}[graded]
        findings.append(
            Finding(
                # Clusters that follow another factor than the labels are clusters all the same.
                "partly" if graded == "not" else graded,
                "Do clusters and classes go together?",
                f"Clusters and the {found.classes} labels {said}: their mutual information is {found.agreement:.2f} "
                "of the smaller entropy (nmi takes the mean of both). Training never saw the labels.",
                part,
            )
        )
    return findings


def _shares(values: Sequence[float], most: int = 10) -> str:
    return ", ".join(f"{v:.0%}" for v in values[:most]) + (", …" if len(values) > most else "")


def of_shape(found: Shape) -> list[Finding]:
    """Whether the data fill the declared set and keep to it."""
    part = f"{found.name} in {found.where}"
    filled = found.filled / max(found.filled_by_prior, 1e-9)
    inside = found.inside / max(found.inside_by_prior, 1e-9)
    norm = ""
    if found.bound is not None and found.norm is not None:
        norm = f" The median norm of z is {found.norm:.3g}, the bound {found.bound:.3g}."
    return [
        Finding(
            _graded(filled, FILLED, EMPTY),
            "Do the data fill the declared set?",
            f"{found.filled:.0%} of {found.n:,} draws of the prior's z have a posterior sample near; other draws of "
            f"the prior reach {found.filled_by_prior:.0%}. What is not filled is what samples come from unseen.",
            part,
            decisive=True,
        ),
        Finding(
            _graded(inside, FILLED, EMPTY),
            "Do the data keep to it?",
            f"{found.inside:.0%} of posterior samples have a draw of the prior's z near; other draws of the prior "
            f"reach {found.inside_by_prior:.0%}.{norm}",
            part,
        ),
    ]


def of_sparsity(found: Sparse) -> list[Finding]:
    """Whether z is sparse, also in active dimensions alone, and whether the mapping shuts coordinates."""
    part = f"sparsity in {found.where}"
    findings = [
        Finding(
            _graded(_gained(found.hoyer, found.floor), SPARSER, EVEN),
            "Is z sparse?",
            f"The mean Hoyer score of {found.n:,} z is {found.hoyer:.2f}; a Gaussian of as many dimensions has "
            f"{found.floor:.2f}, one active dimension 1.",
            part,
            decisive=True,
        )
    ]
    if found.hoyer_active is not None:
        # Dimensions that carry no information are noise around zero, which makes rows look sparse that are not.
        findings.append(
            Finding(
                _graded(_gained(found.hoyer_active, found.floor_active), SPARSER, EVEN),
                "Also among the dimensions that carry something?",
                f"In the {found.active} active dimensions alone the score is {found.hoyer_active:.2f}; a Gaussian of "
                f"so many has {found.floor_active:.2f}.",
                part,
            )
        )
    if found.shut is not None:
        findings.append(
            Finding(
                _graded(found.shut, SHUT, OPEN),
                "Are gates shut?",
                f"{found.shut:.0%} of coordinates of active dimensions leave the mapping less than half as large as "
                "they enter it.",
                part,
            )
        )
    return findings


def _gained(hoyer: float, floor: float) -> float:
    """The score as a part of the way from that of a Gaussian to that of a single active dimension."""
    return (hoyer - floor) / max(1 - floor, 1e-9)


def of_levels(found: Levels) -> list[Finding]:
    """Whether every level carries something and hangs on those above it."""
    part = f"levels in {found.where}"
    used = [kl >= ACTIVE_KL for kl in found.kl]
    below = list(found.above)[1:]
    findings = [
        Finding(
            "took" if all(used) else "not" if sum(used) <= 1 and len(used) > 1 else "partly",
            "Is every level in use?",
            f"From the top, the levels carry {', '.join(f'{kl:.2f}' for kl in found.kl)} nats per example; "
            f"{sum(used)} of {len(used)} carry {ACTIVE_KL:g} or more.",
            part,
            decisive=True,  # one level alone is no hierarchy
        )
    ]
    if below:
        outcomes = {_graded(share, PASSES_ON, ALONE) for share in below}
        findings.append(
            Finding(
                outcomes.pop() if len(outcomes) == 1 else "partly",
                "Does each level hang on those above?",
                f"Of the variance of each lower level, {', '.join(f'{share:.0%}' for share in below)} comes from the "
                "levels above.",
                part,
                decisive=True,
            )
        )
    return findings


def of_likelihood(found: Compared | None) -> list[Finding]:
    """Whether the likelihood is as good as without the bias; nothing where it is not known."""
    if found is None:
        return []
    difference, question = found.value - found.vanilla, "Is the likelihood as good as without the bias?"
    told = f"{found.what}: {_signed(found.value)}, without the bias {_signed(found.vanilla)} {found.unit}".rstrip()
    if found.error is None:
        sentence = f"{told}; the difference of {_signed(difference, plus=True)} has no known error."
        return [Finding("unknown", question, sentence)]
    worse = difference < -ERRORS * found.error
    sentence = f"{told}; the difference is {_signed(difference, plus=True)} ± {found.error:.2f}"
    sentence += ", worse than chance explains." if worse else ", not worse beyond its error."
    if found.doubtful > DOUBTFUL:
        sentence += (
            f" For {found.doubtful:.0f}% of the examples too few draws count, and it is too low: raise particles."
        )
    return [Finding("not" if worse else "took", question, sentence)]


def of_manifold(found: Compared | None) -> list[Finding]:
    """Whether fewer samples fall beside the data than without the bias; nothing where it is not known."""
    if found is None:
        return []
    difference, question = found.value - found.vanilla, "Do fewer samples fall beside the data?"
    told = f"{found.what}: {found.value:.3g}, without the bias {found.vanilla:.3g} {found.unit}".rstrip()
    if found.error is None:
        return [Finding("unknown", question, f"{told}; the difference has no known error.")]
    sentence = f"{told}; the difference is {difference:+.2g} ± {found.error:.2g}.".replace("-", "−")
    if difference < -ERRORS * found.error:
        return [Finding("took", question, sentence)]
    return [Finding("not" if difference > ERRORS * found.error else "partly", question, sentence)]


def _signed(value: float, *, plus: bool = False) -> str:
    """Two decimals, with a minus sign that is one.

    >>> _signed(-23.394), _signed(0.2, plus=True)
    ('−23.39', '+0.20')
    """
    return f"{value:{'+' if plus else ''}.2f}".replace("-", "−")
