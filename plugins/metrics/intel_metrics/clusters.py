"""Did the clusters of a mapping or of a mixture prior take, and are they the classes?"""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.contingency import Counts, contingency_table, normalised_mutual_information, purity
from intel_core.helpers.labels import as_classes
from intel_core.helpers.own_prior import UnderPrior, clusters_of_prior, own_prior
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.mappings.contract import Clustering
from intel_metrics.shares import share_error

__all__ = [
    "matched_accuracy",
    "normalised_mutual_information",
    "purity",
]

_REPEATS = 200


def matched_accuracy(table: Counts) -> float:
    """Share of rows on the diagonal under the best one-to-one matching of clusters and classes (Hungarian algorithm).

    With fewer clusters than classes, or more, the rows of unmatched clusters and classes count as wrong.

    Source: Kuhn 1955.

    >>> matched_accuracy(np.array([[0, 3], [1, 0]]))
    1.0
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


_SCORES = {
    "nmi": (normalised_mutual_information, "mutual information of cluster and class over the mean of their entropies"),
    "matched accuracy": (matched_accuracy, "share of examples right under the best matching of clusters and classes"),
    "purity": (purity, "share of examples whose class is the most frequent one of their cluster"),
}


def measure_clusters(
    subject: Subject,
    *,
    n: int,
    features: Literal["mean", "sample"],
    seed: int,
) -> Measurement:
    """Shares of data and prior in each cluster of the mapping of a run, and agreement of clusters and classes.

    The arguments are the fields of `intel_metrics.specs.clusters.ClustersSpec`.
    """
    model = subject.model
    found, own, of_prior = clustering_of(model.mapping), own_prior(model), clusters_of_prior(model)
    if found is None and of_prior is None:
        raise NotApplicableError("the mapping has no clusters, and the prior has none")
    part: Clustering
    part, dims = found if found is not None else (cast(Clustering, of_prior), tuple(range(model.y_dim)))
    said_by = "the mapping says" if found is not None else "the prior says"
    # A module of learned proportions has a parameter; fixed sectors have none.
    learned = isinstance(part, nn.Module) and any(p.requires_grad for p in part.parameters()) and own is None
    if found is not None and own is not None:  # what the mapping declares are shares of N(0, I)
        part, said_by = UnderPrior(part, dims, own), "the prior has"
    k = part.n_clusters
    if k < 2:
        raise NotApplicableError("the mapping has one cluster only")
    read = list(dims)

    @torch.no_grad()
    def assigned(y: Tensor) -> Tensor:
        return part.assign(y[:, read].to(subject.run.model_device)).cpu()

    encoding = subject.encode("test", seed=seed)
    data = assigned(encoding.mean if features == "mean" else encoding.y)
    drawn = assigned(subject.prior(n, seed=seed).y)
    with torch.no_grad():
        declared = part.proportions().double().cpu()
    in_data, in_prior = (torch.bincount(index, minlength=k).double() / len(index) for index in (data, drawn))
    numbers: dict[str, Number] = {}
    for i in range(k):
        mine, prior, said = float(in_data[i]), float(in_prior[i]), float(declared[i])
        numbers[f"data in cluster {i}"] = Number(
            value=mine,
            error=share_error(mine, len(data)),
            beside={said_by: said},
            about=f"share of encoded test data in cluster {i}",
        )
        numbers[f"prior in cluster {i}"] = Number(
            value=prior,
            error=share_error(prior, n),
            beside={said_by: said},
            about=f"share of prior draws in cluster {i}",
        )
        if learned:
            numbers[f"learned share {i}"] = Number(
                value=said,
                beside={"encoded data": mine},
                about=f"share of cluster {i} that the mapping has learned; the order of clusters has no meaning",
            )
    distance = 0.5 * float((in_data - declared).abs().sum())
    numbers["distance of shares"] = Number(
        value=distance,
        better="lower",
        beside={"draws of the prior, as many": _expected_distance(declared, len(data), seed)},
        about="total variation between the shares of data and prior: ½ Σ |difference|",
    )
    details: dict[str, Any] = {"proportions": declared.tolist(), "data shares": in_data.tolist()}
    notes: list[str] = []
    if found is not None and own is not None:
        notes.append(
            f"The mapping declares its shares for N(0, I); under the prior {subject.run.spec.prior} they are counted."
        )
    elif found is None:
        notes.append("The clusters are the components of the prior: each y is in the one most responsible for it.")
    labels = subject.split("test").labels
    known = as_classes(labels, len(data))
    if known is None or len(known[0]) < 2:
        notes.append("There are no classes to compare the clusters with.")
    else:
        numbers |= _against_classes(data, known, k, seed, details)
        if k != len(known[0]):
            notes.append(f"{k} clusters for {len(known[0])} classes: matched accuracy cannot reach 1.")
    return Measurement(
        numbers=numbers,
        protocol={
            "data": subject.dataset.name,
            "fingerprint": subject.run.fingerprint,
            "encoded": f"all {len(data)} examples of the test part, by posterior {features}",
            "prior draws": n,
            "clusters": k,
            "proportions": "learned" if learned else "fixed" if own is None else "counted in draws of the prior",
            **({} if own is None else {"prior": str(subject.run.spec.prior)}),
            "error": f"of a share of independent rows; of NMI and purity by {_REPEATS} multinomial tables",
            "seed": seed,
        },
        details=details,
        notes=tuple(notes),
    )


def _against_classes(
    cluster: Tensor, known: tuple[list[int], Tensor], k: int, seed: int, details: dict[str, Any]
) -> dict[str, Number]:
    """Agreement of clusters and classes, beside the scores of shuffled labels and of a single cluster."""
    classes, target = known
    table = contingency_table(cluster, target, k, len(classes))
    rng = np.random.default_rng(seed)
    shuffled = contingency_table(cluster, target[torch.from_numpy(rng.permutation(len(target)))], k, len(classes))
    tables = rng.multinomial(int(table.sum()), (table / table.sum()).ravel(), size=_REPEATS).reshape(-1, *table.shape)
    majority = float(table.sum(0).max() / table.sum())
    details |= {"classes": classes, "contingency": table.tolist()}
    return {
        name: Number(
            value=score(table),
            error=float(np.std([score(one) for one in tables], ddof=1)),
            better="higher",
            beside={"shuffled labels": score(shuffled)} | ({} if name == "nmi" else {"one cluster for all": majority}),
            about=about,
        )
        for name, (score, about) in _SCORES.items()
    }


def _expected_distance(shares: Tensor, n: int, seed: int) -> float:
    """Mean total variation between shares and those of n rows drawn with them: the effect of finite n alone."""
    p = shares.numpy() / shares.numpy().sum()
    counts = np.random.default_rng(seed).multinomial(n, p, size=_REPEATS)
    return float(0.5 * np.abs(counts / n - p).sum(1).mean())
