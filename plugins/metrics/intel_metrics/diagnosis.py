r"""What is a mapping's diagnosis of encoded data, and how do its levels change what is decoded?

Level manipulation: for an example's y, the dimensions of one level are drawn from the prior anew and the others kept;
with x and x' the decoded means before and after, the change of level l is the mean of :math:`\|x' - x\|^2` over
examples, divided by the number of values. Its share is that of the sum over levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.own_prior import OwnPrior, own_prior
from intel_core.helpers.parts_of_mapping import diagnose, parts_of
from intel_core.mappings.contract import Levelled, Mapping

__all__ = ["level_changes", "levels_of", "measure"]


def levels_of(mapping: Mapping) -> tuple[tuple[int, ...], ...]:
    """The levels of the first `Levelled` part of a mapping, as dimensions of y, from the top; empty if there is none.

    >>> from intel_core import load_mapping
    >>> levels_of(load_mapping("identity", 2))
    ()
    """
    for part, dims in parts_of(mapping):
        if isinstance(part, Levelled):
            return tuple(tuple(dims[d] for d in level) for level in part.levels)
    return ()


def level_changes(
    decode: Callable[[Tensor], Tensor],
    y: Tensor,
    levels: Sequence[Sequence[int]],
    *,
    generator: torch.Generator | None = None,
    prior: OwnPrior | None = None,
) -> Tensor:
    """How much what is decoded changes when one level of y is drawn from the prior anew and the others are kept.

    Args:
        decode: ``(n, y_dim) -> (n, ...)``, through the mapping.
        y: encodings ``(n, y_dim)``.
        levels: the dimensions of each level.
        generator: source of the draws, on the CPU.
        prior: what they are drawn from; N(0, I) by default.

    Returns:
        float64 ``(levels, n)``: squared changes, means over the values of an example.

    >>> y = torch.zeros(3, 2)
    >>> level_changes(lambda y: 2 * y[:, :1], y, [[0], [1]]).shape
    torch.Size([2, 3])
    """
    before = decode(y).double().flatten(1)
    # The same draws for all levels, so that only the effects of the levels differ.
    width = y.shape[1] if prior is None else prior.noise_dim
    noise = torch.randn(len(y), width, generator=generator, dtype=torch.float64)
    fresh = (noise if prior is None else prior.draw(noise)).to(y.dtype)
    found = []
    for level in levels:
        changed = y.clone()
        changed[:, list(level)] = fresh[:, list(level)]
        found.append((decode(changed).double().flatten(1) - before).square().mean(1))
    return torch.stack(found)


def measure(
    subject: Subject,
    *,
    limit: int,
    seed: int,
) -> Measurement:
    """The mapping's diagnosis of encoded data, and how much each level changes what is decoded.

    The arguments are the fields of `intel_metrics.specs.latent.DiagnosisSpec`.
    """
    mapping = subject.model.mapping
    encoding = subject.encode(limit=limit, seed=seed)
    labels = subject.split("test").labels
    device = subject.run.model_device
    own = None if labels is None else labels[: len(encoding.mean)].to(device)
    said = diagnose(mapping, encoding.mean.to(device), own)
    levels = levels_of(mapping)
    if not said and not levels:
        names = " then ".join(str(part) for part in subject.run.spec.mapping)
        raise NotApplicableError(f"the mapping {names} says nothing of encoded data")
    numbers, details, notes = _sorted_out(said)
    if levels:
        numbers |= _of_levels(subject, encoding.y, levels, seed, details)
    return Measurement(
        numbers=numbers,
        protocol={
            "examples": len(encoding.mean),
            "part": "test",
            "y": "means of q(y|x)" + ("; one sample each for the changes of levels" if levels else ""),
            "seed": seed,
        },
        details=details,
        notes=tuple(notes),
    )


def _sorted_out(said: dict[str, Any]) -> tuple[dict[str, Number], dict[str, JsonValue], list[str]]:
    """Scalars become numbers, everything else details; a note names values that are not finite."""
    numbers: dict[str, Number] = {}
    details: dict[str, JsonValue] = {}
    notes = []
    for name, value in said.items():
        plain = name.replace("_", " ")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isfinite(value):
                numbers[plain] = Number(value=float(value))
            else:
                notes.append(f"{plain} is {value}.")
        else:
            details[plain] = value
    return numbers, details, notes


def _of_levels(
    subject: Subject,
    y: Tensor,
    levels: Sequence[Sequence[int]],
    seed: int,
    details: dict[str, JsonValue],
) -> dict[str, Number]:
    device, mapping = subject.run.model_device, subject.model.mapping
    known = subject.split("test").conditions
    conditions = None if known is None else known[: len(y)]

    @torch.no_grad()
    def decode(y: Tensor) -> Tensor:
        z = torch.cat([mapping(rows.to(device)).cpu() for rows in torch.split(y, 1000)])
        return subject.run.decode(z, conditions=conditions, standardised=True)

    generator, prior = subject.generator(seed, "levels"), own_prior(subject.model)
    changes = level_changes(decode, y, levels, generator=generator, prior=prior)
    means = changes.mean(1)
    total = float(means.sum())
    details["levels"] = [list(level) for level in levels]
    details["level change"] = means.tolist()
    details["level change errors"] = (changes.std(1) / math.sqrt(changes.shape[1])).tolist() if len(y) > 1 else None
    if not total > 0:
        return {}
    return {
        f"level {i} change": Number(
            value=100 * float(means[i]) / total,
            error=100 * _error_of_share(changes, i),
            unit="%",
            about=f"share of the change of x when level {i} ({len(level)} of y) is drawn anew, the others kept",
        )
        for i, level in enumerate(levels)
    }


def _error_of_share(changes: Tensor, i: int) -> float:
    """Standard error of a ratio of means, from its linear approximation."""
    if changes.shape[1] < 2:
        return 0.0
    total = changes.sum(0)
    share = changes[i].mean() / total.mean()
    rest = (changes[i] - share * total) / total.mean()
    return float(rest.std()) / math.sqrt(changes.shape[1])
