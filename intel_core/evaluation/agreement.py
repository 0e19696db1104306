"""Do several runs find the same clusters, and those of the labels? Pairs of runs on the same test examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset, Split
from intel_core.data.values import to_float
from intel_core.errors import IntelError
from intel_core.evaluation.bias.gathering import MOST_ENCODED, choose_rows
from intel_core.evaluation.clusters import clusters_of, members
from intel_core.evaluation.grouping import RunGroup
from intel_core.helpers.contingency import Labeling, agreement_of
from intel_core.helpers.labels import as_classes
from intel_core.runs.stored_run import StoredRun

__all__ = ["Agreement", "ClusterComparison", "Sizes", "compare_clusters", "labeling_of"]

_MOST_GROUPS = 5
"""So many groups are held against each other; of more, each against the first one."""


class Agreement(NamedTuple):
    """How well two groups of clusters agree, by pairs of a run of each; in no particular order.

    Attributes:
        of: the name of a group.
        beside: that of another one; the same for pairs of its own runs; empty for the labels of the data.
        nmi: the normalised mutual information of each pair, over the mean of both entropies, in [0, 1].
        rand: the Rand index of each pair, adjusted for chance, at most 1.
    """

    of: str
    beside: str
    nmi: tuple[float, ...]
    rand: tuple[float, ...]


class Sizes(NamedTuple):
    """How large the clusters of a group of runs are.

    Attributes:
        of: the name of the group.
        runs: how many runs.
        shares: the share of the examples in each cluster, largest first, as means over the runs.
        empty: how many clusters hold none of the examples, as a mean over the runs.
    """

    of: str
    runs: int
    shares: tuple[float, ...]
    empty: float


class ClusterComparison(NamedTuple):
    """The clusters of some groups of runs side by side.

    Attributes:
        examples: how many test examples they were compared on.
        agreements: with the labels, between the runs of a group, and between groups.
        sizes: of each group that has clusters.
        notes: what a reader must know, in sentences.
    """

    examples: int
    agreements: tuple[Agreement, ...]
    sizes: tuple[Sizes, ...]
    notes: tuple[str, ...] = ()


@torch_as_usual()
@torch.no_grad()
def labeling_of(run: StoredRun, x: Tensor, conditions: Tensor | None = None) -> Labeling | None:
    """The most probable cluster of each example, of the mapping or of a mixture prior; None for a run without clusters.

    Args:
        run: the run.
        x: examples as the model knows them, ``(n, *x_shape)``.
        conditions: of the examples, for a run that has some.
    """
    found = clusters_of(run.model)
    if found is None or found.n < 2:
        return None
    mean = run.encode(Split(x, conditions=conditions), standardised=True).mean
    inside = members(run.model, x, mean, conditions=conditions)
    return None if inside is None else Labeling(inside.cluster, found.n)


def compare_clusters(groups: Sequence[RunGroup], *, data_dir: Path | None = None) -> ClusterComparison | None:
    """The clusters of groups of runs on test examples, at most 5,000; None if no run has clusters.

    The clusters are those of the mapping, or the components of a mixture prior. They have no order, and both numbers
    are the same for any.

    Args:
        groups: groups of runs, as of `group_runs`; those without clusters are left out.
        data_dir: the folder of data files; by default ``INTEL_DATA_DIR``.

    Example::

        found = compare_clusters(group_runs(runs))
        found.agreements[0].rand  # with the labels, for each run of the first group
    """
    having = [group for group in groups if any(_has_clusters(run) for run in group.runs)]
    if not having:
        return None
    notes: list[str] = []
    dataset = None
    for group in having:
        try:
            dataset = group.runs[0].dataset(data_dir)
            group.runs[0].require_its_data(dataset)
            break
        except IntelError as error:
            dataset = None
            notes.append(f"The clusters of {group.name} are not compared: {error}.")
    if dataset is None:
        return ClusterComparison(0, (), (), tuple(notes))
    rows = choose_rows(len(dataset.test), MOST_ENCODED)
    part = dataset.test.part(rows)
    x = to_float(part.x)
    found: dict[str, list[Labeling]] = {}
    for group in having:
        labelings = []
        for run in group.runs:
            try:
                run.require_its_data(dataset)
                one = labeling_of(run, x, part.conditions)
            except IntelError as error:
                notes.append(f"The clusters of {run.path} are not compared: {error}.")
                continue
            labelings += [] if one is None else [one]
        if labelings:
            found[group.name] = labelings
    agreements = [*_with_labels(dataset, rows, found), *_within(found), *_between(found)]
    sizes = [_sizes(name, labelings, len(rows)) for name, labelings in found.items()]
    return ClusterComparison(len(rows), tuple(agreements), tuple(sizes), tuple(dict.fromkeys(notes)))


def _has_clusters(run: StoredRun) -> bool:
    try:
        found = clusters_of(run.model)
    except IntelError:  # its numbers may be there without its weights
        return False
    return found is not None and found.n > 1


def _with_labels(dataset: Dataset, rows: Tensor, found: dict[str, list[Labeling]]) -> list[Agreement]:
    labels = dataset.test.labels
    known = None if labels is None else as_classes(labels[rows], len(rows))
    if known is None or len(known[0]) < 2:
        return []
    classes = Labeling(known[1], len(known[0]))
    return [_agreement(name, "", [(one, classes) for one in labelings]) for name, labelings in found.items()]


def _within(found: dict[str, list[Labeling]]) -> list[Agreement]:
    return [_agreement(name, name, list(combinations(mine, 2))) for name, mine in found.items() if len(mine) > 1]


def _between(found: dict[str, list[Labeling]]) -> list[Agreement]:
    names = list(found)
    pairs = combinations(names, 2) if len(names) <= _MOST_GROUPS else product(names[:1], names[1:])
    return [_agreement(a, b, list(product(found[a], found[b]))) for a, b in pairs]


def _agreement(of: str, beside: str, pairs: Sequence[tuple[Labeling, Labeling]]) -> Agreement:
    each = [agreement_of(*pair) for pair in pairs]
    return Agreement(of, beside, tuple(nmi for nmi, _ in each), tuple(rand for _, rand in each))


def _sizes(name: str, labelings: Sequence[Labeling], n: int) -> Sizes:
    """Means over runs of the largest, the second largest, … share."""
    k = max(one.k for one in labelings)
    counts = torch.stack([torch.bincount(one.cluster, minlength=k).sort(descending=True).values for one in labelings])
    shares = (counts.double() / max(n, 1)).mean(0)
    return Sizes(name, len(labelings), tuple(shares.tolist()), float((counts == 0).double().sum(1).mean()))
