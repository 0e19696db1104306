"""Did the bias take? A verdict in words, from numbers alone.

What a mapping declares is held against what data and samples show. Each rule is a function from its evidence to
findings; nothing here knows torch, a file or a mapping's name, so each rule can be tested at both of its ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ANSWERS",
    "HEADLINES",
    "Clusters",
    "Compared",
    "Evidence",
    "Finding",
    "Levels",
    "Outcome",
    "Shape",
    "Sparse",
    "Verdict",
    "verdict",
]

Outcome = Literal["took", "partly", "not", "unknown"]
HEADLINES: dict[Outcome, str] = {
    "took": "The bias took",
    "partly": "The bias took in part",
    "not": "The bias did not take",
    "unknown": "Whether the bias took cannot be told",
}

ANSWERS: dict[Outcome, str] = {"took": "yes", "partly": "in part", "not": "no", "unknown": "cannot be told"}
"""To the question of a finding."""

NEAR, FAR = 0.10, 0.25
"""How far the data's shares of clusters may be from the declared ones (total variation)."""
BARE, LUCK = 0.1, 0.01
"""A cluster is nearly empty with less than this part of its share, where chance alone does so to any more seldom."""
LOYAL, TORN = 0.90, 0.70
"""Which share of posterior samples stays in the cluster of its mean."""
AGREE, APART = 0.60, 0.20
"""How well clusters and labels know each other (normalised mutual information)."""
FILLED, EMPTY = 0.80, 0.50
"""Which share of the declared set the data fill, as a share of what other draws of the prior fill."""
SPARSER, EVEN = 0.25, 0.05
"""Which part of the way from the Hoyer score of a Gaussian to 1 is made."""
PASSES_ON, ALONE = 0.10, 0.02
"""Which share of a level's variance comes from the levels above."""
ACTIVE_KL = 0.05
"""Nats per example below which a level carries nothing."""
ERRORS = 2.0
"""Standard errors beyond which two numbers differ."""
DOUBTFUL = 5.0
"""% of examples with a doubtful likelihood from which on that is said."""


# --- evidence ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clusters:
    """Clusters that a part declares, and where the data are.

    Attributes:
        where: the dimensions of y that the part reads, for people.
        declared: the prior's mass in each.
        seen: the share of posterior means in each.
        n: how many examples.
        loyalty: share of posterior samples that lie in the cluster of their mean.
        agreement: mutual information of cluster and label over the smaller of their entropies; None without labels.
        classes: how many different labels.
    """

    where: str
    declared: Sequence[float]
    seen: Sequence[float]
    n: int
    loyalty: float | None = None
    agreement: float | None = None
    classes: int = 0


@dataclass(frozen=True)
class Shape:
    """A set of known topology or bounded norm on which z is declared to lie, and what the data do with it.

    Attributes:
        where: as in `Clusters`.
        name: what is declared, e.g. ``Betti numbers 1, 1``.
        filled: share of draws of the prior's z that have a posterior sample's z in their neighbourhood.
        filled_by_prior: the same with as many other draws of the prior instead.
        inside: share of posterior samples whose z has a draw of the prior in its neighbourhood.
        inside_by_prior: the same for other draws of the prior.
        n: how many of each.
        bound: the declared bound of the norm.
        norm: the median norm of the data's z.
    """

    where: str
    name: str
    filled: float
    filled_by_prior: float
    inside: float
    inside_by_prior: float
    n: int
    bound: float | None = None
    norm: float | None = None


@dataclass(frozen=True)
class Sparse:
    """Declared sparsity, and that of the data's z.

    Attributes:
        where: as in `Clusters`.
        hoyer: mean Hoyer score of z, each dimension scaled to deviation 1.
        floor: that of a Gaussian of so many dimensions.
        shut: share of coordinates of active dimensions that g makes less than half as large; None where g changes
            their number.
        n: how many examples.
        active: how many of the dimensions are active.
        hoyer_active: the score of those alone; None where there are fewer than two.
        floor_active: that of a Gaussian of so many dimensions.
    """

    where: str
    hoyer: float
    floor: float
    shut: float | None
    n: int
    active: int = 0
    hoyer_active: float | None = None
    floor_active: float = 0.0


