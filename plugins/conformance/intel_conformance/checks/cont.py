"""Is g continuous, and no steeper than declared? Clause 4 of the contract.

A finite number of values cannot prove continuity: a pass means that no jump was found along so many segments, at the
resolution of float64. `intel_conformance.continuity.scan` explains how a steep place is told from a jump.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.continuity.centres import scan_around
from intel_conformance.continuity.hoelder import hoelder_excess
from intel_conformance.continuity.regularity import SEVERITY, Regularity
from intel_conformance.continuity.scan import scan
from intel_conformance.continuity.segments import crossing, random_segments
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported
from intel_conformance.places import thinned
from intel_core.mappings.properties import Locus

_CLAUSE = "contract, clause 4: continuous in y"
_SLACK = 1e-5
"""Allowed relative excess: a constant of the mapping that was rounded to float32 is off by about 1e-7."""
_WAYS = 8
_FAR_OUT = (4.0, 10.0, 100.0)
"""How far out, in deviations of the prior, a declared steepness is tried as well."""
_FIXED = 12
"""So many rows of y are mapped while the parameters move,"""
_AT_A_TIME = 2
"""in which so many places are looked at more closely;"""
_OF_PARAMETERS = 1e-6
"""jumps below this share of z do not count,"""
_POLE = 100
"""nor do those that are so many times as large as z: there it is infinite."""
_FAR = 1e3
"""The distance up to which rays from a centre are followed."""


def _tell(found: list[Regularity], about: str) -> None:
    """Raise for the worst place, if it is a jump or a value that is not finite."""
    worst = max(found, key=lambda place: (SEVERITY[place.kind], place.size))
    point = ", ".join(f"{v:.9g}" for v in worst.where.tolist()[:6])
    if worst.kind == "not finite":
        raise Broken(
            f"z is not finite at y = ({point}), {about}", likely="a division by 0, or acos or log outside its domain"
        )
    if worst.kind == "jump":
        raise Broken(
            f"z jumps by {worst.size:.4g} at y = ({point}), {about}: the difference over a distance h falls like "
            f"h^{worst.exponent:.3f} down to h = {worst.gap:.1e} (a continuous cusp h^a has a > 0.04)",
            likely="an if or torch.where whose branches do not meet, floor, sign, argmax, an angle that wraps round; "
            "if the jump is intended, declare Properties(continuous=False)",
            y=worst.where.tolist(),
            size=worst.size,
            exponent=worst.exponent,
        )


def _continuous(candidate: Candidate) -> None:
    if not candidate.declared.continuous:
        raise NotApplicable("declared as not continuous")


def _overall(candidate: Candidate, mapping: nn.Module) -> float:
    """The size of z for draws of the prior: where z is 0 but for rounding, that is what rounding is of."""
    with torch.no_grad():
        return float(candidate.call(mapping, candidate.draw("overall", 200)).abs().amax().nan_to_num(0, 0, 0))


def _segments(candidate: Candidate, n: int) -> tuple[Tensor, Tensor]:
    starts, ends = random_segments(n, candidate.y_dim, candidate.generator("segments"))
    # Most lie where the prior has its mass, some further out: a posterior during training can be anywhere.
    scale = torch.ones(n, 1, dtype=starts.dtype)
    scale[::4] = 3
    starts, ends = scale * starts, scale * ends
    return starts.to(candidate.device), ends.to(candidate.device)


@check("cont.scan", _CLAUSE)
def along_segments(candidate: Candidate) -> None:
    """There is no jump of g along random segments, long and short ones, or there is one, if that is declared."""
    n = candidate.size(24, 64, 512)
    mapping = candidate.mapping()
    candidate.call(mapping, candidate.draw("try", 3))
    floor = _overall(candidate, mapping)
    found = scan(mapping, *_segments(candidate, n), floor=floor)
    if candidate.declared.continuous:
        _tell(found, f"along {n} random segments")
    elif all(place.kind not in ("jump", "not finite") for place in found):
        raise Unsupported(
            f"continuous=False is declared, but there is no jump along {n} random segments; the declaration keeps the "
            "checks of continuity from running",
            likely="leave the declaration out; a mapping may be as steep as it likes and still be continuous",
        )
    else:
        raise NotApplicable("declared as not continuous, and there is a jump")


@check("cont.seams", _CLAUSE)
def across_seams(candidate: Candidate) -> None:
    """There is no jump of g where segments cross the declared seams."""
    _continuous(candidate)
    seams = thinned(candidate.declared.seams)
    if not seams:
        raise NotApplicable("no seams are declared")
    mapping = candidate.mapping()
    each = candidate.size(2, 4, 16)
    generator = candidate.generator("crossings")
    pairs = [crossing(place, each, candidate.y_dim, generator) for place in seams]
    starts, ends = (torch.cat([pair[i] for pair in pairs]).to(candidate.device) for i in (0, 1))
    _tell(scan(mapping, starts, ends, floor=_overall(candidate, mapping)), f"across {len(seams)} declared seams")


@check("cont.centres", _CLAUSE)
def around_centres(candidate: Candidate) -> None:
    """At the origin and at declared centres g has the same limit from every direction, namely its value there."""
    _continuous(candidate)
    mapping = candidate.mapping()
    generator = candidate.generator("centres")
    origin = Locus(tuple(range(candidate.y_dim)), (0.0,) * candidate.y_dim)
    floor = _overall(candidate, mapping)
    centres = (origin, *(place for place in thinned(candidate.declared.centres) if place != origin))
    for centre in itertools.islice(centres, candidate.size(4, 16, 64)):
        _tell([scan_around(mapping, centre, candidate.y_dim, generator)], f"around {_shown(centre)}")
        _tell(_along_rays(candidate, mapping, centre, generator, floor), f"on a ray from {_shown(centre)}")


def _along_rays(
    candidate: Candidate, mapping: nn.Module, centre: Locus, generator: torch.Generator, floor: float
) -> list[Regularity]:
    """Scan rays in the logarithm of the distance from a centre: this finds guards such as ``if norm < 1e-12``."""
    pinned = list(centre.dims)
    away = max(abs(value) for value in centre.point)
    base = torch.randn(candidate.y_dim, dtype=torch.float64, generator=generator)
    base[pinned] = torch.tensor(centre.point, dtype=torch.float64)
    random = torch.randn(_WAYS, len(pinned), dtype=torch.float64, generator=generator)
    axes = torch.eye(len(pinned), dtype=torch.float64)[:_WAYS]
    ways = torch.zeros(_WAYS + 2 * len(axes), candidate.y_dim, dtype=torch.float64)
    ways[:, pinned] = torch.cat([torch.nn.functional.normalize(random, dim=-1), axes, -axes])
    base, ways = base.to(candidate.device), ways.to(candidate.device)

    def outwards(at: Tensor) -> Tensor:
        """Z at the logarithm of a distance, along the ray of a number."""
        return mapping(base + torch.exp(at[:, :1]) * ways[at[:, 1].round().long()])  # type: ignore[no-any-return]

    # Closer to a centre other than 0 the rounding of y itself would show; closer to 0 squares underflow.
    numbers = torch.arange(len(ways), dtype=torch.float64, device=candidate.device)
    starts = torch.stack([torch.full_like(numbers, math.log(max(1e-140, 1e-6 * away))), numbers], -1)
    ends = torch.stack([torch.full_like(numbers, math.log(_FAR)), numbers], -1)
    return [
        found._replace(where=base + math.exp(float(found.where[0])) * ways[found.segment])
        for found in scan(outwards, starts, ends, floor=floor)
    ]


def _shown(centre: Locus) -> str:
    point = ", ".join(f"{v:.4g}" for v in centre.point[:6])
    return f"the point where y[{', '.join(map(str, centre.dims[:6]))}] = ({point})"


@check("cont.parameters", "contract, clause 4: sub-differentiable in y and in the parameters", level="standard")
def along_parameters(candidate: Candidate) -> None:
    """There is no jump of z while parameters that begin at random turn into the opposite of what they were."""
    _continuous(candidate)
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, whose parameters are not changed")
    mapping = candidate.mapping()
    turned = _random_ones(candidate, mapping)
    if not turned:
        raise NotApplicable("it has no parameters to be learned that begin at random")
    y, floor = candidate.draw("parameters", _FIXED), _overall(candidate, mapping)
    for number in range(candidate.size(1, 1, 4)):
        ends = {}
        for name, parameter in turned.items():
            generator = candidate.generator(f"turned {number} {name}")
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
            ends[name] = (parameter.detach().clone(), noise * parameter.detach().square().mean().sqrt())

        @torch.no_grad()
        def g(angles: Tensor, ends: dict[str, tuple[Tensor, Tensor]] = ends) -> Tensor:
            rows = []
            for angle in angles[:, 0].tolist():
                for name, (first, other) in ends.items():
                    turned[name].copy_(math.cos(angle) * first + math.sin(angle) * other)
                rows.append(candidate.call(mapping, y, doing="with other parameters").flatten())
            return torch.stack(rows)

        span = torch.tensor([[0.0], [math.pi]], dtype=torch.float64)
        try:
            (found,) = scan(g, span[:1], span[1:], windows=_AT_A_TIME, resolution=_OF_PARAMETERS, floor=floor)
        except Broken as error:
            raise Skipped(f"it has no answer for other parameters: {error}") from error
        if found.kind == "not finite":
            raise Skipped("z is not finite for some of the parameters that were tried")
        if found.kind == "jump" and found.size < _POLE * max(floor, 1):
            raise Unsupported(
                f"z jumps by {found.size:.4g} while parameters turn into others: where a training crosses such a place "
                "no gradient tells of it",
                likely="a basis whose signs or order are free (qr, eigh, svd), or argmax, sort, round or a comparison "
                "of parameters",
                size=found.size,
            )
        with torch.no_grad():
            for name, (first, _) in ends.items():
                turned[name].copy_(first)


def _random_ones(candidate: Candidate, mapping: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of several values that begin at random: scales and temperatures, which begin as constants, stay."""
    new = dict(candidate.fresh(moved=False).named_parameters())
    learned = {name: p for name, p in mapping.named_parameters() if p.requires_grad and p.is_floating_point()}
    return {name: p for name, p in learned.items() if p.numel() > 1 and bool((new[name] != new[name].max()).any())}


