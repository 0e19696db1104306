"""Can anything be checked at all? A call, its shape, and the types of what is declared; the check comes first."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, first_line
from intel_core.mappings.compose import bare
from intel_core.mappings.properties import Hoelder, Locus, Properties

Fits = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _tuple_of(fits: Fits, length: int | None = None) -> Fits:
    return lambda value: isinstance(value, tuple) and len(value) == (length or len(value)) and all(map(fits, value))


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


_TYPES: dict[str, tuple[Fits, str]] = {
    "continuous": (lambda value: isinstance(value, bool), "True or False"),
    "injective": (lambda value: isinstance(value, bool), "True or False"),
    "norm_bound": (_or_none(_number), "a number or None"),
    "clusters": (_or_none(_whole), "a whole number or None"),
    "betti": (_or_none(_tuple_of(_whole)), "a tuple of whole numbers or None"),
    "sparsity": (_or_none(_tuple_of(_number, 2)), "a tuple of two numbers or None"),
    "hoelder": (_or_none(lambda value: isinstance(value, Hoelder)), "Hoelder(constant, exponent) or None"),
    "planes": (_tuple_of(_tuple_of(_whole, 2)), "a tuple of pairs of dimensions"),
    "centres": (_tuple_of(lambda value: isinstance(value, Locus)), "a tuple of Locus"),
    "seams": (_tuple_of(lambda value: isinstance(value, Locus)), "a tuple of Locus"),
}


@check("io.preflight", "contract, clause 1, and the types of what is declared")
def preflight(candidate: Candidate) -> None:
    """It can be called, z has z_dim dimensions, and each declared property is of its type. Else nothing else is run."""
    mapping = candidate.mapping(torch.float32)
    for name in ("y_dim", "z_dim"):
        value = getattr(mapping, name)
        if not _whole(value) or value < 1:
            raise Broken(f"{name} is {value!r}, expected a whole number, 1 or more")
    if mapping.y_dim != candidate.y_dim:
        raise Broken(f"built for {candidate.y_dim} dimensions, it has y_dim={mapping.y_dim}")
    candidate.call(mapping, candidate.draw("preflight", 3).float())
    part: Any = bare(mapping)
    if not hasattr(type(part), "properties") and "properties" not in vars(part):
        return
    try:
        found = part.properties
    except Exception as error:
        said = first_line(error, 160)
        raise Broken(f"properties raised {type(error).__name__}: {said}") from error
    if callable(found):
        raise Broken("properties is a method, expected Properties(…)", likely="@property is missing")
    if not isinstance(found, Properties):
        raise Broken(f"properties is {type(found).__name__}, expected intel_core.Properties")
    for name, (fits, expected) in _TYPES.items():
        value = getattr(found, name)
        if not fits(value):
            raise Broken(f"properties declares {name}={value!r:.80}, expected {expected}")