@dataclass(frozen=True)
class Levels:
    """Levels from the top to the bottom.

    Attributes:
        where: as in `Clusters`.
        kl: nats per example that each carries.
        above: share of the variance of each level's z that comes from the levels above it; 0 for the top.
        n: how many examples.
    """

    where: str
    kl: Sequence[float]
    above: Sequence[float]
    n: int


@dataclass(frozen=True)
class Compared:
    """One number of this run beside that of a run without the bias.

    Attributes:
        what: its name, for people.
        value: of this run.
        vanilla: of the other.
        error: the standard error of their difference; None if it is not known.
        unit: of all three.
        by: how it was measured.
        doubtful: % of the examples, in the worse of the two runs, whose value its own metric doubts.
        n: how many examples it is a mean of, the first ones of the test part; None if it is not known.
    """

    what: str
    value: float
    vanilla: float
    error: float | None
    unit: str = ""
    by: str = ""
    doubtful: float = 0.0
    n: int | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that the verdict rests on.

    Attributes:
        declared: whether the mapping declares, or offers, anything that data could bear out.
        active: how many dimensions of y are active on test data; None if it is not known.
        y_dim: how many there are.
        clusters, shapes, sparse, levels: one of each for each part that declares such a thing.
        likelihood: higher is better.
        off_support: lower is better.
        against: whether a run without the bias was given.
        missing: why evidence is missing, in sentences.
    """

    declared: bool
    active: int | None = None
    y_dim: int = 0
    clusters: tuple[Clusters, ...] = ()
    shapes: tuple[Shape, ...] = ()
    sparse: tuple[Sparse, ...] = ()
    levels: tuple[Levels, ...] = ()
    likelihood: Compared | None = None
    off_support: Compared | None = None
    against: bool = False
    missing: tuple[str, ...] = ()


# --- verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """One sentence and what it says of the bias.

    Attributes:
        outcome: of this question alone.
        question: in a few words.
        sentence: with its numbers.
        part: which part of the mapping it is about; empty for a comparison with the run without the bias.
        decisive: whether the part did not take where this did not.
    """

    outcome: Outcome
    question: str
    sentence: str
    part: str = ""
    decisive: bool = False


@dataclass(frozen=True)
class Verdict:
    """The answer, what it rests on, what to keep in mind, and what would tell more."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
    ask: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        return HEADLINES[self.outcome]


def verdict(evidence: Evidence) -> Verdict:
    """Whether the bias took.

    Each part of the mapping took if all that is known of it took, and did not if a decisive rule says so, or all of
    them do. The whole took if all parts did; a price in likelihood, or no gain in support, makes that "in part".

    >>> verdict(Evidence(declared=False)).outcome
    'unknown'
    """
    bias = [
        *(f for found in evidence.clusters for f in _clusters(found)),
        *(f for found in evidence.shapes for f in _shape(found)),
        *(f for found in evidence.sparse for f in _sparse(found)),
        *(f for found in evidence.levels for f in _levels(found)),
    ]
    beside = [*_likelihood(evidence), *_off_support(evidence)]
    collapsed = evidence.active == 0 and evidence.declared
    first = [_collapse(evidence)] if collapsed else []
    outcome: Outcome = "not" if collapsed else _whole(bias, beside)
    return Verdict(outcome, (*first, *bias, *beside), _caveats(evidence), _ask(evidence, outcome))


def _whole(bias: Iterable[Finding], beside: Iterable[Finding]) -> Outcome:
    parts: dict[str, list[Finding]] = {}
    for finding in bias:
        if finding.outcome != "unknown":
            parts.setdefault(finding.part, []).append(finding)
    outcomes = {_part(found) for found in parts.values()}
    if not outcomes:
        return "unknown"
    if outcomes == {"took"}:
        return "partly" if any(finding.outcome == "not" for finding in beside) else "took"
    return "not" if outcomes == {"not"} else "partly"


def _part(found: list[Finding]) -> Outcome:
    outcomes = {finding.outcome for finding in found}
    if outcomes == {"took"}:
        return "took"
    if outcomes == {"not"} or any(f.decisive and f.outcome == "not" for f in found):
        return "not"
    return "partly"


