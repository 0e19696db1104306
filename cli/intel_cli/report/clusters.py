"""What is in each cluster? Its size in the data, its share of the prior, samples from it, and data that are in it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from markupsafe import Markup

from intel_cli.output.agreement import spread
from intel_cli.output.starts import found_by
from intel_cli.pictures.points import label_name
from intel_cli.report.images import address, limits_of, sheet
from intel_cli.report.relatives import other_seeds, without_clusters
from intel_cli.report.tables import with_error
from intel_cli.report.vectors import as_drawn, of_cluster
from intel_core.data.values import to_float
from intel_core.errors import IntelError, RunError
from intel_core.evaluation.agreement import labeling_of
from intel_core.evaluation.bias.price import likelihoods
from intel_core.evaluation.clusters import ClusteredEncoding, RunClusters, clusters_of
from intel_core.evaluation.statistics import wilson_interval
from intel_core.helpers.contingency import Labeling, agreement_of
from intel_core.randomness import stream

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Split
    from intel_core.evaluation.bias.evidence import Compared
    from intel_core.evaluation.run import Run
    from intel_core.runs.stored_run import Encoding

__all__ = ["Cluster", "Clusters", "Examples", "cluster_rows", "clusters_part", "examples_of"]

MOST = 32
_TILES = 8
_CLOUD = 150
_MOST_TEST = 2000
_DRAWN = 10_000
_COLOURS = 10


@dataclass(frozen=True)
class Cluster:
    """One cluster.

    Attributes:
        index: its number.
        count: how many test examples it holds.
        of: how many test examples there are; 0 without data.
        share: its share of the prior.
        label: the most frequent label of its examples, and how many have it; empty without labels.
        samples: a row of images of the cluster, or a chart; empty if hardly anything enters it.
        nearest: the same of data.
        note: what is wrong with it, if anything is.
    """

    index: int
    count: int
    of: int
    share: float
    label: str
    samples: str | Markup
    nearest: str | Markup
    note: str

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of 95 % for its share of the data (Wilson's)."""
        return wilson_interval(self.count, self.of)

    @property
    def size(self) -> str:
        """Its share of the test data with the interval; empty without data."""
        low, high = self.interval
        return f"{self.count / self.of:.1%} ({low:.1%} to {high:.1%})" if self.of else ""

    @property
    def prior(self) -> str:
        """Its share of the prior, in words."""
        return f"{self.share:.1%}"

    def numbers(self) -> dict[str, Any]:
        """The numbers, for programs."""
        data = {"count": self.count, "of": self.of, "interval": list(self.interval)} if self.of else {}
        return {"cluster": self.index, **data, "prior_share": self.share}


@dataclass(frozen=True)
class Clusters:
    """All clusters of a run, and what other runs say of them.

    Attributes:
        rows: one for each cluster, at most 32.
        left_out: how many more there are.
        images: whether samples and data are addresses of images.
        data: how many test examples the sizes are counted in.
        said: sentences: what the start found, the agreement with other runs, the price beside a run without clusters.
    """

    rows: list[Cluster] = field(default_factory=list)
    left_out: int = 0
    images: bool = False
    data: int = 0
    said: list[str] = field(default_factory=list)


class Examples(NamedTuple):
    """Encoded test examples, on the CPU.

    Attributes:
        x: the examples, ``(n, *x_shape)``, float32.
        mean: means of q(y|x).
        cluster: the most probable cluster of each.
        certainty: how probable that is.
        labels: a class of each, if there are some.
        names: of the classes.
        conditions: of each, for a run that has some.
    """

    x: Tensor
    mean: Tensor
    cluster: Tensor
    certainty: Tensor
    labels: Tensor | None
    names: Sequence[str]
    conditions: Tensor | None = None


