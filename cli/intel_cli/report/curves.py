"""How did training go? A small chart for each term, with curves for training and validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from intel_cli.output.terms import TERMS, in_order, term_name
from intel_cli.report.svg import Frame, area, clipped, frame, line, short, window, wrap

__all__ = ["Chart", "charts", "series", "steady"]

_ABOUT = {
    "elbo": "log-likelihood less KL, without any other term of the loss: higher is better",
    "log_likelihood": "of the data given z: higher is better",
    "kl": "what y carries",
    "iwae": "the importance-weighted bound: higher is better",
}
_IN_Z = "what z carries: the bound of this run has this term"
_PLAIN = ("elbo", "log_likelihood", "kl", "kl_y")
"""What is the same quantity in every run, whatever each of them minimises."""
_NOT_TERMS = {"kind", "step", "epoch", "seconds", "weights", "active_units", "kl_per_dim", "examples_per_second"}
_MOST_POINTS = 400
_MOST_TERMS = 12

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """One term: its name, what it is, the picture, and the same numbers for a pointer to read."""

    name: str
    about: str
    svg: Markup
    data: dict[str, Any]


def series(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Points]]:
    """Values by term, then by data (training or validation); each weight is a term of its own.

    >>> series([{"kind": "train", "step": 5, "kl": 2.0, "weights": {"kl": 0.5}}])
    {'kl': {'train': [(5.0, 2.0)]}, 'weight of kl': {'train': [(5.0, 0.5)]}}
    """
    curves: dict[str, dict[str, Points]] = {}
    for record in records:
        kind, step = record.get("kind"), record.get("step")
        if not isinstance(kind, str) or not isinstance(step, int | float):
            continue
        values = {name: value for name, value in record.items() if name not in _NOT_TERMS}
        weights = record.get("weights")
        if isinstance(weights, dict):
            values |= {f"weight of {name}": value for name, value in weights.items()}
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                curves.setdefault(name, {}).setdefault(kind, []).append((float(step), float(value)))
    return curves


def charts(
    records: Sequence[dict[str, Any]],
    beside: Sequence[dict[str, Any]] = (),
    *,
    added: Mapping[str, float] | None = None,
    shared: Sequence[str] = (),
) -> list[Chart]:
    """A chart for each term, the same scale of steps in all; weights that never change share a sentence instead.

    Two runs share an axis only for what is the same quantity in both: the ELBO, the log-likelihood, the KL term, and
    what `shared` names. The loss is what one run minimises, with all its terms, and is drawn alone.

    Args:
        records: logged lines and evaluations of the run.
        beside: those of the run without the bias; its validation is drawn in the charts of what both runs share.
        added: the mapping's own terms of the loss, each with its weight.
        shared: further terms that are the same quantity in both runs.
    """
    mine, others, own = series(records), series(beside), dict(added or {})
    terms = [name for name in mine if not name.startswith("weight of ")]
    terms = in_order(terms)
    if "elbo" in terms and "loss" in mine and _mirrored(mine):
        terms.remove("loss")
    weights = [name for name in mine if name.startswith("weight of ") and not _constant(mine[name])]
    last = max((x for term in mine.values() for points in term.values() for x, _ in points), default=1.0)
    drawn = {name: others.get(name, {}) for name in (*_PLAIN, *shared)}
    found = []
    for name in (*terms[:_MOST_TERMS], *weights):
        if name == "kl_y" and "kl" in mine:
            found.append(_both_terms(mine, last))
            continue
        about = _IN_Z if name == "kl" and "kl_y" in mine else _about(name, own, alone=bool(beside))
        found.append(_chart(name, _title(name, terms), mine[name], drawn.get(name, {}), last, about))
    return found


def _about(name: str, added: Mapping[str, float], *, alone: bool) -> str:
    """What a term is, in a few words.

    >>> _about("loss", {"sparsity": 5.0}, alone=True)
    'what this run minimises, with 5 × sparsity; drawn alone, since the losses of two runs can have different terms'
    >>> _about("sparsity", {"sparsity": 5.0}, alone=False)
    'a term of the loss, shown unweighted; the loss contains 5 times as much'
    """
    if name.startswith("weight of "):
        return ""
    if name == "loss":
        extra = " and ".join(f"{short(weight)} × {term.replace('_', ' ')}" for term, weight in added.items() if weight)
        said = "what this run minimises" + (f", with {extra}" if extra else ", weights included")
        return said + ("; drawn alone, since the losses of two runs can have different terms" if alone else "")
    if name in added:
        weight = added[name]
        times = f"the loss contains {short(weight)} times as much" if weight else "the loss does not contain it"
        return "a term of the loss" if weight == 1 else f"a term of the loss, shown unweighted; {times}"
    return _ABOUT.get(name, "a term of the loss, unweighted")


def steady(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Weights that were the same all along, by name."""
    return {
        name.removeprefix("weight of "): next(iter(kinds.values()))[0][1]
        for name, kinds in series(records).items()
        if name.startswith("weight of ") and _constant(kinds)
    }


