"""Are the densities of z = g(y) that a mapping knows finite, with right gradients, and functions of z?

The parts of a mapping that read y itself and are a `Pushforward` are checked, each in its own dimensions; the other
dimensions of y are 0. `intel_conformance.checks.image_densities` compares the densities with draws.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.images import (
    SHELL,
    PushedPart,
    are_dims,
    far_posteriors,
    noise,
    posteriors_at,
    pushed_parts,
)
from intel_conformance.jacobians import slopes
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_core.helpers.parts_of_mapping import elements
from intel_core.helpers.projected_normal import direction_log_prob, log_sphere_area
from intel_core.helpers.pushforward import KeepsDirections, Pushforward, ScaleFree
from intel_core.model.posterior import DiagonalGaussian

_CLAUSE = "capability: Pushforward"
_NAMES = ("y", "the mean", "the log-variance")
_SIZES = (1e-30, 1e-7, 1e-3, 1e3, 1e6)
_NARROW = ((1.0, -2.0), (2.0, -8.0), (3.0, -12.0), (3.0, -16.0))
"""Lengths of means and log-variances: what encoders of data without noise arrive at."""
_NATS = 0.1


# --- the contract -------------------------------------------------------------------------------------------------


@check("image.contract", _CLAUSE)
def contract(candidate: Candidate) -> None:
    """Log densities have the shape and dtype of rows of y, and they and their gradients are finite everywhere."""
    for dtype in candidate.dtypes:
        for one in pushed_parts(candidate, dtype, valid=False):
            if not are_dims(one.pushed, one.part.y_dim):
                raise Broken(f"{one.about}pushed is {one.pushed}, expected different dimensions below {one.part.y_dim}")
            _check_shapes(candidate, one, dtype)
            for where, y, q in _places(candidate, one.m, dtype):
                _check_finite(candidate, one, where, y, q)


def _check_shapes(candidate: Candidate, one: PushedPart, dtype: torch.dtype) -> None:
    for leading in ((5,), (1,), (3, 5), (2, 1, 4)):
        y = noise(candidate, f"shape {leading}", *leading, one.m).to(dtype)
        mean, log_variance = noise(candidate, "posterior", 2, leading[-1], one.m).to(dtype)
        found = {
            "pushforward_log_prob": one.call("pushforward_log_prob", y, mean, log_variance),
            "pushforward_log_prior": one.call("pushforward_log_prior", y),
        }
        for name, value in found.items():
            # A density that is the same everywhere may be a single number.
            if tuple(value.shape) != leading and not (name == "pushforward_log_prior" and value.shape == ()):
                raise Broken(
                    f"{one.about}{name} has shape {tuple(value.shape)} for y of shape {tuple(y.shape)}, expected "
                    f"{leading}",
                    likely="a sum over the wrong dimension, or keepdim=True",
                )
            if value.dtype != dtype:
                raise Broken(
                    f"{one.about}{name} is {value.dtype} for y in {dtype}",
                    likely="a constant in float64, or a computation in a fixed precision",
                )


def _places(candidate: Candidate, m: int, dtype: torch.dtype) -> Iterator[tuple[str, Tensor, DiagonalGaussian]]:
    """Where densities and their gradients tend to be infinite, each with a name; rows of y, one for each posterior."""
    n = candidate.size(8, 16, 64)
    mean, varied = noise(candidate, "places", 2, n, m)
    usual = DiagonalGaussian(mean, varied.clamp(-2, 2) - 1)
    draws = usual.rsample(noise(candidate, "draws", n, m))
    axes = torch.eye(m, dtype=mean.dtype, device=mean.device)[torch.arange(n) % m]
    axes[n // 2 :] *= -1
    found = [
        ("at the origin", torch.zeros_like(draws), usual),
        ("at draws", draws, usual),
        ("on the axes", axes, usual),
        ("opposite the mean", -mean, usual),
        ("for the prior", draws, DiagonalGaussian(torch.zeros_like(mean), torch.zeros_like(mean))),
        ("for a mean far out", draws, DiagonalGaussian(1e3 * mean, usual.log_variance)),
        ("for a narrow posterior", draws, DiagonalGaussian(mean, torch.full_like(mean, -12.0))),
        ("for a wide posterior", draws, DiagonalGaussian(mean, torch.full_like(mean, 8.0))),
    ]
    found += [(f"at magnitude {size:g}", size * draws, usual) for size in _SIZES]
    for where, y, q in found:
        yield where, y.to(dtype), DiagonalGaussian(q.mean.to(dtype), q.log_variance.to(dtype))


def _check_finite(candidate: Candidate, one: PushedPart, where: str, y: Tensor, q: DiagonalGaussian) -> None:
    given = [value.clone().requires_grad_() for value in (y, *q)]
    log_prob, log_prior = one.call("pushforward_log_prob", *given), one.call("pushforward_log_prior", given[0])
    for name, value in (("log_prob", log_prob), ("log_prior", log_prior)):
        if not bool(torch.isfinite(value).all()):
            raise _infinite(one, f"pushforward_{name}", where, y, ~torch.isfinite(value))
    # Random weights, as infinities could cancel in a plain sum.
    total = ((log_prob + log_prior) * noise(candidate, "weights", len(y)).to(log_prob)).sum()
    if not total.requires_grad:
        return  # image.gradients reports it
    for of, gradient in zip(_NAMES, torch.autograd.grad(total, given, allow_unused=True), strict=True):
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise _infinite(one, f"the gradient with respect to {of}", where, y, ~torch.isfinite(gradient))


def _infinite(one: PushedPart, what: str, where: str, y: Tensor, bad: Tensor) -> Broken:
    row = y[int(bad.expand(len(y), *bad.shape[1:]).reshape(len(y), -1).any(-1).int().argmax())].tolist()
    shown = ", ".join(f"{v:.3g}" for v in row[:6]) + (", …" if len(row) > 6 else "")
    return Broken(
        f"{one.about}{what} is not finite {where}: y = ({shown}), {str(y.dtype).removeprefix('torch.')}",
        likely="a division by the length of y, a logarithm of 0, an exp that overflows, or a root at 0",
        y=row,
    )


@check("image.float32", "capability: Pushforward, in float32, which trains")
@torch.no_grad()
def float32(candidate: Candidate) -> None:
    """In float32 log q(z|x) - log p(z) is that of float64 to a tenth of a nat, for narrow posteriors too."""
    n = candidate.size(100, 200, 1000)
    for single, double in zip(pushed_parts(candidate, torch.float32), pushed_parts(candidate), strict=True):
        for size, log_variance in _NARROW:
            q = posteriors_at(candidate, f"narrow {log_variance}", double.m, ((size, log_variance, 0.3),))
            y = q.rsample(noise(candidate, f"of {log_variance}", n, 1, double.m)).float()
            q32 = DiagonalGaussian(q.mean.float(), q.log_variance.float())
            q64 = DiagonalGaussian(q32.mean.double(), q32.log_variance.double())
            exact = double.log_ratio(y.double(), q64)
            moved = [
                y.double() + torch.finfo(torch.float32).eps * y.abs() * noise(candidate, f"units {i}", *y.shape)
                for i in range(4)
            ]
            spread = torch.stack([(double.log_ratio(near, q64) - exact).abs() for near in moved]).amax(0)
            off = (single.log_ratio(y, q32).double() - exact).abs()
            if float((off > _NATS + 16 * spread + 1e-5 * exact.abs()).double().mean()) > 0.5:
                raise Broken(
                    f"{double.about}log q(z|x) - log p(z) in float32 is off by {float(off.median()):.3g} nats in half "
                    f"of the draws of a posterior with a deviation of {math.exp(log_variance / 2):.2g} around {size:g}",
                    likely="squares that are multiplied out: (z - m)^2 / s^2 as z^2 / s^2 - 2 z m / s^2 + m^2 / s^2",
                    off=float(off.median()),
                )


@check("image.gradients", _CLAUSE)
def gradients(candidate: Candidate) -> None:
    """Gradients of log q(z|x) and log p(z) with respect to y, mean and log-variance agree with finite differences."""
    n = candidate.size(32, 64, 256)
    for one in pushed_parts(candidate):
        q = DiagonalGaussian(*(value[torch.arange(n) % 5] for value in far_posteriors(candidate, one.m)))
        given = (q.rsample(noise(candidate, "draws", n, one.m)), *q)
        for place, of in enumerate(_NAMES):
            direction = noise(candidate, f"direction {of}", n, one.m)
            along = functools.partial(_moved, one, given, place, direction)
            steps = torch.zeros(n, dtype=torch.float64, device=direction.device, requires_grad=True)
            found = along(steps)
            gradient = torch.autograd.grad(found.sum(), steps, allow_unused=True)[0] if found.requires_grad else None
            claimed = torch.zeros_like(steps) if gradient is None else gradient
            with torch.no_grad():
                expected = slopes(along)
            wrong = expected.disagree(claimed)
            # A single row may be at a kink.
            if int(wrong.sum()) >= 2:
                row = int(wrong.int().argmax())
                raise Broken(
                    f"{one.about}the gradient with respect to {of} is {float(claimed[row]):.6g} along a direction, "
                    f"finite differences say {float(expected.value[row]):.6g} ({int(wrong.sum())} of {n} rows)",
                    likely="detach(), .data, or a backward pass of its own that is not that of the forward pass",
                )


def _moved(one: PushedPart, given: tuple[Tensor, ...], place: int, direction: Tensor, step: float | Tensor) -> Tensor:
    """Both densities where one of y, mean and log-variance has moved by a step, which may differ from row to row."""
    moved = list(given)
    moved[place] = moved[place] + torch.as_tensor(step).to(direction).unsqueeze(-1) * direction
    return one.log_prob(moved[0], DiagonalGaussian(*moved[1:])) + 0.5 * one.log_prior(moved[0])


# --- a function of z ----------------------------------------------------------------------------------------------


@check("image.same_z", _CLAUSE)
@torch.no_grad()
def same_z(candidate: Candidate) -> None:
    """Two y with one z have one ratio q(z|x) / p(z): for other lengths, signs, orders and periods that z forgets."""
    n = candidate.size(100, 300, 1000)
    tried = 0
    for one in pushed_parts(candidate):
        q = far_posteriors(candidate, one.m)
        y = noise(candidate, "points", n, one.m)
        z, k = one.z(y), len(q.mean)
        ratio = one.log_ratio(y.unsqueeze(1).expand(n, k, one.m), q)
        for how, moved, allowed_in_z in _moves(one, y):
            size = z.abs().amax(-1).clamp(min=1e-300)
            same = (one.z(moved) - z).abs().amax(-1) <= allowed_in_z * size
            rows = same & ((moved - y).abs().amax(-1) > 1e-2)
            if int(rows.sum()) < n // 10:
                continue
            tried += 1
            again = one.log_ratio(moved.unsqueeze(1).expand(n, k, one.m), q)
            off = (again - ratio).abs() - (1e-6 + allowed_in_z) * (1 + ratio.abs())
            off[~rows] = -1.0
            wrong = (off > 0).any(-1)
            if int(wrong.sum()) >= 2:
                row = int(off.amax(-1).argmax())
                shown = [", ".join(f"{v:.4g}" for v in point[row].tolist()[:4]) for point in (y, moved)]
                raise Broken(
                    f"{one.about}g({shown[0]}) = g({shown[1]}), {how}, but log q(z|x) - log p(z) differs by "
                    f"{float((again - ratio)[row].abs().max()):.4g} ({int(wrong.sum())} of {int(rows.sum())} pairs)",
                    likely="the density of y instead of that of z, or of one y of several with the same z",
                )
    if not tried:
        raise Skipped("no two y with the same z were found by scaling, signs, swaps and shifts")


def _moves(one: PushedPart, y: Tensor) -> Iterator[tuple[str, Tensor, float]]:
    """Other y that may have the same z, how they were made, and by how much of its size z may differ."""
    exact = 1e-12
    for block in one.blocks:
        for factor in (2.0, 50.0):
            moved = y.clone()
            # From outside the unit sphere, where what is left of a radius is least.
            base = moved[:, block]
            moved[:, block] = base * factor
            near = torch.linalg.vector_norm(base, dim=-1) < 0.5
            moved[near] = y[near]
            yield "scaled", moved, SHELL
    yield "scaled", 2 * y, exact
    yield "with other signs", -y, exact
    for d in range(min(one.m, 12)):
        moved = y.clone()
        moved[:, d] *= -1
        yield "with another sign", moved, exact
        for period in (1.0, 2 * math.pi):
            moved = y.clone()
            moved[:, d] += period
            yield "shifted", moved, exact
        if d:
            moved = y.clone()
            moved[:, [d - 1, d]] = y[:, [d, d - 1]]
            yield "in another order", moved, exact


@check("image.scale_free", "capability: ScaleFree")
@torch.no_grad()
def scale_free(candidate: Candidate) -> None:
    """Blocks that are said to be free of scale are: neither z nor, if q is scaled too, its density changes."""
    found: list[Any] = [
        part.mapping
        for part in elements(candidate.mapping())
        if part.reads_y and isinstance(part.mapping, ScaleFree) and part.mapping.scale_free
    ]
    if not found:
        raise NotApplicable("no part of it says that scale is free")
    for part in found:
        blocks = [list(block) for block in part.scale_free]
        dims = [d for block in blocks for d in block]
        pushed = tuple(part.pushed) if isinstance(part, Pushforward) else ()
        if not all(blocks) or not are_dims(dims, part.y_dim) or not set(dims) <= set(pushed):
            raise Broken(
                f"scale_free is {tuple(part.scale_free)}, expected disjoint blocks of the pushed dimensions {pushed}",
                likely="dimensions that z keeps, or blocks that overlap",
            )
        for block in blocks:
            _check_image(candidate, part, block)
    for one in pushed_parts(candidate):
        for block in one.blocks:
            _check_density(candidate, one, block)


def _check_image(candidate: Candidate, part: Any, block: list[int]) -> None:
    y = noise(candidate, "scaled", 300, part.y_dim)
    y = y[torch.linalg.vector_norm(y[:, block], dim=-1) > 0.5]
    z = part(y)
    for factor in (0.5, 3.0, 100.0):
        scaled = y.clone()
        scaled[:, block] *= factor
        off = (part(scaled) - z).abs().amax(-1) / z.abs().amax(-1).clamp(min=1e-300)
        if not bool((off <= SHELL).all()):
            row = int(off.nan_to_num(torch.inf).argmax())
            raise Broken(
                f"z changes by {float(off[row]):.3g} of its size where y is multiplied by {factor:g} in the "
                f"dimensions {tuple(block)}, which are said to be free of scale",
                likely="a length that z keeps, or an eps that is too large",
            )


def _check_density(candidate: Candidate, one: PushedPart, block: list[int]) -> None:
    q = far_posteriors(candidate, one.m)
    y = q.rsample(noise(candidate, "densities", 100, len(q.mean), one.m))
    ratio = one.log_ratio(y, q)
    for factor in (1e-3, 0.3, 10.0, 1e3):
        scale = torch.ones(one.m).to(y)
        scale[block] = factor
        again = one.log_ratio(y * scale, DiagonalGaussian(q.mean * scale, q.log_variance + 2 * scale.log()))
        off = (again - ratio).abs() - 1e-6 * (1 + ratio.abs())
        if bool((off > 0).any()):
            raise Broken(
                f"{one.about}log q(z|x) - log p(z) changes by {float((again - ratio).abs().max()):.4g} where y, its "
                f"mean and its deviation are multiplied by {factor:g} in a block that is said to be free of scale",
                likely="a deviation or a mean that is clamped, or a term log s that is missing",
            )


@check("image.directions", "capability: KeepsDirections")
@torch.no_grad()
def directions(candidate: Candidate) -> None:
    """Where z is said to keep directions of blocks and nothing else, log q(z|x) - log p(z) is that of directions."""
    found = [one for one in pushed_parts(candidate) if isinstance(one.part, KeepsDirections)]
    if not found:
        raise NotApplicable("no part of it says that it keeps directions")
    for one in found:
        kept = tuple(one.part.kept_directions)
        dims = [d for block in kept for d in block]
        if any(len(block) < 2 for block in kept) or sorted(dims) != sorted(one.pushed):
            raise Broken(
                f"{one.about}kept_directions is {kept}, expected disjoint blocks of two or more that make up the "
                f"pushed dimensions {one.pushed}",
                likely="a dimension that is in no block, or in two",
            )
        q = far_posteriors(candidate, one.m)
        y = q.rsample(noise(candidate, "densities", 100, len(q.mean), one.m))
        ratio, expected = one.log_ratio(y, q), torch.zeros_like(y[..., 0])
        for block in kept:
            places = [one.pushed.index(d) for d in block]
            expected += direction_log_prob(*(x[..., places] for x in (y, *q))) + log_sphere_area(len(block))
        off = (ratio - expected).abs() - 1e-6 * (1 + expected.abs())
        if bool((off > 0).any()):
            raise Broken(
                f"{one.about}log q(z|x) - log p(z) differs by {float((ratio - expected).abs().max()):.4g} from that of "
                f"the directions of {kept}, which training takes instead",
                likely="a z that says less than the directions, a sign for instance, or other blocks",
            )