def _graded(value: float, good: float, bad: float) -> Outcome:
    """Whether a number has reached the good end; the ends may be either way round."""
    if good < bad:
        value, good, bad = -value, -good, -bad
    return "took" if value >= good else "not" if value <= bad else "partly"


# --- rules -------------------------------------------------------------------------------------------------------


def _collapse(evidence: Evidence) -> Finding:
    return Finding(
        "not",
        "Does y carry anything?",
        f"None of the {evidence.y_dim} dimensions of y is active: the posterior has collapsed, and no mapping can "
        "order what is not there.",
    )


def _clusters(found: Clusters) -> list[Finding]:
    part, k, n = f"clusters in {found.where}", len(found.declared), max(found.n, 1)
    apart = 0.5 * sum(abs(a - b) for a, b in zip(found.declared, found.seen, strict=True))
    chance = 0.5 * sum(_mean_deviation(n, p) for p in found.declared)
    outcome = _graded(apart - chance, NEAR, FAR)
    bare = [
        i
        for i, (p, q) in enumerate(zip(found.declared, found.seen, strict=True))
        if q < BARE * p and _at_most(n, p, BARE * n * p) < LUCK / k
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


def _mean_deviation(n: int, p: float) -> float:
    """The mean of ``|X/n - p|`` for a binomial X: how far the share of an event in n draws is from its probability.

    Source: De Moivre's formula; Diaconis and Zabell, Closed form summation for classical distributions, 1991.

    >>> _mean_deviation(1, 0.5), round(_mean_deviation(2, 0.5), 6)
    (0.5, 0.25)
    """
    if not 0 < p < 1:
        return 0.0
    above = min(n, math.floor(n * p) + 1)
    return 2 * above / n * (1 - p) * math.exp(_log_binomial(n, p, above))


def _at_most(n: int, p: float, most: float) -> float:
    """The probability that a binomial X is at most so large."""
    return (
        math.fsum(math.exp(_log_binomial(n, p, j)) for j in range(math.floor(most) + 1)) if 0 < p < 1 else float(p == 0)
    )


def _log_binomial(n: int, p: float, j: int) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
    return ways + j * math.log(p) + (n - j) * math.log1p(-p)


def _shares(values: Sequence[float], most: int = 10) -> str:
    return ", ".join(f"{v:.0%}" for v in values[:most]) + (", …" if len(values) > most else "")


def _shape(found: Shape) -> list[Finding]:
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


def _sparse(found: Sparse) -> list[Finding]:
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
        # Dimensions that carry nothing are noise about zero, which makes a row look sparse that is not.
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
                _graded(found.shut, 0.25, 0.02),
                "Are gates shut?",
                f"{found.shut:.0%} of coordinates of active dimensions leave the mapping less than half as large as "
                "they enter it.",
                part,
            )
        )
    return findings


def _gained(hoyer: float, floor: float) -> float:
    """Which part of the way from a Gaussian to a single active dimension is made."""
    return (hoyer - floor) / max(1 - floor, 1e-9)


def _levels(found: Levels) -> list[Finding]:
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


def _likelihood(evidence: Evidence) -> list[Finding]:
    found = evidence.likelihood
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


def _off_support(evidence: Evidence) -> list[Finding]:
    found = evidence.off_support
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


def _caveats(evidence: Evidence) -> tuple[str, ...]:
    found = list(evidence.missing)
    if not evidence.declared:
        found.append("The mapping declares nothing that data could bear out: there is no bias to take.")
        return tuple(found)
    found.append(
        "This is one seed. Whether another comes out alike, intel train --replicates says; no number here does."
    )
    if not evidence.against:
        found.append(
            "There is no run without the bias beside it, so nothing is said of what it costs or gains: "
            "intel report --against gives that."
        )
    return tuple(found)


def _ask(evidence: Evidence, outcome: Outcome) -> tuple[str, ...]:
    """Metrics that would tell more, by name."""
    wanted = []
    if not evidence.declared:
        return ()
    if outcome == "unknown":
        wanted.append("diagnosis")
    if evidence.likelihood is None or not evidence.likelihood.by.startswith("metric"):
        wanted.append("likelihood")
    if evidence.off_support is None:
        wanted.append("support")
    return tuple(wanted)
