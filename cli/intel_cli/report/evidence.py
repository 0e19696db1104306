"""What do data and samples show of what a mapping declares? The numbers that the verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from intel_cli.report.took import Clusters, Compared, Evidence, Levels, Shape, Sparse
from intel_core.data.values import to_float
from intel_core.helpers.hoyer import gaussian_floor, hoyer_score
from intel_core.helpers.labels import as_classes
from intel_core.mappings.compose import elements
from intel_core.mappings.contract import Clustering, Levelled
from intel_core.model.vae import Posterior
from intel_core.randomness import stream
from intel_core.training.scoring import ACTIVE_VARIANCE

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.evaluation.measurement import Number
    from intel_core.evaluation.measuring import Measured
    from intel_core.evaluation.run import Run
    from intel_core.mappings.compose import Part
    from intel_core.runs.stored_run import Encoding

__all__ = ["bounds_of", "dims_text", "evidence_of", "from_metrics", "likelihoods", "near_each_other", "paired"]


_DRAWS = 1000
_NEIGHBOURS = 5
_BOUND_DRAWS = 16
_MOST_EXAMPLES = 2000


def dims_text(dims: Sequence[int], letter: str = "y") -> str:
    """The dimensions of a part, for people.

    >>> dims_text((0, 1)), dims_text(range(10)), dims_text((0, 2, 5, 9))
    ('y0 and y1', 'y0 to y9', 'y0, y2, y5, y9')
    """
    if len(dims) > 2 and list(dims) == list(range(dims[0], dims[-1] + 1)):
        return f"{letter}{dims[0]} to {letter}{dims[-1]}"
    return (" and " if len(dims) == 2 else ", ").join(f"{letter}{d}" for d in dims)


@torch.no_grad()
def evidence_of(
    run: Run,
    encoding: Encoding | None,
    labels: Tensor | None,
    *,
    likelihood: Compared | None = None,
    off_support: Compared | None = None,
    against: bool = False,
    missing: Sequence[str] = (),
) -> Evidence:
    """Everything that the verdict needs.

    Args:
        run: whose mapping it is.
        encoding: of test data; None where the data are not to be had.
        labels: of the same rows, if there are any.
        likelihood: beside that of the run without the bias.
        off_support: alike.
        against: whether there is such a run.
        missing: why something is missing, in sentences.
    """
    parts = [part for part in elements(run.model.mapping) if part.reads_y]
    declared = any(_declares(part) for part in elements(run.model.mapping))
    found: dict[str, list[Any]] = {"clusters": [], "shapes": [], "sparse": [], "levels": []}
    per_dim = run.metrics.get("test", {}).get("kl_per_dim", [])
    if encoding is not None and len(encoding.mean) > 1:
        for part in parts:
            inner, dims = part.mapping.cpu() if hasattr(part.mapping, "cpu") else part.mapping, list(part.dims)
            mean, y = encoding.mean[:, dims], encoding.y[:, dims]
            where, promised = dims_text(dims), part.properties
            if isinstance(inner, Clustering):
                found["clusters"].append(_clusters(inner, mean, y, labels, where))
            if promised.betti is not None or promised.norm_bound is not None:
                found["shapes"].append(_shape(inner, y, where, promised.betti, promised.norm_bound))
            if promised.sparsity is not None and len(dims) > 1:
                found["sparse"].append(_sparse(inner, mean, where))
            if isinstance(inner, Levelled):
                kl = [float(per_dim[d]) for d in dims] if len(per_dim) > max(dims) else None
                found["levels"].append(_levels(inner, mean, kl or _kl(encoding, dims), where))
    active = run.metrics.get("test", {}).get("active_units")
    return Evidence(
        declared=declared,
        active=active if isinstance(active, int) else None,
        y_dim=run.model.y_dim,
        likelihood=likelihood,
        off_support=off_support,
        against=against,
        missing=tuple(missing),
        **{name: tuple(items) for name, items in found.items()},
    )


def _declares(part: Part) -> bool:
    """Whether a part says anything that data could bear out: continuity alone is no bias."""
    promised = part.properties
    said = (promised.clusters, promised.norm_bound, promised.betti, promised.sparsity)
    return any(value is not None for value in said) or isinstance(part.mapping, Clustering | Levelled)


def _kl(encoding: Encoding, dims: Sequence[int]) -> list[float]:
    posterior = Posterior(encoding.mean[:, dims], 2 * encoding.std[:, dims].log())
    return [float(v) for v in posterior.kl().mean(0)]


# --- clusters ----------------------------------------------------------------------------------------------------


def _clusters(part: Clustering, mean: Tensor, y: Tensor, labels: Tensor | None, where: str) -> Clusters:
    own, drawn = part.assign(mean).cpu(), part.assign(y).cpu()
    k = part.n_clusters
    classes = as_classes(labels, len(mean))
    agreement = None
    if classes is not None and len(classes[0]) > 1 and k > 1:
        agreement = _agreement(own, classes[1], k, len(classes[0]))
    return Clusters(
        where=where,
        declared=[float(p) for p in part.proportions().detach().cpu()],
        seen=[float(p) for p in torch.bincount(own.flatten(), minlength=k).double() / len(own)],
        n=len(own),
        loyalty=float((own == drawn).double().mean()),
        agreement=agreement,
        classes=len(classes[0]) if classes is not None else 0,
    )


def _agreement(a: Tensor, b: Tensor, ka: int, kb: int) -> float:
    """Mutual information over the smaller entropy: 1 where one tells the other, also with fewer clusters than classes.

    >>> round(_agreement(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3]), 2, 4), 9)
    1.0
    """
    table = torch.bincount(a * kb + b, minlength=ka * kb).reshape(ka, kb).double()
    table = table / table.sum()
    ha, hb = (float(torch.special.entr(table.sum(axis)).sum()) for axis in (1, 0))
    shared = ha + hb - float(torch.special.entr(table).sum())
    # One cluster that has everything tells nothing.
    return max(0.0, shared / min(ha, hb)) if min(ha, hb) > 1e-9 else 0.0


# --- shape -------------------------------------------------------------------------------------------------------


def _shape(part: Any, y: Tensor, where: str, betti: Sequence[int] | None, bound: float | None) -> Shape:
    n = min(len(y), _DRAWS)
    generator = torch.Generator().manual_seed(stream(0, "report"))
    draws = torch.randn(2, n, y.shape[1], generator=generator)
    z, prior, other = part(y[:n]), part(draws[0]), part(draws[1])
    filled, inside = near_each_other(prior, z)
    filled_by_prior, inside_by_prior = near_each_other(prior, other)
    name = f"Betti numbers {', '.join(map(str, betti))}" if betti is not None else f"norm at most {bound:.3g}"
    return Shape(
        where, name, filled, filled_by_prior, inside, inside_by_prior, n, bound, float(z.norm(dim=-1).median())
    )


def near_each_other(reference: Tensor, others: Tensor) -> tuple[float, float]:
    """Share of reference points with another point near, and of others with a reference point near.

    Near is what the five nearest reference points of a reference point are, or what is closer than the smallest such
    distance that is typical, where points coincide.

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
    level's own y: the total index of Sobol, with rows of the data in the place of draws.
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