def examples_of(split: Split, names: Sequence[str], rows: Tensor, encoding: Encoding | None) -> Examples | None:
    """Some examples of a split, whose classes have these names, with their encodings; None without clusters."""
    if not isinstance(encoding, ClusteredEncoding):
        return None
    cluster, certainty, labels = encoding.cluster, encoding.cluster_probability, split.labels
    if cluster is None or certainty is None or not len(cluster):
        return None
    is_class = labels is not None and labels.dim() == 1 and not labels.is_floating_point()
    known = labels[rows].cpu() if labels is not None and is_class else None
    part = split.part(rows)
    x = to_float(part.x).cpu()
    return Examples(x, encoding.mean, cluster, certainty, known, names, part.conditions)


@torch.no_grad()
def clusters_part(
    run: Run,
    examples: Examples | None,
    *,
    against: Run | None = None,
    price: Compared | None = None,
    beside: Sequence[Run] = (),
) -> Clusters:
    """Everything about the clusters of a run; empty if it has none.

    Args:
        run: the run.
        examples: test examples, if the data are there.
        against: the run without the bias that the user named.
        price: the likelihoods of both.
        beside: other runs on the same data whose clusters are compared.
    """
    clusters = clusters_of(run.model)
    if clusters is None:
        return Clusters()
    rows = cluster_rows(run, clusters, examples)
    said = [
        *_start(run),
        *_restarts(run),
        *_agreement(run, clusters.n, examples, beside),
        *_price(run, examples, against, price),
    ]
    counted = 0 if examples is None else len(examples.x)
    return Clusters(rows, clusters.n - len(rows), len(run.model.x_shape) == 3, counted, said)


# --- each cluster --------------------------------------------------------------------------------------------------


def cluster_rows(run: Run, clusters: RunClusters, examples: Examples | None) -> list[Cluster]:
    """Each cluster of a run, in their order, at most 32."""
    generator = torch.Generator(run.model_device).manual_seed(stream(0, "middle of a cluster"))
    y = run.draw_y(_DRAWN, generator)
    found = clusters.assign(y)
    middles = [y.cpu()[found == index].mean(0) for index in range(clusters.n)]  # NaN where nothing enters
    shares = clusters.shares().tolist()
    draw = _images if len(run.model.x_shape) == 3 else _clouds
    return [_row(run, index, shares[index], middles[index], examples, draw) for index in range(min(MOST, clusters.n))]


def _row(
    run: Run, index: int, share: float, middle: Tensor, examples: Examples | None, draw: Callable[..., str | Markup]
) -> Cluster:
    note = label = ""
    count, samples, data = 0, None, None
    images = draw is _images
    most = _TILES if images else _CLOUD
    try:
        samples = run.sample(most, cluster=index, standardised=True, noise=not images)
    except RunError as error:
        said = str(error).partition(";")[0]
        note = f"{said[:1].upper()}{said[1:]}."
    if examples is not None:
        inside = torch.nonzero(examples.cluster == index)[:, 0]
        count = len(inside)
        note = note or ("" if count else "No test example is in it.")
        order = _nearest_first(examples.mean[inside] - middle, examples.certainty[inside])
        data = examples.x[inside[order[:most]]]
        label = _label(examples, inside)
    return Cluster(
        index,
        count,
        0 if examples is None else len(examples.x),
        share,
        label,
        draw(run, samples, examples, index, f"Samples of cluster {index}"),
        draw(run, data, examples, index, f"Test data of cluster {index}"),
        note,
    )


def _nearest_first(apart: Tensor, certainty: Tensor) -> Tensor:
    """The order of a cluster's examples: the most probable ones first, of those the nearest to the prior's middle."""
    order = torch.argsort(apart.norm(dim=1).nan_to_num(0.0), stable=True)
    return order[torch.argsort(certainty[order], descending=True, stable=True)]


def _images(run: Run, x: Tensor | None, examples: Examples | None, index: int, label: str) -> str:
    """A row of images as an address; empty if there are none."""
    if x is None or not len(x):
        return ""
    support = run.info["data"].get("support", "unit")
    limits = limits_of(x if examples is None else examples.x[:200], support)
    gap = max(1, round(min(x.shape[2:]) / 16))
    blank = torch.full((max(0, _TILES - len(x)), *x.shape[1:]), limits[1])
    return address(sheet(torch.cat([x.cpu(), blank]), _TILES, limits, gap=gap), int(x.shape[2] * x.shape[3]))


