"""What does a verdict on a bias rest on? Numbers about clusters, shapes, sparsity, levels, and a run without the bias.

Nothing here knows torch, a file or a mapping's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Clusters",
    "Compared",
    "Evidence",
    "Levels",
    "Shape",
    "Sparse",
]


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
        off_manifold: lower is better.
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
    off_manifold: Compared | None = None
    against: bool = False
    missing: tuple[str, ...] = ()
