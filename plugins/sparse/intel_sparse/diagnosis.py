"""Has the latent become sparse, and do classes use different dimensions? Scores and mean gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intel_core.helpers.hoyer import gaussian_floor, hoyer_score
from intel_core.helpers.labels import as_classes

__all__ = ["describe_sparsity", "mean_jaccard_distance"]

ACTIVE_SHARE = 0.01
"""A dimension is in use if it is active for at least this share of the data."""


def describe_sparsity(z: Tensor, gates: Tensor, labels: Tensor | None) -> dict[str, Any]:
    """Numbers that can be written as JSON.

    Args:
        z: mapped posterior means, shape ``(n, D)``.
        gates: their gates, shape ``(n, D)``.
        labels: class of each row, shape ``(n,)``. Labels that cannot be classes (not integers, several per row,
            more than 1000 different ones) are ignored.

    Returns:
        ``gaussian_floor`` (the Hoyer score of a Gaussian of D dimensions) and, if there are rows,
        ``hoyer`` (see `hoyer_score`), ``mean_gate``, ``active_share`` (share of gates above 1/2) and ``active_dims``
        (number of dimensions whose gate is above 1/2 for at least 1 % of the rows). With labels also ``classes``,
        ``gates_by_class`` (a row of D mean gates for each class) and, for at least two classes,
        ``class_gate_distance`` (see `mean_jaccard_distance`).

    >>> gates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> z = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [1.0, 2.0], [1.0, -2.0]]) * gates
    >>> report = describe_sparsity(z, gates, torch.tensor([3, 3, 8, 8]))
    >>> report["hoyer"], report["active_share"], report["gates_by_class"], report["class_gate_distance"]
    (1.0, 0.5, [[1.0, 0.0], [0.0, 1.0]], 1.0)
    """
    n = len(gates)
    report: dict[str, Any] = {"gaussian_floor": gaussian_floor(gates.shape[-1])}
    if n == 0:
        return report
    gates = gates.double().cpu()
    active = (gates > 0.5).double()
    report |= {
        "hoyer": hoyer_score(z),
        "mean_gate": float(gates.mean()),
        "active_share": float(active.mean()),
        "active_dims": int((active.mean(0) >= ACTIVE_SHARE).sum()),
    }
    known = as_classes(labels, n)
    if known is None:
        return report
    classes, row = known
    sums = torch.zeros(len(classes), gates.shape[1], dtype=torch.float64).index_add_(0, row, gates)
    profiles = sums / torch.bincount(row).unsqueeze(1)
    report |= {"classes": classes, "gates_by_class": profiles.tolist()}
    if len(classes) > 1:
        report["class_gate_distance"] = mean_jaccard_distance(profiles)
    return report


def mean_jaccard_distance(profiles: Tensor) -> float:
    r"""How different some vectors of numbers >= 0 are: the mean, over all pairs of rows a and b, of

    .. math:: 1 - \frac{\sum_d \min(a_d, b_d)}{\sum_d \max(a_d, b_d)}

    For sets, written as zeros and ones, this is the Jaccard distance: 0 for equal sets, 1 for disjoint ones. For gates
    in [floor, 1] it is less than ``1 - floor``.

    Args:
        profiles: at least two rows, shape ``(K, D)``.

    Raises:
        ValueError: if there are fewer than two rows.

    >>> mean_jaccard_distance(torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])) == 1 - 1 / 3
    True
    """
    k = len(profiles)
    if k < 2:
        raise ValueError(f"a distance needs two rows, there are {k}")
    profiles, total = profiles.double(), 0.0
    for i in range(1, k):
        others = profiles[:i]
        union = torch.maximum(others, profiles[i]).sum(-1)
        shared = torch.minimum(others, profiles[i]).sum(-1)
        # Two rows of zeros are equal.
        total += float(torch.where(union > 0, 1 - shared / union, 0.0).sum())
    return total / (k * (k - 1) / 2)
