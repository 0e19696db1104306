"""What does the page say about a run? Its contents, collected from the run directory, the model and the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from intel_cli.output.console import number
from intel_cli.output.describe import mapping_of, objective_of, warmup
from intel_cli.output.promises import as_lines
from intel_cli.output.telling import quoted
from intel_cli.report.clusters import Clusters, clusters_part, examples_of
from intel_cli.report.curves import Chart, charts, steady
from intel_cli.report.images import address, limits_of, sheet
from intel_cli.report.planes import Latent, latent
from intel_cli.report.tables import Diagnosis, MetricTable, diagnosis_of, metric_tables
from intel_cli.report.vectors import as_drawn, beside_data, joined, units_note
from intel_cli.report.walks import Walks, spread_rows, walks
from intel_core.data.values import to_float
from intel_core.evaluation.bias import gathering as bias
from intel_core.evaluation.bias.gathering import choose_rows
from intel_core.evaluation.bias.verdict import Verdict, judge
from intel_core.helpers.own_prior import own_prior
from intel_core.reading.arrays import MemorySpec
from intel_core.reading.capabilities import OnManifold

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup
    from torch import Tensor

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run
    from intel_core.recipe.runspec import RunSpec

__all__ = ["Page", "Picture", "gather"]

_SAMPLES = 64
_POINTS = 1500
_PAIRS = 16


@dataclass(frozen=True)
class Picture:
    """An image as an address, or a chart, with a description of it and its number of pixels."""

    label: str
    source: str = ""
    width: int = 0
    svg: Markup | None = None


@dataclass(frozen=True)
class Page:
    """All sections of the page; a section that could not be made is empty, and `notes` says why."""

    name: str
    path: str
    against: str
    status: str
    summary: list[str]
    verdict: Verdict
    commands: list[str]
    facts: list[tuple[str, str, str]]
    promises: dict[str, str]
    curves: list[Chart]
    steady: str
    samples: list[tuple[str, Picture]]
    reconstructions: Picture | None
    clusters: Clusters
    latent: Latent
    walks: Walks
    diagnosis: list[Diagnosis]
    metrics: list[MetricTable]
    versions: dict[str, str]
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def gather(
    run: Run,
    against: Run | None,
    data_dir: Path | None,
    beside: Sequence[Run] = (),
    *,
    dataset: Dataset | None = None,
) -> Page:
    """Everything about a run.

    Args:
        run: the run.
        against: a run on the same data without the bias, if there is one.
        data_dir: where data files lie.
        beside: other runs on the same data, whose clusters are compared with those of the run.
        dataset: the data, where they are in memory.

    Raises:
        RunError: if a run has no weights, or the two were trained on different data.
    """
    seen = bias.gather(run, against, dataset=dataset, data_dir=data_dir)
    verdict, dataset = judge(seen.evidence), seen.dataset
    records = run.records()
    names = () if dataset is None else dataset.class_names
    return Page(
        name=str(run.info["name"]),
        path=str(run.path),
        against="" if against is None else str(against.info["name"]),
        status=_status(run),
        summary=_summary(run),
        verdict=verdict,
        commands=_commands(run, against, verdict),
        facts=_facts(run, against),
        promises=as_lines(run.model.mapping),
        curves=_curves(run, against),
        steady=_steady(records),
        samples=_samples(run, against, dataset),
        reconstructions=None if dataset is None else _reconstructions(run, dataset),
        clusters=clusters_part(
            run,
            None
            if dataset is None
            else examples_of(dataset.test, names, choose_rows(len(dataset.test), bias.MOST_ENCODED), seen.encoding),
            against=against,
            price=seen.evidence.likelihood if against is not None else None,
            beside=beside,
        ),
        latent=latent(
            run.model.mapping,
            None if seen.encoding is None else seen.encoding.mean,
            seen.labels,
            names,
            own_prior(run.model),
        ),
        walks=walks(run, dataset),
        diagnosis=diagnosis_of(run.metrics.get("mapping") or {}, seen.measured, names),
        metrics=metric_tables(run, against, seen.measured, seen.measured_against),
        versions={str(k): str(v) for k, v in run.info.get("versions", {}).items()},
        notes=seen.notes,
    )


# --- what was trained --------------------------------------------------------------------------------------------


def _status(run: Run) -> str:
    """A sentence about a run that did not end as planned; empty for all others."""
    if run.status == "finished":
        return ""
    step = run.metrics.get("step")
    reached = f"It reached step {step:,} of {run.spec.steps:,}." if isinstance(step, int) else ""
    return f"This run is {run.status}: what is shown is its newest checkpoint. {reached}".strip()


def _summary(run: Run) -> list[str]:
    """Two sentences for a reader who does not know the run."""
    data, spec = run.info["data"], run.spec
    shape = "×".join(map(str, data["shape"]))
    kind = "images" if len(data["shape"]) == 3 else "vectors"
    steps = run.metrics.get("step", spec.steps)
    first = (
        f"A variational auto-encoder with the mapping {mapping_of(run.spec)} between y ({run.model.y_dim} dimensions) "
        f"and z ({run.model.z_dim}){_rivals(spec)}, trained on {data['name']}: {data['train']:,} {kind} of shape "
        f"{shape}."
    )
    seconds = run.metrics.get("seconds")
    took = f" in {_duration(seconds)}" if isinstance(seconds, int | float) else ""
    best = f", the best of {run.restarts} starts" if run.restarts > 1 else ""
    return [first, f"It took {steps:,} steps of {spec.batch_size:,} examples{took}, from seed {run.seed}{best}."]


def _rivals(spec: RunSpec) -> str:
    """What it has in the place of the prior N(0, I) and of Gaussians with independent dimensions, if anything."""
    said = [
        f"the {kind} {one}" for kind, one in (("prior", spec.prior), ("posterior", spec.posterior)) if not one.is_usual
    ]
    return f", with {' and '.join(said)}" if said else ""


def _duration(seconds: float) -> str:
    """A duration in words.

    >>> _duration(11.2), _duration(10_000)
    ('11 s', '2 h 47 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _facts(run: Run, against: Run | None) -> list[tuple[str, str, str]]:
    """Rows of the table: a name and its value in either run; the second is empty if both are the same."""
    mine, other = _settings(run), {} if against is None else _settings(against)
    other.pop("begun", None)
    return [(name, text, other.get(name, "") if other.get(name) != text else "") for name, text in mine.items()]


def _settings(run: Run) -> dict[str, str]:
    spec, info, data = run.spec, run.info, run.info["data"]
    settings = {
        "mapping": mapping_of(run.spec),
        "mapping in full": " → ".join(info["spec"].get("mapping") or []) or "identity",
        "prior": str(spec.prior),
        "posterior": str(spec.posterior),
        **({} if spec.start is None or spec.start.is_none else {"start": str(spec.start)}),
        "data": f"{data['name']}: {data['train']:,} train, {data['validation']:,} validation, {data['test']:,} test",
        "data in full": str(info["spec"].get("data")),
        "latent": f"{run.model.y_dim} dimensions of y, {run.model.z_dim} of z",
        "likelihood": str(spec.likelihood),
        "objective": objective_of(spec),
        "networks": f"{spec.networks}; {info.get('parameters', 0):,} parameters",
        "training": f"{spec.steps:,} steps of {spec.batch_size:,} examples, learning rate {spec.learning_rate:g}",
        "KL weight": warmup(spec),
    }
    for name in spec.schedules:
        if name != "kl":
            settings[f"schedule of {name}"] = warmup(spec, name)
    return settings | {
        "seed": str(spec.seed),
        "precision and device": f"{spec.precision}, {info.get('device', '')}",
        "begun": str(info.get("created", "")).replace("T", " ").replace("+00:00", " UTC"),
        "fingerprint of the data": str(data.get("fingerprint", "")),
    }


def _curves(run: Run, against: Run | None) -> list[Chart]:
    """A chart for each term; two runs with the same objective share the axes of its terms as well."""
    records, others = run.records(), [] if against is None else against.records()
    added = run.model.regularisers
    alike = against is not None and (run.spec.objective, run.spec.kl) == (against.spec.objective, against.spec.kl)
    shared = [n for record in records for n in record if n != "loss" and n not in added] if alike else []
    return charts(records, others, added=added, shared=list(dict.fromkeys(shared)))


def _steady(records: Sequence[dict[str, Any]]) -> str:
    kept = steady(records)
    told = ", ".join(f"{name} {number(value)}" for name, value in kept.items())
    return f"Weights that stayed the same: {told}." if told else ""


def _commands(run: Run, against: Run | None, verdict: Verdict) -> list[str]:
    """Commands that tell the user more."""
    runs = [run, *([] if against is None else [against])]
    unfinished = [one for one in runs if one.status != "finished"]
    if unfinished:
        return [f"intel train --resume {quoted(one.path)}" for one in unfinished if one.status != "diverged"]
    data = run.spec.data
    wanted = [name for name in verdict.ask if name != "manifold" or isinstance(data, OnManifold)]
    paths = " ".join(quoted(one.path) for one in runs)
    kept = not isinstance(data, MemorySpec)  # arrays from Python would have to be given again, which a command cannot
    return [f"intel evaluate {paths} --metrics {','.join(wanted)}"] if wanted and kept else []


# --- pictures ----------------------------------------------------------------------------------------------------


def _samples(run: Run, against: Run | None, dataset: Dataset | None) -> list[tuple[str, Picture]]:
    """A picture of the samples of each run, with a title."""
    runs = [("", run), *([] if against is None else [("without the bias", against)])]
    pictures = []
    for name, one in runs:
        if len(one.model.x_shape) == 3:
            pictures.append((name, _image_samples(one, dataset)))
        else:
            x = as_drawn(one, one.sample(_POINTS, seed=one.spec.seed, noise=True, standardised=True))
            # Training data may lie on disk: only what is drawn is read.
            data = None if dataset is None else dataset.train.read(choose_rows(len(dataset.train), _POINTS))
            data = None if data is None else as_drawn(one, to_float(data))
            label = f"{len(x):,} samples, noise included" + ("" if data is None else ", over training data in grey")
            label += units_note(one)
            pictures.append((name, Picture(f"{label}.", svg=beside_data(x, data, label))))
    return pictures


def _image_samples(run: Run, dataset: Dataset | None) -> Picture:
    x = run.sample(_SAMPLES, seed=run.spec.seed, standardised=True)
    support = run.info["data"].get("support", "unit")
    limits = limits_of(x if dataset is None else to_float(dataset.test.x[:200]), support)
    columns = max(1, min(_SAMPLES, round(math.sqrt(_SAMPLES * x.shape[2] / x.shape[3]))))
    pixels = sheet(x, columns, limits, gap=_gap(x))
    label = f"{_SAMPLES} new images: means of p(x|z) at draws of the prior."
    return Picture(label, address(pixels, int(x.shape[2] * x.shape[3])), pixels.shape[1])


def _gap(x: Tensor) -> int:
    return max(1, round(min(x.shape[2:]) / 16))


def _reconstructions(run: Run, dataset: Dataset) -> Picture:
    test = dataset.test
    if len(dataset.x_shape) == 3:
        rows = spread_rows(test.labels, len(test), _PAIRS)
        part = test.part(torch.tensor(rows))
        originals, decoded = to_float(part.x).cpu(), run.reconstruct(part, standardised=True)
        columns = 8
        pairs = [part[i : i + columns] for i in range(0, len(rows), columns) for part in (originals, decoded)]
        blank = torch.ones(1, *originals.shape[1:])
        filled = torch.cat([torch.cat([p, blank.expand(columns - len(p), *blank.shape[1:])]) for p in pairs])
        limits = limits_of(originals, dataset.support)
        pixels = sheet(filled, columns, limits, gap=_gap(originals))
        label = f"{len(rows)} test images; below each row of originals the row of their reconstructions."
        return Picture(label, address(pixels, int(originals.shape[2] * originals.shape[3])), pixels.shape[1])
    part = test.part(choose_rows(len(test), 300))
    originals, decoded = as_drawn(run, to_float(part.x)), as_drawn(run, run.reconstruct(part, standardised=True))
    label = f"{len(part)} test examples in grey, each joined to its reconstruction{units_note(run)}."
    return Picture(label, svg=joined(originals, decoded, label))