def _clouds(run: Run, x: Tensor | None, examples: Examples | None, index: int, label: str) -> str | Markup:
    """Points of one cluster over all test data; empty if there are none."""
    if x is None or not len(x):
        return ""
    behind = None if examples is None else as_drawn(run, examples.x[:_MOST_TEST])
    about = label if behind is None else f"{label}, over test data in grey"
    return of_cluster(as_drawn(run, x), behind, f"k{index % _COLOURS}", about)


def _label(examples: Examples, inside: Tensor) -> str:
    """The most frequent label of some of the examples."""
    if examples.labels is None or not len(inside):
        return ""
    counts = Counter(examples.labels[inside].tolist())
    value, most = max(counts.items(), key=lambda item: (item[1], -item[0]))
    return f"{label_name(value, examples.names)} ({most} of {len(inside)})"


# --- what the start and other runs say ----------------------------------------------------------------------------


def _start(run: Run) -> list[str]:
    found = run.metrics.get("start")
    if not found:
        return []
    spec = str(found.get("spec", run.spec.start))
    return [f"Start: {found_by(found, spec, int(run.info['data']['train']))}."]


def _restarts(run: Run) -> list[str]:
    """How well the clusters of the starts that were tried agree with those of the one that was trained."""
    agreed = [trial for trial in run.info.get("trials", []) if isinstance(trial.get("agreement"), float)]
    if not agreed:
        return []
    nmi, one = spread([trial["agreement"] for trial in agreed]), agreed[0]
    starts = f"the {len(agreed)} other starts" if len(agreed) > 1 else "the other start"
    return [
        f"After {one['step']:,} steps the clusters of {starts} agreed with those of the start that was trained by a "
        f"normalised mutual information of {nmi}, on {one['examples']:,} validation examples."
    ]


def _agreement(run: Run, n: int, examples: Examples | None, beside: Sequence[Run]) -> list[str]:
    """How well the clusters of several runs agree, by each pair of them."""
    if examples is None:
        return []
    labelings = [Labeling(examples.cluster, n)]
    for other in beside or other_seeds(run):
        with contextlib.suppress(IntelError):
            found = labeling_of(other, examples.x, examples.conditions)
            labelings += [] if found is None else [found]
    pairs = [agreement_of(one, two) for one, two in combinations(labelings, 2)]
    if not pairs:
        return []
    nmi, rand = (spread(values) for values in zip(*pairs, strict=True))
    what = "other runs" if beside else "the other seeds beside it"
    return [
        f"The clusters of {len(labelings)} runs, this one and {what}, were compared on the test data: the normalised "
        f"mutual information of two runs is {nmi}, their adjusted Rand index {rand}; 1 is the same clusters, 0 "
        "unrelated ones."
    ]


def _price(run: Run, examples: Examples | None, against: Run | None, known: Compared | None) -> list[str]:
    """What the clusters cost in nats beside a run without them; nothing if there is none, which the verdict says."""
    other = against if against is not None else without_clusters(run)
    price = known
    if price is None and other is not None and examples is not None:
        with contextlib.suppress(IntelError):
            price = likelihoods(run, other, examples.x, None, examples.conditions)
    if price is None or other is None:
        return []
    difference = price.value - price.vanilla
    shown = f"{abs(difference):.2f}" if price.error is None else with_error(abs(difference), price.error)
    unclear = price.error is not None and abs(difference) < 2 * price.error
    word = "behind" if difference < 0 else "ahead of"
    within = " (within the noise)" if unclear else ""
    of_seed = "" if other.seed == run.seed else f" of seed {other.seed}"
    plain = ", which has no clusters" if clusters_of(other.model) is None else ""
    what = price.what[:1].lower() + price.what[1:]
    return [f"It is {shown} nats per example {word} {other.path}{of_seed}{plain}{within}; measured is {what}."]
