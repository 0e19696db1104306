"""Is what a metric returns sound, the same each time, and fit for comparisons, and does the run stay as it is?"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import torch
from pydantic import ValidationError

from intel_conformance.kinds import check
from intel_conformance.metrics.candidate import MetricCandidate, Tried
from intel_conformance.other_randomness import other_randomness, random_states
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_core.errors import IntelError
from intel_core.evaluation.matching import unordered_names
from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.raised import one_line
from intel_core.evaluation.subject import Subject

_RESULT = "contract: numbers by name, and the protocol by which they were measured"
_SAME = "contract: the same run and seed give the same numbers"
_LEAVES = "contract: a metric looks at a run and changes nothing"
_SPEC = "contract: the spec of a plugin"
_KIND: Any = ("metric",)
_LIMITS = ("limit", "samples", "examples")
_FEW = 40
"""A limit that is smaller than the parts of the small runs."""


_BUGS = (ValidationError, NameError, ImportError, AssertionError, SystemExit)
"""What no run is to blame for."""


def _tried(candidate: MetricCandidate, *, anything: bool = False) -> Tried:
    """The run, if the metric applies to one and returns a Measurement for it, or anything."""
    try:
        found = candidate.tried
    except NotApplicableError as error:
        raise Skipped(f"it applies to none of the runs that are tried: {error}") from error
    if not anything and not isinstance(candidate.first(), Measurement):
        raise Skipped("measure() returns no Measurement, as io.finite says")
    return found


@check("io.applies", _RESULT, kinds=_KIND)
def applies(candidate: MetricCandidate) -> None:
    """For every run it measures something, or says in a sentence why it does not apply; nothing else is raised."""
    if candidate.spec.cost not in ("seconds", "minutes"):
        raise Broken(f"cost is {candidate.spec.cost!r}, expected 'seconds' or 'minutes'")
    skipped: Skipped | None = None
    try:
        _tried(candidate, anything=True)
    except Skipped as none:
        skipped = none
    for name, error in candidate.failed_on.items():
        may_not_apply = candidate.measures and not isinstance(error, _BUGS)
        raise Broken(
            f"for the run of {name} it raised {one_line(error, candidate.spec)}",
            likely="a run to which it does not apply; raise NotApplicableError with the reason" * may_not_apply,
        )
    for name, said in candidate.refused.items():
        if len(said.split()) < 3:
            raise Broken(f"for the run of {name} it says {said!r}, which explains nothing")
    if skipped is not None:
        raise skipped


@check("io.finite", _RESULT, kinds=_KIND)
def finite(candidate: MetricCandidate) -> None:
    """It returns a Measurement with one number or more, all finite, with errors of at least 0, and a protocol."""
    _tried(candidate, anything=True)
    found: Any = candidate.first()
    if not isinstance(found, Measurement):
        raise Broken(f"measure() returned {type(found).__name__}, expected a Measurement")
    if not found.numbers and not found.notes:
        raise Broken("there are no numbers, and no note says why", likely="raise NotApplicableError with the reason")
    for name, number in found.numbers.items():
        parts = [number.value, number.error or 0.0, *number.beside.values()]
        if not all(math.isfinite(part) for part in parts) or (number.error or 0.0) < 0:
            raise Broken(f"{name} is {number.value:g} with the error {number.error}, beside {number.beside}")
    if not found.protocol:
        raise Broken(
            "the protocol is empty, so nobody can get the same numbers", likely="protocol={'seed': self.seed, …}"
        )


@check("io.json", _RESULT, kinds=_KIND)
def as_json(candidate: MetricCandidate) -> None:
    """What it returns can be kept as JSON without NaN, and read again."""
    _tried(candidate)
    found = candidate.first()
    try:
        text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
        again = Measurement.model_validate_json(text)
    except Exception as error:
        raise Broken(f"it cannot be kept as JSON: {type(error).__name__}: {str(error)[:160]}") from error
    if again.model_dump(mode="json") != found.model_dump(mode="json"):
        raise Broken("what is read from its JSON is something else")


@check("io.names", "contract: comparisons find numbers by name", kinds=_KIND)
def names(candidate: MetricCandidate) -> None:
    """Names of numbers are short words that two runs of different seeds have alike, indices of things aside."""
    _tried(candidate)
    found = candidate.first().numbers
    for name, number in found.items():
        if not re.fullmatch(r"\S(.{0,78}\S)?", name) or any(not char.isprintable() for char in name):
            raise Broken(f"a number is called {name[:100]!r}, expected a few words")
        if number.unordered and name not in unordered_names(found):
            raise Broken(f"{name!r} is one of several things without an order, but has no index")
    other = candidate.measured(tried=candidate.again(1)).numbers
    mine, theirs = (_names(numbers) for numbers in (found, other))
    if mine.isdisjoint(theirs):
        raise Broken(
            f"runs of two seeds have no number in common: {sorted(mine)[:3]} and {sorted(theirs)[:3]}",
            likely="a value or a date in the name; put it into the protocol",
        )


def _names(numbers: dict[str, Number]) -> set[str]:
    """The names of numbers, without the indices of things that have no order."""
    unordered = unordered_names(numbers)
    return {unordered[name].stem if name in unordered else name for name in numbers}


@check("mode.repeat", _SAME, kinds=_KIND)
def repeat(candidate: MetricCandidate) -> None:
    """The same seed gives the same numbers and details, whatever the random states of the process are."""
    _tried(candidate)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(987)
        again = candidate.measured()
    _require_same(candidate.first(), again, "measured again")


def _require_same(first: Measurement, again: Measurement, what: str) -> None:
    if first.model_dump(mode="json") == again.model_dump(mode="json"):
        return
    for name in first.numbers:
        if name not in again.numbers or again.numbers[name] != first.numbers[name]:
            now: Number | None = again.numbers.get(name)
            raise Broken(
                f"{name} is {first.numbers[name].value:.8g}, {what} {now.value if now else 'missing'}",
                likely="random numbers without self.seed, or the order of a set",
            )
    raise Broken(f"{what}, its protocol, details or notes are others", likely="a time or a path in them")


@check("mode.seed", _SAME, kinds=_KIND)
def other_seed(candidate: MetricCandidate) -> None:
    """Another seed gives numbers that are as near as their standard errors say."""
    _tried(candidate)
    first = candidate.first().numbers
    other = candidate.measured(candidate.spec.model_copy(update={"seed": candidate.spec.seed + 1})).numbers
    known = [name for name in first if name in other and first[name].error is not None]
    if not known:
        raise NotApplicable("none of its numbers has a standard error")
    for name in known:
        error = math.hypot(first[name].error or 0.0, other[name].error or 0.0)
        difference = abs(first[name].value - other[name].value)
        if difference > 8 * error + 1e-2 * abs(first[name].value) + 1e-6:
            raise Broken(
                f"{name} differs by {difference:.4g} between two seeds, and its standard error is {error:.3g}",
                likely="a deviation divided by n in the place of its root, or another source of chance",
            )


@check("mode.side_effects", _LEAVES, kinds=_KIND)
def side_effects(candidate: MetricCandidate) -> None:
    """Weights, modes and data of the run stay as they are, its directory too, and the process's random states."""
    tried = _tried(candidate)
    model = tried.run.model

    def state() -> dict[str, Any]:
        return {
            "weights": {name: value.tolist() for name, value in model.state_dict().items()},
            "training mode": [part.training for part in model.modules()],
            "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
            "gradients": [parameter.grad is None for parameter in model.parameters()],
            "data": [
                part.fingerprint() for part in (tried.dataset.train, tried.dataset.validation, tried.dataset.test)
            ],
            "run directory": sorted(str(path) for path in tried.run.path.rglob("*")),
            **random_states(),
            "default dtype": torch.get_default_dtype(),
        }

    with other_randomness():
        before = state()
        candidate.measured()
        after = state()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise Broken(
            f"measuring changes the {' and the '.join(changed)}", likely="model.train(), manual_seed, or x.mul_()"
        )


