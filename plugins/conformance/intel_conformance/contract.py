"""How does pytest run the checks? One line in a test file for each of two things.

pytest and hypothesis are imported when the line is run, not when this module is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from typing import Any, Literal, cast

import torch

from intel_conformance.check import Level, choose, names_of
from intel_conformance.outcomes import Broken
from intel_conformance.runner import Planned, reason_for
from intel_conformance.subject import Checkable, Subject
from intel_core.mappings.contract import MappingSpec

__all__ = ["conformance", "property_tests"]


def conformance(
    specs: Sequence[Checkable] | Dictionary[Any, int],
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Dictionary[str, str] | None = None,
    strict: bool = True,
    warnings: Literal["skip", "fail"] = "skip",
    y_dim: int | None = None,
    seed: int = 0,
) -> Callable[..., None]:
    """A pytest function with a case for each spec and check.

    Assign it to a name that begins with ``test_``::

        test_conformance = conformance(["spiral", "spiral:turns=3"], expected_failures={"deploy.vmap": "branches on y"})

    What is not promised is skipped with the reason, and so is what cannot be tried, or would only be warned of; a case
    per spec fails if nothing ran.

    Args:
        specs: what `check_mapping` takes, several of them; or a dictionary from such to the number of dimensions of y.
        level: ``quick``, ``standard`` or ``deep``.
        only: ids of checks or names of groups.
        skip: ids or groups to leave out.
        expected_failures: reasons by check id.
        strict: whether an expected failure that passes is a failure.
        warnings: what is no breach, but worth a warning, is skipped, or fails.
        y_dim: number of dimensions of all; the fewest that each takes if None.
        seed: of parameters and draws.

    Raises:
        SpecError: for a check that does not exist.
        ValueError: if there are no specs.
    """
    import pytest

    wanted = _wanted("conformance", specs, y_dim)
    reasons = dict(expected_failures or {})
    names_of(list(reasons))
    checks = choose(level, only, skip)
    if not checks:
        raise ValueError("no check is left to run")
    cases = [
        pytest.param(i, check, id=f"{_label(spec)}-{check.id}")
        for i, (spec, _) in enumerate(wanted)
        for check in checks
    ]
    subjects: dict[int, Subject] = {}

    @pytest.mark.parametrize(("number", "check"), cases)
    def test_conformance(number: int, check: Any) -> None:
        if number not in subjects:  # on use, so that a broken plugin fails its own tests rather than the collection
            what, dims = wanted[number]
            subjects[number] = Subject(what, y_dim=dims, seed=seed, level=level)
        planned = Planned(check, subjects[number].at_least(check.level))
        result = planned.run(expected=reason_for(check.id, reasons))
        if result.status == "xfailed":
            pytest.xfail(result.message)
        forgiven = result.status == "xpassed" and not strict
        if (result.bad and not forgiven) or (result.status == "warned" and warnings == "fail"):
            pytest.fail(str(result), pytrace=False)
        if result.status in ("skipped", "not_applicable", "warned"):
            pytest.skip(f"{result.status.replace('_', ' ')}: {result.message}")

    return cast(Callable[..., None], test_conformance)


def _wanted(
    name: str, specs: Sequence[Checkable] | Dictionary[Any, int], y_dim: int | None
) -> list[tuple[Checkable, int | None]]:
    if isinstance(specs, str | MappingSpec) or not specs:
        raise ValueError(f"{name}() takes a list of one or more specs")
    return list(specs.items()) if isinstance(specs, Dictionary) else [(spec, y_dim) for spec in specs]


def _label(spec: Checkable) -> str:
    if isinstance(spec, str | MappingSpec):
        return str(spec)
    if isinstance(spec, Sequence):
        return " then ".join(map(str, spec))
    return str(getattr(spec, "__name__", type(spec).__name__))


def property_tests(
    specs: Sequence[Checkable] | Dictionary[Any, int], *, y_dim: int | None = None, n: int = 20_000
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two hypothesis tests, of continuity and of the inequality of Theorem 1, over the given mappings.

    ::

        test_continuity, test_theorem1 = property_tests(["spiral", "spiral:turns=3"])

    The first draws the mapping, its parameters and segments: at random, across a declared seam, through a declared
    centre; hypothesis steers towards larger differences left over. The second draws a posterior, and asks that the
    lower confidence bound of KL(q(z|x) ‖ p(z)) does not exceed KL(q(y|x) ‖ N(0, I)).

    Args:
        specs: what `check_mapping` takes, several of them.
        y_dim: number of dimensions; the fewest that each takes if None.
        n: draws of each distribution.
    """
    from hypothesis import given, settings, target
    from hypothesis import strategies as st

    from intel_conformance.scan import scan
    from intel_conformance.segments import crossing, random_segments
    from intel_conformance.strategies import gaussians
    from intel_conformance.theory import theorem1

    wanted = _wanted("property_tests", specs, y_dim)
    subjects: dict[tuple[int, int], Subject] = {}

    def subject_of(number: int, seed: int) -> Subject:
        if (number, seed) not in subjects:
            what, dims = wanted[number]
            subjects[number, seed] = Subject(what, y_dim=dims, seed=seed)
        return subjects[number, seed]

    numbers, seeds = st.integers(0, len(wanted) - 1), st.integers(0, 3)
    kinds = st.sampled_from(["random", "seam", "centre"])

    @settings(deadline=None)
    @given(number=numbers, seed=seeds, draw=st.integers(0, 2**32 - 1), kind=kinds)
    def test_continuity(number: int, seed: int, draw: int, kind: str) -> None:
        subject = subject_of(number, seed)
        declared = subject.declared
        if not declared.continuous:
            return
        generator = torch.Generator().manual_seed(draw)
        places = {"seam": declared.seams, "centre": declared.centres}.get(kind, ())
        if places:
            starts, ends = crossing(places[draw % len(places)], 1, subject.y_dim, generator)
        else:
            starts, ends = random_segments(1, subject.y_dim, generator)
        (found,) = scan(subject.mapping(), starts, ends)
        if found.kind in ("jump", "not finite"):
            raise Broken(f"{subject.label}: {found.kind} of {found.size:.4g} at y = {found.where.tolist()}")
        target(found.size, label="difference left over")

    @settings(deadline=None)
    @given(number=numbers, seed=seeds, data=st.data())
    def test_theorem1(number: int, seed: int, data: Any) -> None:
        subject = subject_of(number, seed)
        posterior = data.draw(gaussians(subject.y_dim))
        mapping = subject.mapping()
        found = theorem1(mapping, posterior.mean[0], posterior.log_variance[0], n=n, alpha=1e-9, seed=seed)
        if found.violated:
            raise Broken(f"{subject.label}: KL in z is at least {found.kl_z.lower:.4f}, in y {found.kl_y:.4f}")

    return test_continuity, test_theorem1
