"""Does a clustering mapping that turns get to where its clusters are? The check belongs to the group ``structure``."""

from __future__ import annotations

import torch
from torch import Tensor

from intel_conformance.as_part import as_part_loaded
from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.helpers.shares import Turns

_ROTATIONS = 40
_LEAST = 0.9
"""Of the rotations: how well cells can be turned to centres depends on their shares."""


@check("structure.turns", "capability: Turns")
@torch.no_grad()
def turns(candidate: Candidate) -> None:
    """Turned to where its clusters lie, it assigns them there; the turn is part of its state, and can be undone."""
    mapping = candidate.mapping()
    found = clustering_of(mapping)
    if found is None or not isinstance(found[0], Turns):
        raise NotApplicable("it is not a Clustering that turns")
    part, y = found[0], candidate.draw("turned", 4000)
    rows = y[:, list(found[1])]
    index = part.assign(rows)
    means = torch.stack(
        [rows[index == k].mean(0) if bool((index == k).any()) else rows[0] * 0 for k in range(part.n_clusters)]
    )
    numbers = torch.arange(part.n_clusters, device=means.device)
    own = part.assign(means) == numbers
    if int(own.sum()) < 2:
        raise Skipped("the means of its clusters do not lie within them")
    part.turn_towards(means)
    if part.directions() is None:
        raise NotApplicable("its settings say that it does not turn")
    right = 0
    for number in range(_ROTATIONS):
        centres = means @ _rotation(candidate, number, rows.shape[-1])
        part.turn_towards(centres)
        right += bool((part.assign(centres) == numbers)[own].all())
    if right < _LEAST * _ROTATIONS:
        raise Broken(
            f"turned towards the centres of its own clusters, rotated at random, assign() gives other clusters there "
            f"in {_ROTATIONS - right} of {_ROTATIONS} tries",
            likely="the transposed rotation, columns for rows, or centres in another order",
            right=right,
        )
    _directions(part, rows.shape[-1])
    y = y[:40]
    z, other = candidate.call(mapping, y), candidate.mapping()
    as_part_loaded(other, mapping.state_dict())
    worst = beyond_rounding(candidate.call(other, y), z, mapping, y, candidate.generator("allowance"))
    if worst is not None:
        raise Broken(
            f"after a turn z of a mapping that loads its state is off by {worst[0]:.3g}",
            likely="a rotation that is no buffer: a run that goes on has another mapping",
            off=worst[0],
        )
    part.turn_back()
    axes = part.directions()
    if axes is not None and not torch.allclose(axes.double(), torch.eye(*axes.shape).to(axes).double(), atol=1e-4):
        raise Broken(
            f"after turn_back() directions() are {[[round(x, 3) for x in row[:4]] for row in axes.tolist()[:2]]}, "
            "expected the first axes, or None"
        )


def _rotation(candidate: Candidate, number: int, dims: int) -> Tensor:
    drawn = torch.randn(dims, dims, generator=candidate.generator(f"rotation {number}"), dtype=torch.float64)
    q, r = torch.linalg.qr(drawn)
    turned: Tensor = (q * r.diagonal().sign()).to(candidate.device)
    turned[:, 0] *= torch.linalg.det(turned).sign()  # a rotation, and no reflection
    return turned


def _directions(part: Turns, dims: int) -> None:
    found = part.directions()
    if found is None:
        return
    if found.dim() != 2 or found.shape[-1] != dims:
        raise Broken(f"directions() has shape {tuple(found.shape)}, expected (width, {dims})")
    off = float((found.double() @ found.double().T - torch.eye(len(found)).to(found).double()).abs().max())
    if off > 1e-4:
        raise Broken(f"directions() are not orthonormal: their products are off by {off:.3g}")
