"""On which evidence is a verdict based? Numbers about clusters, shapes, sparsity, levels, and a run without the bias.

Nothing here uses torch, files or the name of a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "Clusters",
    "Compared",
    "Evidence",
    "Levels",
    "Retry",
    "Shape",
    "Sparse",
]


@dataclass(frozen=True)
class Retry:
    """Commands, or options of `intel train`, by which the run could be trained again; empty where there is none.

    Attributes:
        run: whether these are commands that begin with the settings of the run, and not options alone.
        seeds: with other seeds; one command for each of the two runs that are compared, and one that compares them.
        without: without the bias, and then the report on both.
        longer: with more steps.
        starts: from several initialisations, of which the best is trained.
        warmup: with a weight of the KL term that grows.
        learnable: with shares of clusters that are learned.
        stronger: with a greater weight of the mapping's own loss.
        of_k: with so many clusters.
    """

    run: bool = False
    seeds: tuple[str, ...] = ("--replicates 5",)
    without: tuple[str, ...] = ("--mapping identity",)
    longer: str = ""
    starts: str = ""
    warmup: str = ""
    learnable: str = ""
    stronger: str = ""
    of_k: Callable[[int], str] = lambda n: ""


@dataclass(frozen=True)
class Clusters:
    """Clusters that a part declares, and where the data are.

    Attributes:
        where: the dimensions of y that the part reads, in words.
        declared: the prior's mass in each cluster.
        seen: the share of posterior means in each cluster.
        n: number of examples.
        loyalty: share of posterior samples that lie in the cluster of their mean.
        agreement: mutual information of cluster and label over the smaller of their entropies; None without labels.
        classes: number of different labels.
        learned: whether `declared` was learned from the data, and not assumed beforehand.
        retry: what could be tried.
    """

    where: str
    declared: Sequence[float]
    seen: Sequence[float]
    n: int
    loyalty: float | None = None
    agreement: float | None = None
    classes: int = 0
    learned: bool = False
    retry: Retry = Retry()


@dataclass(frozen=True)
class Shape:
    """A set of known topology or bounded norm on which z is declared to lie, and whether the data fill it.

    Attributes:
        where: as in `Clusters`.
        name: what is declared, e.g. ``one piece with one loop``.
        filled: share of draws of the prior's z that have the z of a posterior sample in their neighbourhood.
        filled_by_prior: the same with other draws of the prior, as many, in the place of posterior samples.
        inside: share of posterior samples whose z has a draw of the prior in its neighbourhood.
        inside_by_prior: the same for other draws of the prior.
        n: number of draws, and of samples.
        bound: the declared bound of the norm.
        norm: the median norm of the data's z.
        retry: what could be tried.
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
    retry: Retry = Retry()


@dataclass(frozen=True)
class Sparse:
    """Declared sparsity, and that of the data's z.

    Attributes:
        where: as in `Clusters`.
        hoyer: mean Hoyer score of z, each dimension scaled to deviation 1.
        floor: the score of a Gaussian of as many dimensions.
        shut: share of coordinates of active dimensions that g makes less than half as large; None if g changes their
            number.
        n: number of examples.
        active: number of active dimensions.
        hoyer_active: the score of the active dimensions alone; None if there are fewer than two.
        floor_active: the score of a Gaussian of as many dimensions as are active.
        retry: what could be tried.
    """

    where: str
    hoyer: float
    floor: float
    shut: float | None
    n: int
    active: int = 0
    hoyer_active: float | None = None
    floor_active: float = 0.0
    retry: Retry = Retry()


@dataclass(frozen=True)
class Levels:
    """Levels from the top to the bottom.

    Attributes:
        where: as in `Clusters`.
        kl: KL of each level in nats per example.
        above: share of the variance of each level's z that comes from the levels above it; 0 for the top level.
        n: number of examples.
        retry: what could be tried.
    """

    where: str
    kl: Sequence[float]
    above: Sequence[float]
    n: int
    retry: Retry = Retry()


@dataclass(frozen=True)
class Compared:
    """One number of this run beside that of a run without the bias.

    Attributes:
        what: its name, in words.
        value: the number of this run.
        vanilla: that of the run without the bias.
        error: the standard error of their difference; None if it is not known.
        unit: the unit of all three.
        by: how it was measured.
        doubtful: % of the examples whose value the metric itself calls doubtful, in the worse of the two runs.
        n: number of examples, the first ones of the test part, over which it is a mean; None if it is not known.
        remedy: the command that measures with fewer doubts; empty if none is known.
    """

    what: str
    value: float
    vanilla: float
    error: float | None
    unit: str = ""
    by: str = ""
    doubtful: float = 0.0
    n: int | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Evidence:
    """All evidence for the verdict.

    Attributes:
        declared: whether the mapping declares, or offers, anything that data could confirm.
        active: number of dimensions of y that are active on test data; None if it is not known.
        y_dim: number of dimensions of y.
        clusters, shapes, sparse, levels: one entry for each part that declares such a property.
        likelihood: likelihoods of both runs; higher is better.
        off_manifold: shares of samples off the data's manifold; lower is better.
        against: whether a run without the bias was given.
        missing: why evidence is missing, in sentences.
        retry: what could be tried about the run as a whole.
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
    retry: Retry = Retry()