class _Recording(Subject):
    """A subject that notes how many examples, draws and samples it was asked for."""

    asked: tuple[tuple[str, int | None], ...] = ()

    def encode(self, name: str = "test", limit: int | None = None, *, seed: int = 0) -> Any:
        self.asked += ((f"encode {name}", limit),)
        return super().encode(name, limit, seed=seed)

    def prior(self, n: int, *, seed: int = 0) -> Any:
        self.asked += (("prior", n),)
        return super().prior(n, seed=seed)

    def generated(self, n: int, *, seed: int = 0) -> Any:
        self.asked += (("generated", n),)
        return super().generated(n, seed=seed)


@check("io.limits", _RESULT, kinds=_KIND)
def limits(candidate: MetricCandidate) -> None:
    """A setting that limits examples or draws (limit, samples, examples) has an effect on what is looked at."""
    tried = _tried(candidate)
    given = [name for name in _LIMITS if name in type(candidate.spec).model_fields]
    if not given:
        raise NotApplicable(f"it has no setting {', '.join(_LIMITS[:-1])} or {_LIMITS[-1]}")
    default = candidate.first()
    plain = _Recording(tried.run, dataset=tried.dataset, cache_dir=candidate.cache)
    candidate.measured(subject=plain)
    for name in given:
        try:
            fewer = type(candidate.spec)(**{**candidate.spec.model_dump(), name: _FEW})
        except ValueError:
            continue  # so few are not allowed
        subject = _Recording(tried.run, dataset=tried.dataset, cache_dir=candidate.cache)
        try:
            found = candidate.measured(fewer, subject=subject)
        except IntelError:
            continue  # too few for it, as it says
        if subject.asked == plain.asked and found.numbers == default.numbers:
            raise Broken(f"{name}={_FEW} makes no difference", likely="a setting that is not used")


@check("deploy.spec", _SPEC, kinds=_KIND)
def round_trip(candidate: MetricCandidate) -> None:
    """The spec that is read back from its JSON is equal, and measures the same."""
    _tried(candidate)
    spec = candidate.spec
    try:
        again = type(spec).model_validate_json(spec.model_dump_json())
    except Exception as error:
        raise Broken(f"its JSON cannot be read: {type(error).__name__}: {str(error)[:160]}") from error
    if again != spec:
        raise Broken("the spec that is read from its JSON is another", likely="a validator that changes the value")
    _require_same(candidate.first(), candidate.measured(again), "by the spec that is read again")
