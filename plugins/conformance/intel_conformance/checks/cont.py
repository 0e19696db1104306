"""Is g continuous? Along segments, across declared seams, around declared centres, and as steep as declared. Clause 4.

A pass means that no jump was found along so many segments at the resolution of float64: a finite number of values
proves no continuity. `intel_conformance.scan` says how a steep place is told from a broken one.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from intel_conformance.check import check
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable
from intel_conformance.scan import Finding, hoelder_excess, scan, star
from intel_conformance.segments import crossing, random_segments
from intel_conformance.subject import Subject
from intel_core.mappings.properties import Locus

_CLAUSE = "contract, clause 4: continuous in y"
_MOST_PLACES = 64
_SLACK = 1e-5
"""A constant made in float32 is off by about 1e-7, and so is what is built of it."""
_WAYS = 8
_FAR = 1e3
"""Rays from a centre are followed so far."""


def _tell(found: list[Finding], about: str) -> None:
    """Raise for the worst of some findings."""
    order = {"continuous": 0, "steep": 0, "jump": 1, "not finite": 2}
    worst = max(found, key=lambda finding: (order[finding.kind], finding.size))
    point = ", ".join(f"{v:.9g}" for v in worst.where.tolist()[:6])
    if worst.kind == "not finite":
        raise Broken(f"z is not finite at y = ({point}), {about}", likely="a division by 0, acos or log beyond its end")
    if worst.kind == "jump":
        raise Broken(
            f"z jumps by {worst.size:.4g} at y = ({point}), {about}: over {worst.gap:.1e} the difference no longer "
            f"falls (like h^{worst.exponent:.3f}; a continuous cusp h^a has a > 0.04)",
            likely="an if or torch.where whose sides do not meet, floor, sign, argmax, an angle that wraps round; "
            "or declare Properties(continuous=False)",
            y=worst.where.tolist(),
            size=worst.size,
            exponent=worst.exponent,
        )


def _continuous(subject: Subject) -> None:
    if not subject.declared.continuous:
        raise NotApplicable("declared as not continuous")


def _segments(subject: Subject, n: int) -> tuple[Tensor, Tensor]:
    starts, ends = random_segments(n, subject.y_dim, subject.generator("segments"))
    # Most where the prior is, some beyond: a posterior of a running model can be anywhere.
    scale = torch.ones(n, 1, dtype=starts.dtype)
    scale[::4] = 3
    starts, ends = scale * starts, scale * ends
    return starts.to(subject.device), ends.to(subject.device)


def _thinned(places: tuple[Locus, ...]) -> tuple[Locus, ...]:
    """At most so many of them, evenly chosen."""
    every = -(-len(places) // _MOST_PLACES)
    return places[:: max(every, 1)]


@check("cont.scan", _CLAUSE)
def along_segments(subject: Subject) -> None:
    """No jump along random segments, long ones and short ones, through the origin and aside."""
    _continuous(subject)
    n = subject.size(24, 64, 512)
    mapping = subject.mapping()
    subject.call(mapping, subject.draw("try", 3))
    _tell(scan(mapping, *_segments(subject, n)), f"along {n} random segments")


@check("cont.seams", _CLAUSE)
def across_seams(subject: Subject) -> None:
    """No jump where segments cross the declared seams."""
    _continuous(subject)
    seams = _thinned(subject.declared.seams)
    if not seams:
        raise NotApplicable("no seams are declared")
    mapping = subject.mapping()
    each = subject.size(2, 4, 16)
    generator = subject.generator("crossings")
    pairs = [crossing(place, each, subject.y_dim, generator) for place in seams]
    starts, ends = (torch.cat([pair[i] for pair in pairs]).to(subject.device) for i in (0, 1))
    _tell(scan(mapping, starts, ends), f"across {len(seams)} declared seams")


@check("cont.centres", _CLAUSE)
def around_centres(subject: Subject) -> None:
    """At the origin and at declared centres g is the limit from all directions, down to where its squares vanish."""
    _continuous(subject)
    mapping = subject.mapping()
    generator = subject.generator("centres")
    origin = Locus(tuple(range(subject.y_dim)), (0.0,) * subject.y_dim)
    centres = (origin, *(place for place in _thinned(subject.declared.centres) if place != origin))
    for centre in itertools.islice(centres, subject.size(4, 16, 64)):
        _tell([star(mapping, centre, subject.y_dim, generator)], f"around {_shown(centre)}")
        _tell(_along_rays(subject, mapping, centre, generator), f"on a way out from {_shown(centre)}")


def _along_rays(subject: Subject, mapping: nn.Module, centre: Locus, generator: torch.Generator) -> list[Finding]:
    """The scan in the logarithm of the distance from a centre: guards such as ``if norm < 1e-12``, and what is far."""
    pinned = list(centre.dims)
    away = max(abs(value) for value in centre.point)
    base = torch.randn(subject.y_dim, dtype=torch.float64, generator=generator)
    base[pinned] = torch.tensor(centre.point, dtype=torch.float64)
    random = torch.randn(_WAYS, len(pinned), dtype=torch.float64, generator=generator)
    axes = torch.eye(len(pinned), dtype=torch.float64)[:_WAYS]
    ways = torch.zeros(_WAYS + 2 * len(axes), subject.y_dim, dtype=torch.float64)
    ways[:, pinned] = torch.cat([torch.nn.functional.normalize(random, dim=-1), axes, -axes])
    base, ways = base.to(subject.device), ways.to(subject.device)

    def outwards(at: Tensor) -> Tensor:
        """Z at the logarithm of a distance, and the number of the way."""
        return mapping(base + torch.exp(at[:, :1]) * ways[at[:, 1].round().long()])  # type: ignore[no-any-return]

    # Nearer to a centre that is not 0, the steps of y itself would be met; nearer to 0, squares that underflow.
    numbers = torch.arange(len(ways), dtype=torch.float64, device=subject.device)
    starts = torch.stack([torch.full_like(numbers, math.log(max(1e-140, 1e-6 * away))), numbers], -1)
    ends = torch.stack([torch.full_like(numbers, math.log(_FAR)), numbers], -1)
    return [
        found._replace(where=base + math.exp(float(found.where[0])) * ways[found.segment])
        for found in scan(outwards, starts, ends)
    ]


def _shown(centre: Locus) -> str:
    point = ", ".join(f"{v:.4g}" for v in centre.point[:6])
    return f"the point where y[{', '.join(map(str, centre.dims[:6]))}] = ({point})"


@check("cont.hoelder", "declared: hoelder")
def hoelder(subject: Subject) -> None:
    """No pair of points at most 1 apart breaks ‖g(y) - g(y')‖ <= C ‖y - y'‖^a, on segments and across seams."""
    promise = subject.declared.hoelder
    if promise is None:
        raise NotApplicable("no Hölder constants are declared")
    mapping = subject.mapping()
    n = subject.size(16, 48, 256)
    pairs = [_segments(subject, n)]
    generator = subject.generator("hoelder")
    for place in (*_thinned(subject.declared.seams), *_thinned(subject.declared.centres)):
        starts, ends = crossing(place, 2, subject.y_dim, generator)
        pairs.append((starts.to(subject.device), ends.to(subject.device)))
    starts, ends = (torch.cat([pair[i] for pair in pairs]) for i in (0, 1))
    worst = hoelder_excess(mapping, starts, ends, promise.constant, promise.exponent)
    if promise.exponent == 1:
        _lipschitz(subject, mapping, promise.constant)
    if worst.ratio > 1 + _SLACK:
        point = ", ".join(f"{v:.6g}" for v in worst.where.tolist()[:6])
        raise Broken(
            f"z moves by {worst.size:.4g} over {worst.gap:.3g} at y = ({point}), {worst.ratio:.6g} times what "
            f"constant={promise.constant:.4g}, exponent={promise.exponent:.4g} allow",
            likely="a constant for other settings, or before a dimension was passed through; or a jump",
            ratio=worst.ratio,
        )


def _lipschitz(subject: Subject, mapping: nn.Module, constant: float) -> None:
    """The steepest direction at some hundred draws, which random segments in many dimensions hardly meet."""
    y = subject.draw_wide("steepest", subject.size(100, 300, 2000))
    _, values, ways = torch.linalg.svd(jacobian(mapping, y), full_matrices=False)
    top = values[:, 0].topk(min(8, len(y))).indices
    step = 1e-5 * ways[top, 0]
    with torch.no_grad():
        moved = torch.linalg.vector_norm(mapping(y[top] + step) - mapping(y[top] - step), dim=-1) / 2e-5
    worst = int(moved.argmax())
    if float(moved[worst]) > constant * (1 + _SLACK) + 1e-9:
        point = ", ".join(f"{v:.6g}" for v in y[top][worst].tolist()[:6])
        raise Broken(
            f"g has the slope {float(moved[worst]):.6g} at y = ({point}), declared constant={constant:.6g}",
            likely="a bound on the coordinates rather than on the norm, or for other settings",
            slope=float(moved[worst]),
        )