@check("cont.hoelder", "declared: hoelder")
def hoelder(candidate: Candidate) -> None:
    """‖g(y) - g(y')‖ <= C ‖y - y'‖^a, as declared, for points at most 1 apart, on segments and across seams."""
    promise = candidate.declared.hoelder
    if promise is None:
        raise NotApplicable("no Hölder constant is declared")
    mapping = candidate.mapping()
    n = candidate.size(16, 48, 256)
    pairs = [_segments(candidate, n)]
    generator = candidate.generator("hoelder")
    for place in (*thinned(candidate.declared.seams), *thinned(candidate.declared.centres)):
        starts, ends = crossing(place, 2, candidate.y_dim, generator)
        pairs.append((starts.to(candidate.device), ends.to(candidate.device)))
    starts, ends = (torch.cat([pair[i] for pair in pairs]) for i in (0, 1))
    # At most 1 apart, but anywhere: the promise is for all y.
    sizes = torch.tensor(_FAR_OUT, dtype=starts.dtype, device=starts.device).repeat(n // len(_FAR_OUT))[:, None]
    way = (ends - starts)[: len(sizes)]
    way = way / torch.linalg.vector_norm(way, dim=-1, keepdim=True).clamp(min=1)
    far = sizes * starts[: len(sizes)]
    starts, ends = torch.cat([starts, far]), torch.cat([ends, far + way])
    worst = hoelder_excess(mapping, starts, ends, promise.constant, promise.exponent)
    if promise.exponent == 1:
        _lipschitz(candidate, mapping, promise.constant)
    if worst.ratio > 1 + _SLACK:
        point = ", ".join(f"{v:.6g}" for v in worst.where.tolist()[:6])
        raise Broken(
            f"z moves by {worst.size:.4g} over {worst.gap:.3g} at y = ({point}), {worst.ratio:.6g} times what "
            f"constant={promise.constant:.4g}, exponent={promise.exponent:.4g} allow",
            likely="a constant that was derived for other settings or without the dimensions passed through; or a jump",
            ratio=worst.ratio,
        )


def _lipschitz(candidate: Candidate, mapping: nn.Module, constant: float) -> None:
    """The steepest direction at some hundred draws: in many dimensions random segments hardly ever follow it."""
    y = candidate.draw_wide("steepest", candidate.size(100, 300, 2000))
    y = torch.cat([y, *(size * y[:60] for size in _FAR_OUT)])
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
            likely="a bound on each coordinate instead of the norm, or one for other settings",
            slope=float(moved[worst]),
        )
