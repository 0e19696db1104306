"""Does each setting of a spec make a difference? The check belongs to the group ``plugin``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported
from intel_core.errors import IntelError
from intel_core.helpers.fewest_dims import build_seeded, in_the_fewest
from intel_core.mappings.compose import as_module, bare, properties_of
from intel_core.mappings.contract import Clustering, MappingSpec, Regularised
from intel_core.schedules import ConstantScheduleSpec

_ROWS = 60
_MOST_CONTEXTS = 12


@check("plugin.settings", "contract: the spec of a plugin", level="standard")
def settings(candidate: Candidate) -> None:
    """Each setting changes something: the mapping, what it declares, its losses or its schedules."""
    if candidate.specs is None:
        raise NotApplicable("it was given as an object, not as a spec")
    for spec in candidate.specs:
        alone = len(candidate.specs) == 1
        y_dim = candidate.y_dim if alone or not spec.dims else len(spec.dims)
        silent = [name for name in _tried(spec) if not _matters(candidate, spec, name, y_dim)]
        usual = _usual(type(spec), candidate.seed)  # the others may be such that one has nothing to say
        silent = [name for name in silent if usual is None or not _matters(candidate, usual[0], name, usual[1])]
        if silent:
            raise Unsupported(
                f"the setting {silent[0]!r} of {type(spec).__name__} changes nothing that can be seen: not z, nor "
                "what is declared, nor a loss or a schedule",
                likely="a field that build() does not pass on",
                setting=silent[0],
            )
        here = _seen(candidate, spec, y_dim)
        if here is not None and here.get("weights"):
            for name in _tried(spec):
                _require_once(candidate, spec, here, name, y_dim)


def _require_once(candidate: Candidate, spec: MappingSpec, here: dict[str, Any], name: str, y_dim: int) -> None:
    """A run multiplies each loss by its weight; a loss that holds its weight already has the square of it."""
    for other in _others(spec, name):
        there = _seen(candidate, other, y_dim)
        if there is None or not _equal({"z": here["z"]}, {"z": there["z"]}):
            continue
        for loss, weight in here["weights"].items():
            value, changed = (float(seen.get(f"loss {loss}", math.nan)) for seen in (here, there))
            by = there.get("weights", {}).get(loss, math.nan) / weight if weight else math.nan
            if abs(by - 1) > 1e-3 and abs(value) > 1e-12 and math.isclose(changed / value, by, rel_tol=1e-6):
                raise Unsupported(
                    f"the setting {name!r} of {type(spec).__name__} multiplies both the auxiliary loss {loss!r} and "
                    f"its weight by {by:.3g}, and a run multiplies the two",
                    likely="a loss that is multiplied by its weight in map_with_regularisers",
                    setting=name,
                )


def _usual(kind: type[MappingSpec], seed: int) -> tuple[MappingSpec, int] | None:
    """The spec of the defaults, and the fewest dimensions in which it can be built."""
    try:
        spec = kind()
        return spec, next(in_the_fewest([spec], seed)).y_dim
    except (ValidationError, IntelError, ValueError):
        return None


def _tried(spec: MappingSpec) -> list[str]:
    return [name for name in type(spec).model_fields if name != "dims" and any(True for _ in _others(spec, name))]


def _others(spec: MappingSpec, name: str) -> Iterator[MappingSpec]:
    """The spec with other values of one setting, those that it takes."""
    value = getattr(spec, name)
    for other in _values(value, type(spec).model_fields[name].annotation):
        if other != value:
            try:
                yield type(spec).model_validate({**spec.model_dump(exclude_unset=True), name: other})
            except (ValidationError, IntelError):
                continue


def _values(value: Any, annotation: Any) -> list[Any]:
    choices = [
        choice
        for part in (annotation, *get_args(annotation))
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    if choices or isinstance(value, bool):
        return choices or [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 2 * value, value + 3]
    if isinstance(value, float):
        return [value * 1.5, value / 2, value + 0.1, value - 0.1]
    return []


def _matters(candidate: Candidate, spec: MappingSpec, name: str, y_dim: int) -> bool:
    fields = [field for field in type(spec).model_fields if field not in (name, "dims")]
    contexts = itertools.chain([spec], (other for field in fields for other in _others(spec, field)))
    for context in itertools.islice(contexts, _MOST_CONTEXTS):
        here = _seen(candidate, context, y_dim)
        for other in _others(context, name):
            there = _seen(candidate, other, y_dim)
            if here is None or there is None:
                if (here is None) != (there is None):
                    return True  # with one value there is no mapping
                continue
            if not _equal(here, there):
                return True
    return False


def _seen(candidate: Candidate, spec: MappingSpec, y_dim: int) -> dict[str, Any] | None:
    """Everything about a mapping that a setting may change; None if there is no such mapping."""
    try:
        mapping = as_module(build_seeded([spec], y_dim, candidate.seed)).double()
    except (IntelError, ValueError):
        return None
    except Exception as error:
        raise Broken(f"{spec}: build({y_dim}) raised {type(error).__name__}: {str(error)[:160]}") from error
    part: Any = bare(mapping)
    y = 2 * torch.randn(_ROWS, y_dim, generator=candidate.generator("settings"), dtype=torch.float64)
    with torch.no_grad():
        found: dict[str, Any] = {"z": mapping(y), "z_dim": mapping.z_dim, "declared": properties_of(mapping)}
        found |= {name: value for name, value in mapping.state_dict().items() if isinstance(value, Tensor)}
        if isinstance(part, Clustering):
            found |= {"assign": part.assign(y), "proportions": part.proportions()}
        if isinstance(part, Regularised):
            found["weights"] = dict(part.regularisers)
            found |= {f"loss {name}": term for name, term in part.map_with_regularisers(y)[1].items()}
    found["learned"] = [name for name, parameter in mapping.named_parameters() if parameter.requires_grad]
    found["schedules"] = spec.advised_schedules(1000, {"kl": ConstantScheduleSpec()})
    return found


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        if isinstance(value, Tensor):
            there = other[name]
            if value.shape != there.shape or not torch.equal(value.nan_to_num(math.pi), there.nan_to_num(math.pi)):
                return False
        elif value != other[name]:
            return False
    return True
