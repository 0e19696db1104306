"""How does pytest run the checks? `conformance` and `property_tests` each take one line of a test file.

pytest and hypothesis are imported when these functions are called, not when this module is imported.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from typing import Any, Literal, cast

import torch

from intel_conformance.candidate import Candidate, Checkable
from intel_conformance.catalogue import all_checks, choose, names_of
from intel_conformance.check import Check
from intel_conformance.kinds import KINDS, candidate_of, checks_of, kind_of
from intel_conformance.levels import Level, level_of
from intel_conformance.runner import PREFLIGHT, Planned, reason_for
from intel_conformance.several import distinct
from intel_core.components.spec import ComponentSpec
from intel_core.mappings.contract import MappingSpec

__all__ = ["conformance", "property_tests"]

_DIMS = 4
"""Dimensions of y in which settings of the class of a spec are drawn."""


def conformance(
    specs: Sequence[Any] | Dictionary[Any, int | Sequence[int]],
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Dictionary[str, str] | None = None,
    strict: bool = True,
    warnings: Literal["skip", "fail"] = "skip",
    y_dim: int | Sequence[int] | None = None,
    seed: int = 0,
) -> Callable[..., None]:
    """A pytest function with one case for each spec and check.

    Assign it to a name that begins with ``test_``::

        test_conformance = conformance(["spiral", "spiral:turns=3"], expected_failures={"deploy.vmap": "branches on y"})

    Components of other kinds stand in the list with their kind, ``"prior:mog:k=3"``, or as their specs.

    Checks that do not apply to a spec, cannot be tried, or end with a warning are skipped, with the reason.

    Args:
        specs: a list of what `intel_conformance.check_mapping`, `check_prior` or one of its likes takes, or
            a dictionary from such to the number of dimensions of y, or to several.
        level: ``quick``, ``standard`` or ``deep``.
        only: ids of checks or names of groups.
        skip: ids or groups to leave out.
        expected_failures: reasons by check id.
        strict: whether it is a failure if a check that is expected to fail passes.
        warnings: whether a case fails or is skipped if its check ends with a warning.
        y_dim: number of dimensions of y for all specs, or several, ``[2, 3, 8]``; if None, for each the fewest in which
            it can be built.
        seed: of parameters and draws.

    Raises:
        SpecError: for a check that does not exist.
        ValueError: if there are no specs, or no checks are left.
        ImportError: if pytest is not installed.
    """
    _require("pytest")
    import pytest

    level = level_of(level)
    wanted = _wanted("conformance", specs, y_dim)
    reasons = dict(expected_failures or {})
    kinds = [kind_of(spec) for spec, _ in wanted]
    specs_named = Counter(_label(spec) for spec, _ in wanted)
    among = {kind: checks_of(kind) if kind else all_checks() for kind in dict.fromkeys(kinds)}
    everything = [check for checks in among.values() for check in checks]
    for names in (list(reasons), only, skip):
        names_of(names, everything)
    chosen = {kind: _chosen(checks, everything, level, only, skip) for kind, checks in among.items()}
    if not all(chosen.values()):
        raise ValueError("no check is left to run")
    cases = [
        pytest.param(i, check, id=f"{_label(spec)}{f'-{dims}d' if specs_named[_label(spec)] > 1 else ''}-{check.id}")
        for i, (spec, dims) in enumerate(wanted)
        for check in chosen[kinds[i]]
    ]
    candidates: dict[int, Any] = {}

    @pytest.mark.parametrize(("number", "check"), cases)
    def test_conformance(number: int, check: Any) -> None:
        if number not in candidates:  # not at collection, so that a broken plugin fails its own cases only
            what, dims = wanted[number]
            settings: dict[str, Any] = {"y_dim": dims, "seed": seed, "level": level}
            kind = kinds[number]
            candidates[number] = candidate_of(kind, what, **settings) if kind else Candidate(what, **settings)
        if PREFLIGHT in candidates[number].failed and check.id != PREFLIGHT:
            pytest.skip(f"{PREFLIGHT} failed")
        planned = Planned(check, candidates[number].at_least(check.level))
        result = planned.run(expected=reason_for(check.id, reasons))
        if result.status == "xfailed":
            pytest.xfail(result.message)
        forgiven = result.status == "xpassed" and not strict
        if (result.bad and not forgiven) or (result.status == "warned" and warnings == "fail"):
            pytest.fail(str(result), pytrace=False)
        if result.status in ("skipped", "not_applicable", "warned"):
            pytest.skip(f"{result.status.replace('_', ' ')}: {result.message}")

    return cast(Callable[..., None], test_conformance)


def _chosen(
    checks: Sequence[Check], everything: Sequence[Check], level: Level, only: Sequence[str], skip: Sequence[str]
) -> tuple[Check, ...]:
    """The checks of one kind; a name may be that of a check of another kind in the list."""
    ids = {check.id for check in checks}
    mine, others = ([id for id in names_of(names, everything) if id in ids] for names in (only, skip))
    return choose(level, mine, others, checks) if mine or not only else ()


def _require(name: str) -> None:
    """Import an optional library.

    Raises:
        ImportError: if it is not installed; the message says how to install it.
    """
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install 'intelvae-conformance[testing]'") from error


def _wanted(
    name: str, specs: Sequence[Any] | Dictionary[Any, int | Sequence[int]], y_dim: int | Sequence[int] | None
) -> list[tuple[Any, int | None]]:
    if isinstance(specs, str | ComponentSpec) or not specs:
        raise ValueError(f"{name}() takes a list of one or more specs")
    pairs = specs.items() if isinstance(specs, Dictionary) else [(spec, y_dim) for spec in specs]
    return [(spec, one) for spec, dims in pairs for one in (distinct(dims) if isinstance(dims, Sequence) else (dims,))]


def _label(spec: Any) -> str:
    if isinstance(spec, ComponentSpec) and (kind := kind_of(spec)):
        return f"{KINDS[kind].prefix}:{spec}"
    if isinstance(spec, str | ComponentSpec):
        return str(spec)
    if isinstance(spec, Sequence):
        return " then ".join(map(str, spec))
    return str(getattr(spec, "__name__", type(spec).__name__))


def property_tests(
    specs: Sequence[Checkable | type[MappingSpec]] | Dictionary[Any, int | Sequence[int]],
    *,
    y_dim: int | Sequence[int] | None = None,
    n: int = 20_000,
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two hypothesis tests, of continuity and of the inequality of Theorem 1, for the given mappings.

    ::

        test_continuity, test_theorem1 = property_tests(["spiral", "spiral:turns=3"])

    The first draws one of the mappings, its parameters and a segment: between any points, across a declared seam or
    past a declared centre. hypothesis searches for segments with large remaining differences, and reduces one with a
    jump to the simplest numbers that show it. The second draws a posterior and checks that a lower confidence bound of
    KL(q(z|x) ‖ p(z)) does not exceed KL(q(y|x) ‖ N(0, I)).

    Args:
        specs: as for `conformance`. Of the class of a spec, settings are drawn too (`strategies.specs`).
        y_dim: number of dimensions of y, or several; if None, for each spec the fewest in which it can be built, and 4
            for classes of specs.
        n: number of draws from each distribution.

    Raises:
        ValueError: if there are no specs.
        ImportError: if hypothesis or pytest is not installed.
    """
    _require("hypothesis")
    _require("pytest")
    import pytest
    from hypothesis import HealthCheck, given, settings, target
    from hypothesis import strategies as st

    from intel_conformance.continuity.scan import scan
    from intel_conformance.strategies import gaussians, segments
    from intel_conformance.strategies import specs as specs_of
    from intel_conformance.theory import theorem1

    wanted = _wanted("property_tests", specs, y_dim)
    candidates: dict[tuple[int, str, int], Candidate] = {}

    @st.composite
    def mappings(draw: Callable[[Any], Any]) -> tuple[int, Any, int]:
        """Which of the specs, with which settings, and the seed of its parameters."""
        number = draw(st.integers(0, len(wanted) - 1))
        what, dims = wanted[number]
        if isinstance(what, type) and issubclass(what, MappingSpec):
            what = draw(specs_of(what, y_dim=dims or _DIMS))
        return number, what, draw(st.integers(0, 3))

    def candidate_of(number: int, what: Any, seed: int) -> Candidate:
        key = (number, what.model_dump_json() if isinstance(what, MappingSpec) else "", seed)
        if key not in candidates:
            dims = wanted[number][1]
            given_class = isinstance(wanted[number][0], type) and isinstance(what, MappingSpec)
            candidates[key] = Candidate(what, y_dim=dims or (_DIMS if given_class else None), seed=seed)
        return candidates[key]

    def told(candidate: Candidate, what: str) -> None:
        """End the test with a message, without the frames of this module."""
        label, dims = candidate.label, candidate.y_dim
        pytest.fail(f"{label} ({dims} dimensions of y, parameters of seed {candidate.seed}): {what}", pytrace=False)

    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a slow machine is no failure

    @patient
    @given(mapping=mappings(), data=st.data())
    def test_continuity(mapping: tuple[int, Any, int], data: Any) -> None:
        candidate = candidate_of(*mapping)
        declared = candidate.declared
        if not declared.continuous:
            return
        segment = data.draw(segments(candidate.y_dim, declared))
        starts, ends = (torch.tensor([point], dtype=torch.float64) for point in (segment.start, segment.end))
        (found,) = scan(candidate.mapping(), starts, ends)
        if found.kind in ("jump", "not finite"):
            size = f"jumps by {found.size:.4g}" if found.kind == "jump" else "is not finite"
            told(candidate, f"z {size} at y = {found.where.tolist()}, between {segment.start} and {segment.end}")
        target(found.size, label="remaining difference")

    @patient
    @given(mapping=mappings(), data=st.data())
    def test_theorem1(mapping: tuple[int, Any, int], data: Any) -> None:
        candidate = candidate_of(*mapping)
        posterior = data.draw(gaussians(candidate.y_dim))
        mean, log_variance = posterior.mean[0], posterior.log_variance[0]
        found = theorem1(candidate.mapping(), mean, log_variance, n=n, alpha=1e-9, seed=candidate.seed)
        if found.violated:
            told(
                candidate,
                f"for the posterior with mean {mean.tolist()} and log-variance {log_variance.tolist()} the KL "
                f"divergence is at least {found.kl_z.lower:.4f} nats in z, but {found.kl_y:.4f} in y",
            )

    return test_continuity, test_theorem1
