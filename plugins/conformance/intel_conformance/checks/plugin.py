"""Is the spec fit for a plugin: quick to import, described, and the same after it was written as text?"""

from __future__ import annotations

import math
import os
import subprocess
import sys

from pydantic import ValidationError

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, NotApplicable
from intel_core.components.loading import name_of
from intel_core.components.spec import format_spec, parse_spec
from intel_core.errors import PluginError
from intel_core.mappings.contract import MappingSpec
from intel_core.schedules import ConstantScheduleSpec, ScheduleSpec

_CLAUSE = "contract: the spec of a plugin"


def _specs(candidate: Candidate) -> tuple[MappingSpec, ...]:
    """Those of a mapping; of a prior or a posterior as well, which have candidates of their own."""
    if candidate.specs is None:
        raise NotApplicable("it was given as an object, not as a spec")
    return candidate.specs


def _registered(candidate: Candidate) -> tuple[MappingSpec, ...]:
    specs = _specs(candidate)
    for spec in specs:
        try:
            name_of(spec.kind, type(spec))
        except PluginError as error:
            raise NotApplicable(f"{type(spec).__name__} is not registered as a plugin") from error
    return specs


@check("plugin.text", _CLAUSE)
def text(candidate: Candidate) -> None:
    """The spec's text form is parsed to an equal spec."""
    for spec in _registered(candidate):
        for explicit in (False, True):
            written = format_spec(spec, explicit=explicit)
            try:
                read = parse_spec(spec.kind, written)
            except Exception as error:
                raise Broken(f"its text {written!r} cannot be parsed: {str(error)[:200]}") from error
            if read != spec:
                raise Broken(
                    f"its text {written!r} is parsed to another spec",
                    likely="a validator that changes the value each time it runs",
                )


@check("plugin.fields", _CLAUSE)
def fields(candidate: Candidate) -> None:
    """The class and its fields have descriptions, unknown keys are refused, and a spec cannot be changed."""
    for spec in _specs(candidate):
        spec_class = type(spec)
        name = spec_class.__name__
        if not (spec_class.__dict__.get("__doc__") or "").strip():
            raise Broken(f"{name} has no docstring; `intel plugins list` shows its first line")
        silent = [key for key, field in spec_class.model_fields.items() if not (field.description or "").strip()]
        if silent:
            raise Broken(
                f"field {silent[0]!r} of {name} has no description; help and schema show it",
                likely='Field(..., description="...")',
            )
        config = spec_class.model_config
        if config.get("extra") != "forbid":
            raise Broken(f"{name} takes unknown keys (extra={config.get('extra')!r}), expected extra='forbid'")
        if not config.get("frozen"):
            raise Broken(f"{name} can be changed after it was validated (frozen=False)")
        if spec_class.model_fields:
            key = next(iter(spec_class.model_fields))
            try:
                setattr(spec, key, getattr(spec, key))
            except (ValidationError, AttributeError, TypeError):
                continue
            raise Broken(f"{name}.{key} can be assigned to", likely="a custom __setattr__")


@check("plugin.schedules", _CLAUSE)
def schedules(candidate: Candidate) -> None:
    """The spec's advised schedules are valid for runs of any length."""
    for spec in _specs(candidate):
        for steps in (1, 1000):
            try:
                advised = spec.advised_schedules(steps, {"kl": ConstantScheduleSpec()})
                wrong = {name: found for name, found in advised.items() if not isinstance(found, ScheduleSpec)}
                values = [found.at(step) for found in advised.values() for step in (0, steps) if not wrong]
            except Exception as error:
                about = f"advised_schedules({steps}, …) raised {type(error).__name__}: {str(error)[:160]}"
                raise Broken(about) from error
            if wrong:
                raise Broken(f"advised_schedules gives {wrong}, expected a ScheduleSpec for each name")
            if not all(math.isfinite(value) and value >= 0 for value in values):
                raise Broken(f"advised_schedules({steps}, …) gives a factor that is negative or not finite: {values}")


@check("plugin.light", _CLAUSE, level="standard")
def light(candidate: Candidate) -> None:
    """Importing the spec's module does not import torch, so that help and listings are quick."""
    for module in dict.fromkeys(type(spec).__module__ for spec in _registered(candidate)):
        if module == "__main__":
            raise NotApplicable("the spec is defined in the program that runs, not in a module")
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run(
            [sys.executable, "-c", f"import sys, {module}\nprint('torch' in sys.modules)"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            timeout=120,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["?"])[-1]
            raise Broken(f"importing {module} in a new process failed: {last[:200]}")
        if done.stdout.split()[-1:] == ["True"]:
            raise Broken(
                f"importing {module} imports torch",
                likely="an import of torch or of the mapping's module at the top of the file; move it into build()",
            )
