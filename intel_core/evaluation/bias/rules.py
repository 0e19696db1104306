"""What does each piece of evidence say about a bias? One rule for each kind of evidence, and all thresholds.

Each rule is a function from its evidence to findings. Nothing here uses torch, files or the name of a mapping, so that
each rule can be tested at both of its thresholds. These are conventions, not tests of a hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence

from intel_core.evaluation.bias.evidence import Clusters, Levels, Retry, Shape, Sparse
from intel_core.evaluation.bias.finding import Finding, Outcome
from intel_core.evaluation.statistics import binomial_at_most, binomial_deviation

__all__ = [
    "of_clusters",
    "of_collapse",
    "of_levels",
    "of_shape",
    "of_sparsity",
]

NOTHING = Retry()
SIZES = "Are the clusters as large as the model assumed?"
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
ALIKE = 0.02
"""Shares of clusters that differ by less than this part of an equal share are called equal."""


def _graded(value: float, good: float, bad: float) -> Outcome:
    """Whether a number has reached the good threshold, which may be the upper or the lower one."""
    if good < bad:
        value, good, bad = -value, -good, -bad
    return "took" if value >= good else "not" if value <= bad else "partly"


def _next(outcome: Outcome, *options: str) -> str:
    """The first option that there is, where there is something to mend."""
    return next((option for option in options if option), "") if outcome in ("partly", "not") else ""


def of_collapse(y_dim: int, retry: Retry = NOTHING) -> Finding:
    """That no dimension carries anything."""
    return Finding(
        "not",
        "Does the model use its latent space?",
        f"The encoder says the same of every row: 0 of its {y_dim} dimensions tell rows apart, and a model that works "
        "has 1 or more (this is called posterior collapse). So there is nothing that the mapping could order.",
        next=_next("not", retry.warmup, retry.longer),
    )


def of_clusters(found: Clusters) -> list[Finding]:
    """Whether the clusters have the sizes that are declared, rows keep to them, and they are the classes."""
    part = f"clusters in {found.where}"
    findings = [_sizes(found, part)]
    if found.loyalty is not None:
        outcome = _graded(found.loyalty, LOYAL, TORN)
        luck = sum(p * q for p, q in zip(found.declared, found.seen, strict=True))
        case = {
            "took": "Each row lies clearly inside one cluster",
            "partly": "Some rows lie between two clusters",
            "not": "Many rows lie between two clusters, so the cluster of a single row means little",
        }[outcome]
        findings.append(
            Finding(
                outcome,
                "Does each row lie clearly in one cluster?",
                f"{case}: if a row is encoded again, each time with new random noise, it falls into its own cluster in "
                f"{found.loyalty:.0%} of all cases; by chance it would in {luck:.0%}, and {LOYAL:.0%} or more counts "
                "as clear.",
                part,
                next=_next(outcome, found.retry.longer),
            )
        )
    if found.agreement is not None and found.classes > 1:
        findings.append(_agreement(found, found.agreement, part))
    return findings


def _sizes(found: Clusters, part: str) -> Finding:
    k, n = len(found.declared), max(found.n, 1)
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
    equal = max(found.declared) - min(found.declared) < ALIKE / k and not found.learned
    verb = "learned" if found.learned else "assumed"
    sizes = f"the sizes that the model {verb} ({'equal ones' if equal else _shares(found.declared)})"
    case = {
        "took": f"The clusters have about {sizes}",
        "partly": f"The clusters do not quite have {sizes}",
        "not": "The clusters are unequal and the model assumed equal ones"
        if equal
        else f"The clusters do not have {sizes}",
    }[outcome]
    told = (
        f"{apart:.0%} of the {found.n:,} rows are in the wrong cluster, {chance:.0%} would be by chance; the clusters "
        f"hold {_shares(found.seen)} of them"
    )
    empty = ", ".join(map(str, bare[:10])) + (", …" if len(bare) > 10 else "")
    if empty:
        told += f", and almost nothing is in cluster{'s'[: len(bare) != 1]} {empty} (of 0 to {k - 1})"
    if 1 - min(found.declared) - chance < FAR:
        return Finding(
            "unknown",
            SIZES,
            f"So few rows cannot show whether {k} clusters have the sizes that the model {verb}: {told}.",
            part,
            decisive=True,
        )
    means = ". So new samples show some clusters more often than the data do, and others less often"
    fewer = found.retry.of_k(k - len(bare)) if bare and k - len(bare) > 1 else ""
    return Finding(
        outcome,
        SIZES,
        f"{case}: {told}{'' if outcome == 'took' else means}.",
        part,
        decisive=True,
        next=_next(outcome, found.retry.learnable, fewer, found.retry.longer),
    )


def _agreement(found: Clusters, agreement: float, part: str) -> Finding:
    graded = _graded(agreement, AGREE, APART)
    case = {
        "took": f"The clusters match the {found.classes} labels, which training never saw",
        "partly": f"The clusters match the {found.classes} labels in part; training never saw them",
        "not": f"The clusters follow something else in the data than the {found.classes} labels, which is no fault "
        "unless you want the labels",
    }[graded]
    # Clusters that follow another factor than the labels are clusters all the same.
    outcome: Outcome = "partly" if graded == "not" else graded
    return Finding(
        outcome,
        "Do the clusters match the labels?",
        f"{case}: they reach {agreement:.0%} on a scale from 0% (the cluster of a row tells nothing about its label) "
        f"to 100% (it tells as much as {len(found.declared)} clusters can); {AGREE:.0%} or more counts as a match.",
        part,
        next=_next(outcome, found.retry.of_k(found.classes), found.retry.starts),
    )


def _shares(values: Sequence[float], most: int = 10) -> str:
    return ", ".join(f"{v:.0%}" for v in values[:most]) + (", …" if len(values) > most else "")


def of_shape(found: Shape) -> list[Finding]:
    """Whether the data fill the declared set and keep to it."""
    part = f"{found.name} in {found.where}"
    filled = _graded(found.filled / max(found.filled_by_prior, 1e-9), FILLED, EMPTY)
    inside = _graded(found.inside / max(found.inside_by_prior, 1e-9), FILLED, EMPTY)
    use = {
        "took": "The data use the whole shape",
        "partly": "The data use a part of the shape",
        "not": "The data use a small part of the shape",
    }[filled]
    lies = "of the data lie where the model draws almost no samples, so new samples will not be like them"
    lie = {"took": "The data lie where the model draws its samples", "partly": f"Some {lies}", "not": f"Most {lies}"}
    empty = "" if filled == "took" else " Samples from the rest are of a kind that the model has never seen."
    norm = ""
    if found.bound is not None and found.norm is not None:
        norm = (
            f" Half of the rows are at most {found.norm:.3g} away from the origin; the mapping allows at most "
            f"{found.bound:.3g}."
        )
    return [
        Finding(
            filled,
            "Do the data use the whole shape?",
            f"{use} ({found.name}): of {found.n:,} random places on it, {found.filled:.0%} have a row of the data "
            f"nearby. If the data were spread over all of it, {found.filled_by_prior:.0%} would; "
            f"{FILLED * found.filled_by_prior:.0%} or more counts as the whole.{empty}",
            part,
            decisive=True,
            next=_next(filled, found.retry.starts),
        ),
        Finding(
            inside,
            "Do the data lie where the model draws its samples?",
            f"{lie[inside]}: {found.inside:.0%} of the rows have one of {found.n:,} random samples nearby. Of other "
            f"random samples {found.inside_by_prior:.0%} have; {FILLED * found.inside_by_prior:.0%} or more counts as "
            f"yes.{norm}",
            part,
            next=_next(inside, found.retry.longer),
        ),
    ]


def of_sparsity(found: Sparse) -> list[Finding]:
    """Whether z is sparse, also in active dimensions alone, and whether the mapping shuts coordinates."""
    part, retry = f"sparsity in {found.where}", found.retry
    whole = _graded(_gained(found.hoyer, found.floor), SPARSER, EVEN)
    case = {
        "took": "Each row uses few of the dimensions",
        "partly": "Each row uses somewhat fewer dimensions than it would without a sparse bias",
        "not": "Each row uses all dimensions alike, as without a sparse bias",
    }
    findings = [
        Finding(
            whole,
            "Does each row use few dimensions?",
            f"{case[whole]}: the {found.n:,} rows reach {found.hoyer:.2f} on average on a scale where "
            f"{found.floor:.2f} is random numbers, 1.00 is a single dimension in use for each row, and "
            f"{_enough(found.floor):.2f} or more counts as few (the Hoyer score).",
            part,
            decisive=True,
            next=_next(whole, retry.stronger, retry.longer),
        )
    ]
    if found.hoyer_active is not None:
        # Dimensions that carry nothing are noise about zero, which makes a row look sparse that is not.
        live = _graded(_gained(found.hoyer_active, found.floor_active), SPARSER, EVEN)
        case = {
            "took": "Each row uses few of these as well",
            "partly": "Each row uses somewhat fewer of these than it would without a sparse bias",
            "not": "Each row uses all of these alike, so what looks sparse above are dimensions that no row uses"
            if whole != "not"
            else "Each row uses all of these alike",
        }
        findings.append(
            Finding(
                live,
                "Also among the dimensions that tell rows apart?",
                f"{case[live]}: in the {found.active} dimensions that tell rows apart, the rows reach "
                f"{found.hoyer_active:.2f} on the same scale; random numbers have {found.floor_active:.2f} there, and "
                f"{_enough(found.floor_active):.2f} or more counts as few.",
                part,
                next=_next(live, retry.stronger, retry.longer),
            )
        )
    if found.shut is not None:
        shut = _graded(found.shut, SHUT, OPEN)
        case = {
            "took": "The mapping switches dimensions off",
            "partly": "The mapping switches a few dimensions off",
            "not": "The mapping switches nothing off",
        }
        vain = " Even so, the rows are not sparse (see above)." if (whole, shut) == ("not", "took") else ""
        findings.append(
            Finding(
                shut,
                "Does the mapping switch dimensions off?",
                f"{case[shut]}: it makes {found.shut:.0%} of the values less than half as large, counting the "
                f"dimensions that tell rows apart; {SHUT:.0%} or more counts as switching off, {OPEN:.0%} or less as "
                f"nothing.{vain}",
                part,
                next=_next(shut, retry.stronger, retry.longer),
            )
        )
    return findings


def _gained(hoyer: float, floor: float) -> float:
    """Which part of the way from a Gaussian to a single active dimension is made."""
    return (hoyer - floor) / max(1 - floor, 1e-9)


def _enough(floor: float) -> float:
    """The Hoyer score from which on rows count as sparse."""
    return floor + SPARSER * (1 - floor)


def of_levels(found: Levels) -> list[Finding]:
    """Whether every level carries something and hangs on those above it."""
    part, retry = f"levels in {found.where}", found.retry
    used = [kl >= ACTIVE_KL for kl in found.kl]
    below = list(found.above)[1:]
    in_use: Outcome = "took" if all(used) else "not" if sum(used) <= 1 and len(used) > 1 else "partly"
    case = {
        "took": "Every level carries information about the data",
        "partly": f"{sum(used)} of the {len(used)} levels carry information about the data, the others none",
        "not": "One level alone carries information about the data, so there is no hierarchy"
        if any(used)
        else "No level carries information about the data",
    }[in_use]
    findings = [
        Finding(
            in_use,
            "Is every level in use?",
            f"{case}: from the top to the lowest they carry {', '.join(f'{kl:.2f}' for kl in found.kl)} nats of "
            f"information about each row; 0 is a level without use, and {ACTIVE_KL:g} or more counts as in use.",
            part,
            decisive=True,  # one level alone is no hierarchy
            next=_next(in_use, retry.warmup, retry.longer),
        )
    ]
    if below:
        outcomes = {_graded(share, PASSES_ON, ALONE) for share in below}
        outcome = outcomes.pop() if len(outcomes) == 1 else "partly"
        case = {
            "took": "Each level builds on the levels above it",
            "partly": "Some levels build on those above them, others hardly",
            "not": "The levels stand side by side, and none builds on those above it",
        }[outcome]
        findings.append(
            Finding(
                outcome,
                "Does each level build on those above?",
                f"{case}: below the top, {', '.join(f'{share:.0%}' for share in below)} of what varies in a level "
                f"comes from the levels above it; levels without connection have 0%, and {PASSES_ON:.0%} or more "
                "counts as building on them.",
                part,
                decisive=True,
                next=_next(outcome, retry.longer, retry.starts),
            )
        )
    return findings
