"""Which settings has a start from labels? Its spec: all labels, or a few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, JsonValue, PositiveInt

from intel_core.errors import DataError
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset, Split

__all__ = ["LabelsStartSpec"]


class LabelsStartSpec(StartSpec):
    """The classes of the data: cluster k is the k-th class. With few labels the training becomes semi-supervised.

    A label of -1 is none. Examples without a label take that of their neighbours, among the encodings and among the
    values, or of their cluster, if there are clusters that the labelled examples confirm; the labelled ones go on to be
    pulled to their cluster with ``weight`` until the training ends.
    """

    pull: float = Field(
        30.0,
        ge=0,
        le=1e6,
        description="weight of the pull when it begins, per nat of cross-entropy; more than of other starts, since "
        "labels say what the clusters are to be",
    )

    count: PositiveInt | None = Field(
        None, description="use only so many labels, equally many of each class and chosen by the seed; all by default"
    )
    spread: bool = Field(True, description="give examples without a label that of their neighbours")
    examples: int = Field(20_000, ge=100, le=10**7, description="examples without a label whose neighbours are sought")
    weight: float = Field(
        1.0, ge=0, le=1e6, description="weight of the labelled examples' mean cross-entropy through all of the training"
    )

    @property
    def lasting_pull(self) -> float:
        """`weight`."""
        return self.weight

    def check(self, dataset: Dataset, clusters: int) -> None:
        """See `StartSpec.check`."""
        classes = _classes(dataset.train, clusters)
        if self.count is not None:
            _require_count(self.count, clusters, int((classes >= 0).sum()))

    def find(self, given: StartData) -> FoundClusters:
        """The class of each example, or that of its neighbours.

        Raises:
            DataError: if there are no labels, or other than K classes.
        """
        import torch

        from intel_starts.spreading import classes_by_labels
        from intel_starts.views import values_of

        labels = _classes(given.train, given.clusters)
        known = labels if self.count is None else _a_few(labels, self.count, given)
        certain = known >= 0
        cluster, facts = known, dict[str, JsonValue]()
        if self.spread and not bool(certain.all()):
            y = given.y.double().numpy()
            also = values_of(given, self.examples + int(certain.sum()))
            found, facts = classes_by_labels(y, known.numpy(), self.examples, given.seed, also)
            cluster = torch.from_numpy(found)
        return FoundClusters(cluster, certain, {"labels": int(certain.sum()), **facts})


def _classes(train: Split, k: int) -> Tensor:
    """The number of each example's class, ``(n,)``, -1 for none."""
    import torch

    labels = train.labels
    if labels is None:
        raise DataError("start labels: the data have no labels; use start=mixture")
    if labels.is_floating_point() or labels.dim() != 1:
        raise DataError("start labels: the labels of the data are no classes (one integer per example)")
    classes = torch.unique(labels[labels >= 0])
    if not len(classes):
        raise DataError("start labels: no training example has a label; use start=mixture")
    if len(classes) != k:
        raise DataError(
            f"start labels: the training data have {len(classes)} classes and the mapping has {k} clusters; "
            f"use cluster:k={len(classes)}, or start=mixture"
        )
    return torch.where(labels >= 0, torch.searchsorted(classes, labels.clamp(min=int(classes[0]))), -1)


def _require_count(count: int, clusters: int, there: int) -> None:
    if not clusters <= count <= there:
        raise DataError(
            f"start labels: count={count}, expected {clusters} (one per class) to {there:,}, which are there"
        )


def _a_few(labels: Tensor, count: int, given: StartData) -> Tensor:
    """All but `count` labels taken away; of each class equally many are left, up to one."""
    import torch

    _require_count(count, given.clusters, int((labels >= 0).sum()))
    generator = torch.Generator().manual_seed(given.seed)
    order = torch.randperm(len(labels), generator=generator)
    kept = torch.full_like(labels, -1)
    members = [order[labels[order] == k] for k in range(given.clusters)]
    taken = [0] * given.clusters
    left = count
    while left:
        for k, rows in enumerate(members):
            if left and taken[k] < len(rows):
                kept[rows[taken[k]]] = k
                taken[k] += 1
                left -= 1
    return kept
