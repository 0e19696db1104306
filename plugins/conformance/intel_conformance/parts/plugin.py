"""Is the spec fit for a plugin: the same after it was written as text, described, and quick to import?"""

from __future__ import annotations

from typing import Any

from intel_conformance.checks import plugin as of_mappings
from intel_conformance.kinds import Kind, check
from intel_conformance.outcomes import Broken, NotApplicable
from intel_conformance.parts.calls import compare
from intel_conformance.parts.candidates import Candidate

_CLAUSE = "contract: the spec of a plugin"
_PARTS: tuple[Kind, ...] = ("prior", "posterior", "likelihood")
_ALL: tuple[Kind, ...] = (*_PARTS, "dataset")


@check("deploy.spec", _CLAUSE, kinds=_PARTS)
def round_trip(candidate: Candidate) -> None:
    """The spec that is read back from its JSON is equal, and builds the same from the same seed."""
    if candidate.specs is None:
        raise NotApplicable(f"the {candidate.kind} was given as an object, not as a spec")
    (spec,) = candidate.specs
    try:
        again = type(spec).model_validate_json(spec.model_dump_json())
    except Exception as error:
        raise Broken(f"its JSON cannot be read: {type(error).__name__}: {str(error)[:160]}") from error
    if again != spec:
        raise Broken("the spec that is read from its JSON is another", likely="a validator that changes the value")
    other = type(candidate)(again, y_dim=candidate.y_dim or None, seed=candidate.seed)
    for function in candidate.functions:
        rows = candidate.rows(function, "spec", 9)
        found = candidate.call(other.fresh().to(rows), function, rows)
        expected = candidate.call(candidate.fresh().to(rows), function, rows)
        compare(found, expected, f"{function}, built again", "random numbers of another generator in build()")


@check("plugin.text", _CLAUSE, kinds=_ALL)
def text(candidate: Any) -> None:
    """The spec's text form is parsed to an equal spec."""
    of_mappings.text(candidate)


@check("plugin.fields", _CLAUSE, kinds=_ALL)
def fields(candidate: Any) -> None:
    """The class and its fields have descriptions, unknown keys are refused, and a spec cannot be changed."""
    of_mappings.fields(candidate)


@check("plugin.light", _CLAUSE, level="standard", kinds=_ALL)
def light(candidate: Any) -> None:
    """Importing the spec's module does not import torch, so that help and listings are quick."""
    of_mappings.light(candidate)
