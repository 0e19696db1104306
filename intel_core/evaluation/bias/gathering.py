"""Do data and samples show what a mapping declares? The numbers on which a verdict is based."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, RunError
from intel_core.evaluation.bias.evidence import Clusters, Evidence, Levels, Retry, Shape, Sparse
from intel_core.evaluation.bias.price import from_metrics, likelihoods
from intel_core.evaluation.bias.retrying import retries
from intel_core.evaluation.grouping import differing
from intel_core.evaluation.measuring import Measured, measurements
from intel_core.helpers.contingency import contingency_table, normalised_mutual_information
from intel_core.helpers.hoyer import gaussian_floor, hoyer_score
from intel_core.helpers.labels import as_classes
from intel_core.helpers.own_prior import OwnPrior, UnderPrior, clusters_of_prior, own_prior
from intel_core.helpers.parts_of_mapping import Part, elements
from intel_core.mappings.contract import Clustering, Levelled
from intel_core.model.posterior import DiagonalGaussian
from intel_core.randomness import stream
from intel_core.runs.stored_run import Encoding, StoredRun
from intel_core.training.scoring import ACTIVE_VARIANCE

__all__ = ["MOST_ENCODED", "Gathered", "choose_rows", "gather", "near_each_other", "usable_data"]

MOST_ENCODED = 5000
_DRAWS = 1000
_NEIGHBOURS = 5
_MORE_DRAWS = 5000


class Gathered(NamedTuple):
    """The evidence, and what it was made from.

    Attributes:
        evidence: all that a verdict needs.
        dataset: the data of the run; None if they cannot be loaded.
        encoding: encodings of the test examples, or of 5,000 of them; None without data.
        labels: labels of the same examples, if there are any.
        measured: stored measurements of the run.
        measured_against: stored measurements of the run without the bias.
        notes: what a reader must know about the data, in sentences.
    """

    evidence: Evidence
    dataset: Dataset | None
    encoding: Encoding | None
    labels: Tensor | None
    measured: list[Measured]
    measured_against: list[Measured]
    notes: list[str]


@torch.no_grad()
def gather(
    run: StoredRun,
    against: StoredRun | None = None,
    *,
    dataset: Dataset | None = None,
    data_dir: Path | None = None,
) -> Gathered:
    """Everything that a verdict on a run needs.

    Args:
        run: the run.
        against: a run on the same data without the bias, if there is one.
        dataset: the data, where they are in memory; loaded again otherwise.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.

    Raises:
        RunError: if a run has no weights, the data are not those it was trained on, or `against` is on others, has the
            same bias, or has conditions where the run has none.
    """
    _ = run.model  # this refuses a run without weights before anything else is done
    if against is not None:
        _require_reference(run, against)
    problem = ""
    if dataset is None:
        dataset, problem = usable_data(run, data_dir)
    else:
        run.require_its_data(dataset)
    notes = [problem] if problem else []
    encoding = labels = None
    if dataset is not None:
        rows = choose_rows(len(dataset.test), MOST_ENCODED)
        encoding = run.encode(dataset.test.part(rows), standardised=True)
        labels = None if dataset.test.labels is None else dataset.test.labels[rows].cpu()
        if len(rows) < len(dataset.test):
            notes.append(f"{len(rows):,} of {len(dataset.test):,} test examples were encoded, chosen at random.")
    mine, others = measurements(run), [] if against is None else measurements(against)
    likelihood = from_metrics("likelihood", mine, others, "higher")
    if against is not None and dataset is not None:
        likelihood = likelihoods(run, against, dataset.test.x, likelihood, dataset.test.conditions)
    if likelihood is not None and against is not None:
        paths = " ".join(shlex.quote(str(one.path)) for one in (run, against))
        likelihood = replace(likelihood, remedy=f"intel evaluate {paths} --metric likelihood:particles={_MORE_DRAWS}")
    active = run.metrics.get("test", {}).get("active_units")
    of_mapping = any(_declares(part) for part in elements(run.model.mapping))
    evidence = Evidence(
        declared=of_mapping or clusters_of_prior(run.model) is not None,
        active=active if isinstance(active, int) else None,
        y_dim=run.model.y_dim,
        likelihood=likelihood,
        off_manifold=from_metrics("manifold", mine, others, "lower"),
        against=against is not None,
        missing=(*_unfinished(run), *([problem] if problem else []), *_void(run), *_unequal(run, against)),
        retry=retries(run, against)[0],
        **_by_part(run, encoding, labels),
    )
    return Gathered(evidence, dataset, encoding, labels, mine, others, notes)


_OF_THE_BIAS = ("mapping", "prior", "start", "kl", "schedules", "data", "evaluate_every")
"""Settings in which a run and one without its bias may differ; the data are known to be the same."""


def _unfinished(run: StoredRun) -> list[str]:
    """That a training has not ended, if it has not."""
    if run.status != "unfinished":
        return []
    logged = max((int(record["step"]) for record in run.records() if "step" in record), default=0)
    return [
        f"This training is unfinished: it has logged {logged:,} of {run.spec.steps:,} steps, and everything here is of "
        f"its last checkpoint; next: `intel train --resume {shlex.quote(str(run.path))}`."
    ]


def _void(run: StoredRun) -> list[str]:
    """That what a mapping declares of N(0, I) does not hold of another prior, if it declares anything and has one."""
    said = [part.properties for part in elements(run.model.mapping)]
    speaks = any(one.clusters is not None or one.betti is not None for one in said)
    clusters = any(isinstance(part.mapping, Clustering) for part in elements(run.model.mapping))
    if not (speaks or clusters) or own_prior(run.model) is None:
        return []
    return [
        f"The prior is {run.spec.prior}, and the shares of clusters and the shapes that the mapping declares are those "
        "of N(0, I): shares are counted in draws of this prior here, and nothing is promised of the shape."
    ]


def _unequal(run: StoredRun, against: StoredRun | None) -> list[str]:
    """That a difference of two runs may come from other settings than the mapping, if they have others."""
    told = {} if against is None else {**differing(run, against), **_other_conditions(run, against)}
    others = [f"{name} {mine} and {other}" for name, (mine, other) in told.items() if name not in _OF_THE_BIAS]
    if not others:
        return []
    said = ", ".join(others).replace("_", " ")
    return [f"The two runs differ in more than the mapping ({said}), so what differs need not come from the bias."]


def _other_conditions(run: StoredRun, against: StoredRun) -> dict[str, tuple[str, str]]:
    """The conditions of two runs in words, if they have others: the setting only names where they come from."""
    mine, other = ("none" if one.units.conditions is None else one.units.conditions.said for one in (run, against))
    return {} if mine == other else {"conditions": (mine, other)}


def usable_data(run: StoredRun, data_dir: Path | None) -> tuple[Dataset | None, str]:
    """The data of a run, or why they cannot be loaded.

    Raises:
        RunError: if they are not those that the run was trained on.
    """
    try:
        dataset = run.dataset(data_dir)
    except DataError as error:
        return None, f"The data cannot be loaded here ({error}), so nothing here is based on them."
    run.require_its_data(dataset)
    return dataset, ""


def _require_reference(run: StoredRun, against: StoredRun) -> None:
    """Refuse a run that shows nothing of the bias: on other data, with the same bias, or with conditions of its own."""
    if run.fingerprint != against.fingerprint:
        raise RunError(f"{against.path} was trained on other data than {run.path}; compare with a run on the same data")
    if against.path.resolve() == run.path.resolve():
        raise RunError(f"{run.path} cannot be held against itself; compare with a run without the bias")
    bias = " then ".join(str(part) for part in run.spec.mapping if str(part) != "identity")
    if bias and (run.spec.mapping, run.spec.prior) == (against.spec.mapping, against.spec.prior):
        raise RunError(
            f"{against.path} has the bias of {run.path} too ({bias}); compare with a run without it, or both by "
            "intel compare"
        )
    if against.units.conditions is not None and run.units.conditions is None:
        raise RunError(
            f"{against.path} was trained with conditions ({against.units.conditions.said}) and {run.path} without; "
            "compare with a run without conditions"
        )
    _ = against.model


def choose_rows(n: int, most: int) -> Tensor:
    """Indices of all n rows, or of a number of them that are chosen at random with a fixed seed."""
    if n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values


# --- each part of the mapping ------------------------------------------------------------------------------------


def _by_part(run: StoredRun, encoding: Encoding | None, labels: Tensor | None) -> dict[str, Any]:
    """Evidence for each part that reads y itself, by its name in `Evidence`."""
    found: dict[str, list[Any]] = {"clusters": [], "shapes": [], "sparse": [], "levels": []}
    if encoding is None or len(encoding.mean) < 2:
        return {name: tuple(items) for name, items in found.items()}
    per_dim = run.metrics.get("test", {}).get("kl_per_dim", [])
    prior, of_prior = own_prior(run.model), clusters_of_prior(run.model)
    if of_prior is not None:
        every = _dims_text(range(run.model.y_dim))
        judged = _clusters(of_prior, encoding.mean, encoding.y, labels, f"{every} (the prior's)")
        found["clusters"].append(replace(judged, retry=Retry(longer=retries(run)[0].longer)))
    for part, retry in zip(elements(run.model.mapping), retries(run), strict=True):
        if not part.reads_y:
            continue
        inner, dims = _on_cpu(part.mapping), list(part.dims)
        mean, y = encoding.mean[:, dims], encoding.y[:, dims]
        where, promised = _dims_text(dims), part.properties
        if isinstance(inner, Clustering):
            clusters = inner if prior is None else UnderPrior(inner, part.dims, prior)
            found["clusters"].append(replace(_clusters(clusters, mean, y, labels, where), retry=retry))
        if promised.betti is not None or promised.norm_bound is not None:
            shape = _shape(inner, y, where, promised.betti, promised.norm_bound, prior, dims)
            found["shapes"].append(replace(shape, retry=retry))
        if promised.sparsity is not None and len(dims) > 1:
            found["sparse"].append(replace(_sparse(inner, mean, where), retry=retry))
        if isinstance(inner, Levelled):
            kl = [float(per_dim[d]) for d in dims] if len(per_dim) > max(dims) else None
            if kl is None and run.spec.prior.is_usual and run.spec.posterior.is_usual:
                kl = _kl(encoding, dims)
            if kl is not None:
                found["levels"].append(replace(_levels(inner, mean, kl, where), retry=retry))
    return {name: tuple(items) for name, items in found.items()}


def _on_cpu(mapping: Any) -> Any:
    """The mapping on the device of the encodings; a copy if it is on another one, where the run still needs it."""
    if not isinstance(mapping, nn.Module):
        return mapping
    away = any(tensor.device.type != "cpu" for tensor in (*mapping.parameters(), *mapping.buffers()))
    return copy.deepcopy(mapping).cpu() if away else mapping


def _dims_text(dims: Sequence[int], letter: str = "y") -> str:
    """The dimensions of a part in words.

    >>> _dims_text((0, 1)), _dims_text(range(10)), _dims_text((0, 2, 5, 9))
    ('y0 and y1', 'y0 to y9', 'y0, y2, y5, y9')
    """
    if len(dims) > 2 and list(dims) == list(range(dims[0], dims[-1] + 1)):
        return f"{letter}{dims[0]} to {letter}{dims[-1]}"
    return (" and " if len(dims) == 2 else ", ").join(f"{letter}{d}" for d in dims)


def _declares(part: Part) -> bool:
    """Whether a part declares anything that data could confirm: continuity alone is not a bias."""
    promised = part.properties
    said = (promised.clusters, promised.norm_bound, promised.betti, promised.sparsity)
    return any(value is not None for value in said) or isinstance(part.mapping, Clustering | Levelled)


def _kl(encoding: Encoding, dims: Sequence[int]) -> list[float]:
    posterior = DiagonalGaussian(encoding.mean[:, dims], 2 * encoding.std[:, dims].log())
    return [float(v) for v in posterior.kl().mean(0)]


# --- clusters ----------------------------------------------------------------------------------------------------


def _clusters(part: Clustering, mean: Tensor, y: Tensor, labels: Tensor | None, where: str) -> Clusters:
    own, drawn = part.assign(mean).cpu(), part.assign(y).cpu()
    k = part.n_clusters
    classes = as_classes(labels, len(mean))
    agreement = None
    if classes is not None and len(classes[0]) > 1 and k > 1:
        table = contingency_table(own.flatten(), classes[1], k, len(classes[0]))
        agreement = normalised_mutual_information(table, over="smaller")
    with torch.enable_grad():  # shares that depend on a parameter are learned
        learned = part.proportions().requires_grad
    return Clusters(
        where=where,
        learned=learned,
        declared=[float(p) for p in part.proportions().detach().cpu()],
        seen=[float(p) for p in torch.bincount(own.flatten(), minlength=k).double() / len(own)],
        n=len(own),
        loyalty=float((own == drawn).double().mean()),
        agreement=agreement,
        classes=len(classes[0]) if classes is not None else 0,
    )


# --- shape -------------------------------------------------------------------------------------------------------


def _shape(
    part: Any,
    y: Tensor,
    where: str,
    betti: Sequence[int] | None,
    bound: float | None,
    prior: OwnPrior | None,
    dims: Sequence[int],
) -> Shape:
    n = min(len(y), _DRAWS)
    generator = torch.Generator().manual_seed(stream(0, "report"))
    if prior is None:
        draws = torch.randn(2, n, y.shape[1], generator=generator)
    else:
        draws = torch.stack([prior.draws(n, generator)[:, list(dims)] for _ in range(2)])
    z, drawn, other = part(y[:n]), part(draws[0]), part(draws[1])
    filled, inside = near_each_other(drawn, z)
    filled_by_prior, inside_by_prior = near_each_other(drawn, other)
    name = in_words(betti) if betti is not None else f"at most {bound:.3g} away from the origin"
    return Shape(
        where, name, filled, filled_by_prior, inside, inside_by_prior, n, bound, float(z.norm(dim=-1).median())
    )


def in_words(betti: Sequence[int]) -> str:
    """Betti numbers for people: how many pieces, loops and hollows.

    >>> in_words([1, 1]), in_words([1, 0, 1]), in_words([2]), in_words([1, 2])
    ('one piece with one loop', 'one piece with one hollow', '2 pieces', 'one piece with 2 loops')
    """
    kinds = ["piece", "loop", "hollow", *(f"{d}-dimensional hole" for d in range(3, len(betti)))]
    told = [f"{n if n != 1 else 'one'} {kind}{'s' * (n != 1)}" for n, kind in zip(betti, kinds, strict=False) if n]
    return told[0] + (f" with {' and '.join(told[1:])}" if len(told) > 1 else "") if told else "nothing"


def near_each_other(reference: Tensor, others: Tensor) -> tuple[float, float]:
    """Share of reference points that have another point near, and of other points that have a reference point near.

    A point is near a reference point if it is no further away than the fifth nearest other reference point, or than
    half the median of these distances (so that reference points that coincide have a neighbourhood, too).

    >>> points = torch.linspace(0, 1, 100).unsqueeze(1)
    >>> near_each_other(points, points)
    (1.0, 1.0)
    >>> near_each_other(points, points + 5)
    (0.0, 0.0)
    """
    apart = torch.cdist(reference.double(), reference.double())
    k = min(_NEIGHBOURS + 1, len(reference))
    radius = apart.kthvalue(k, dim=1).values
    radius = radius.clamp(min=float(radius.median()) * 0.5)
    within = torch.cdist(reference.double(), others.double()) <= radius.unsqueeze(1)
    return float(within.any(1).double().mean()), float(within.any(0).double().mean())


# --- sparsity and levels -----------------------------------------------------------------------------------------


def _sparse(part: Any, mean: Tensor, where: str) -> Sparse:
    z, live = part(mean), mean.var(0, correction=0) > ACTIVE_VARIANCE
    same, several = z.shape == mean.shape, int(live.sum()) > 1
    return Sparse(
        where,
        hoyer_score(z),
        gaussian_floor(z.shape[1]) if z.shape[1] > 1 else 0.0,
        shut=float((z.abs() < 0.5 * mean.abs())[:, live].double().mean()) if same and bool(live.any()) else None,
        n=len(mean),
        active=int(live.sum()),
        hoyer_active=hoyer_score(z[:, live]) if same and several else None,
        floor_active=gaussian_floor(int(live.sum())) if several else 0.0,
    )


def _levels(part: Levelled, mean: Tensor, kl: Sequence[float], where: str) -> Levels:
    """How much of each level's z changes when the y of all levels above are those of another example.

    Half the mean square of that change is the part of the variance that comes from above, alone or together with the
    level's own y: Sobol's total index, with rows of the data instead of random draws.
    """
    mapping: Any = part
    generator = torch.Generator().manual_seed(stream(0, "report"))
    other = mean[torch.randperm(len(mean), generator=generator)]
    z, above = mapping(mean), [0.0]
    for index, level in enumerate(part.levels[1:], start=1):
        higher = [d for upper in part.levels[:index] for d in upper]
        changed = mean.clone()
        changed[:, higher] = other[:, higher]
        moved = (mapping(changed) - z)[:, list(level)].double().square().mean(0).sum()
        variance = z[:, list(level)].double().var(0, correction=0).sum()
        above.append(min(1.0, float(0.5 * moved / variance)) if float(variance) > 0 else 0.0)
    return Levels(where, [sum(kl[d] for d in level) for level in part.levels], above, len(mean))