# --- beside a run without the bias -------------------------------------------------------------------------------


@torch.no_grad()
def bounds_of(run: Run, x: Tensor, seed: int = 0) -> Tensor:
    """The importance-weighted bound of each example, in nats, with 16 draws, ``(n,)``."""
    model, found = run.model, []
    generator = torch.Generator(run.model_device).manual_seed(stream(seed, "report"))
    for rows in torch.split(x[:_MOST_EXAMPLES], 100):
        values = to_float(rows.to(run.model_device))
        posterior = model.encode(values)
        shape = (_BOUND_DRAWS, len(values), model.y_dim)
        noise = torch.randn(shape, generator=generator, device=run.model_device)
        y = posterior.rsample(noise)
        prior_over_posterior = 0.5 * (noise.square() - y.square() + posterior.log_variance).sum(-1)
        log_p = model.likelihood.log_prob(model.decode(model.mapping(y)), values)
        found.append(torch.logsumexp(log_p + prior_over_posterior, 0) - math.log(_BOUND_DRAWS))
    return torch.cat(found).double().cpu()


def paired(mine: Tensor, other: Tensor, unit: str = "nats per example") -> Compared:
    """Two runs' bounds on the same examples; the error is that of the mean of differences."""
    difference = mine - other
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else None
    what = f"Log-likelihood bound (IWAE, {_BOUND_DRAWS} draws, {len(mine):,} test examples, paired)"
    return Compared(what, float(mine.mean()), float(other.mean()), error, unit, by="paired bounds", n=len(mine))


def likelihoods(run: Run, against: Run, x: Tensor, measured: Compared | None) -> Compared:
    """The likelihoods of two runs on test examples, with the error of their difference.

    The standard errors that a metric gives are over examples, which both runs find hard or easy alike: the difference
    is known better. How much it wanders from one example to the next is found from bounds on the metric's own
    examples, or the first 2,000 of them.

    Args:
        run: a run.
        against: another one.
        x: the examples of the test part.
        measured: what a metric says of both; the bounds themselves are taken where there is none.
    """
    n = len(x) if measured is None or measured.n is None else measured.n
    bounds = paired(bounds_of(run, x[:n]), bounds_of(against, x[:n]))
    if measured is None:
        return bounds
    assert bounds.n is not None
    error = None if bounds.error is None else bounds.error * math.sqrt(bounds.n / n)
    return replace(measured, error=error)


def from_metrics(name: str, mine: Sequence[Measured], others: Sequence[Measured], better: str) -> Compared | None:
    """The first number with that direction which both runs have of one metric by the same spec, the newest."""
    for one in sorted(mine, key=lambda one: one.created, reverse=True):
        for two in others:
            if not one.name == two.name == name or one.metric != two.metric:
                continue
            if one.measurement is None or two.measurement is None:
                continue
            measured = (one.measurement, two.measurement)
            for key, number in one.measurement.numbers.items():
                beside = two.measurement.numbers.get(key)
                if number.better == better and beside is not None:
                    what = number.about or f"{name} {key.replace('_', ' ')}"
                    what = what[:1].upper() + what[1:]
                    doubts = [m.numbers["doubtful"].value for m in measured if "doubtful" in m.numbers]
                    compared = _compared(what, number, beside, f"metric {one.metric}")
                    counted = [m.protocol.get("examples") for m in measured]
                    n = counted[0] if isinstance(counted[0], int) and counted[0] == counted[1] else None
                    return replace(compared, doubtful=max(doubts, default=0.0), n=n)
    return None


def _compared(what: str, mine: Number, other: Number, by: str) -> Compared:
    error = None if mine.error is None or other.error is None else math.hypot(mine.error, other.error)
    return Compared(what, mine.value, other.value, error, mine.unit, by)
