"""Is the spec fit for a plugin: the same after it was written as text, described, and quick to import?"""

from __future__ import annotations

import copy
import pickle
from typing import Any

from intel_conformance.checks import plugin as of_mappings
from intel_conformance.kinds import Kind, check
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported
from intel_conformance.parts.calls import compare
from intel_conformance.parts.candidates import Candidate

_CLAUSE = "contract: the spec of a plugin"
_PARTS: tuple[Kind, ...] = ("prior", "posterior", "likelihood", "network")
_ALL: tuple[Kind, ...] = (*_PARTS, "dataset", "metric")


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


@check("plugin.copy", _CLAUSE, kinds=_ALL)
def copied(candidate: Any) -> None:
    """A deep copy of the spec is equal to it, and so is what is left after pickling, as for other processes."""
    if candidate.specs is None:
        raise NotApplicable("it was given as an object, not as a spec")
    (spec,) = candidate.specs
    if copy.deepcopy(spec) != spec:
        raise Broken("a deep copy of the spec is another spec", likely="__deepcopy__, or a value that is no data")
    try:
        again = pickle.loads(pickle.dumps(spec))
    except Exception as error:
        raise Unsupported(f"the spec cannot be pickled: {type(error).__name__}: {str(error)[:160]}") from error
    if again != spec:
        raise Broken("the spec is another after pickling", likely="__getstate__, __setstate__ or __reduce__")