def _constant(kinds: dict[str, Points]) -> bool:
    return len({value for points in kinds.values() for _, value in points}) == 1


def _mirrored(curves: dict[str, dict[str, Points]]) -> bool:
    """Whether the loss is the ELBO with the other sign, so that one chart says it all."""
    return all(
        math.isclose(-a, b, rel_tol=1e-4, abs_tol=1e-6)
        for kind, points in curves["elbo"].items()
        for (_, a), (_, b) in zip(points, curves["loss"].get(kind, []), strict=False)
    )


def _title(name: str, terms: Sequence[str]) -> str:
    """A term's name with a capital; of a weight, its own."""
    shown = name if name.startswith("weight of ") else term_name(name, terms)
    return shown[:1].upper() + shown[1:] if name in TERMS or name == "loss" else shown


def _chart(name: str, title: str, kinds: dict[str, Points], other: dict[str, Points], last: float, about: str) -> Chart:
    weight = name.startswith("weight of ")
    lines: dict[str, Points] = {kind: _thinned(kinds[kind]) for kind in ("train", "validation") if kind in kinds}
    lines |= {kind: _thinned(points) for kind, points in kinds.items() if kind not in lines}
    if other.get("validation"):
        lines["without the bias, validation"] = _thinned([p for p in other["validation"] if p[0] <= last])
    # The first steps are far from all later ones and would flatten them.
    values = [y for points in lines.values() for _, y in points[min(2, len(points) - 1) :]]
    box = Frame((0.0, last), window(values, share=0.0 if weight else 0.01), 360, 200, left=48)
    styles = {"train": "train", "validation": "held-out", "without the bias, validation": "vanilla"}
    ends = ", ".join(f"{kind} ends at {short(points[-1][1])}" for kind, points in lines.items() if points)
    content = [frame(box, ("step", "")), *(line(box, p, f"curve {styles.get(k, 'train')}") for k, p in lines.items())]
    clip = clipped(box, content[1:])
    label = f"{title} by step, from 0 to {short(last)}: {ends}."
    data = {
        "frame": box.corners(),
        "lines": {k: [[round(a), float(f"{b:.5g}")] for a, b in p] for k, p in lines.items()},
    }
    return Chart(title[:1].upper() + title[1:], about, wrap(box, [content[0], clip], label), data)


def _both_terms(mine: dict[str, dict[str, Points]], last: float) -> Chart:
    """Theorem 1 of the paper in this run: KL in y, KL in z below it, and between them what the mapping saves."""
    kind = "validation" if {"validation"} <= mine["kl_y"].keys() & mine["kl"].keys() else "train"
    lines = {f"KL in {where}": _thinned(mine[name].get(kind, [])) for where, name in (("y", "kl_y"), ("z", "kl"))}
    upper, lower = lines.values()
    values = [y for points in lines.values() for _, y in points[min(2, len(points) - 1) :]]
    box = Frame((0.0, last), window(values, share=0.01), 360, 200, left=48)
    content = [
        area(box, [*upper, *reversed(lower)], "saved"),
        line(box, upper, "curve in-y"),
        line(box, lower, "curve held-out"),
    ]
    of = kind.replace("train", "training") + " data"
    ends = ", ".join(f"{name} ends at {short(points[-1][1])}" for name, points in lines.items() if points)
    saved = short(upper[-1][1] - lower[-1][1]) if upper and lower else "an unknown number of"
    about = (
        f"what y carries (dotted) is at least what z does (Theorem 1); the mapping saves the difference, {saved} nats "
        f"at the end on {of}, by which the bound in z is tighter"
    )
    label = f"KL in y and KL in z by step on {of}, from 0 to {short(last)}: {ends}; the mapping saves {saved} nats."
    data = {
        "frame": box.corners(),
        "lines": {k: [[round(a), float(f"{b:.5g}")] for a, b in p] for k, p in lines.items()},
    }
    picture = wrap(box, [frame(box, ("step", "")), clipped(box, content)], label)
    return Chart("KL in y and in z", about, picture, data)


def _thinned(points: Points) -> Points:
    """At most the given number of points, always with the last one."""
    if len(points) <= _MOST_POINTS:
        return points
    every = math.ceil(len(points) / _MOST_POINTS)
    return [*points[:-1:every], points[-1]]
