"""Does every check find the faults that it is meant for?"""

from __future__ import annotations

import pytest
from intel_conformance import all_checks, check_mapping
from specimens.mutants import MUTANTS, Mutant

import intel_core

EACH = pytest.mark.parametrize(
    ("mutant", "dtype"), [pytest.param(m, d, id=f"{m.name}-{d}") for m in MUTANTS for d in m.dtypes]
)
EACH_PROMPTLY = pytest.mark.parametrize(
    ("mutant", "dtype"),
    [
        pytest.param(m, d, id=f"{m.name}-{d}", marks=[pytest.mark.slow] if number else [])
        for m in MUTANTS
        for number, d in enumerate(m.dtypes)
    ],
)


def assert_killed(mutant: Mutant, dtype: str, seed: int) -> None:
    if mutant.registered:
        intel_core.register("mappings", f"mutant_{mutant.name.lower()}", type(mutant.what))
    report = check_mapping(mutant.what, y_dim=mutant.y_dim, only=[mutant.kills], seed=seed, dtypes=[dtype])
    (result,) = report.results
    assert result.status == mutant.status, result
    assert report.ok == (mutant.status == "warned")
    assert report.exit_code == (mutant.status != "warned")
    assert mutant.kills in result.repro
    assert len(result.message) > 20


def test_every_check_has_a_mutant_and_every_mutant_a_check() -> None:
    assert {check.id for check in all_checks()} == {mutant.kills for mutant in MUTANTS}
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))


@EACH_PROMPTLY
def test_killed_by_the_check_that_is_meant_for_it(mutant: Mutant, dtype: str) -> None:
    if mutant.kills == "structure.betti":
        pytest.importorskip("gudhi")
    assert_killed(mutant, dtype, seed=0)


@pytest.mark.slow
@EACH
def test_killed_over_twenty_seeds(mutant: Mutant, dtype: str) -> None:
    if mutant.kills == "structure.betti":
        pytest.importorskip("gudhi")
    for seed in range(1, 20):
        assert_killed(mutant, dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["quick", pytest.param("standard", marks=pytest.mark.slow)])
def test_a_whole_check_finds_most_of_them(level: str) -> None:
    """Without being told where to look; those of later levels and of registered specs aside."""
    lives = []
    for mutant in MUTANTS[:: 3 if level == "standard" else 30]:
        check = next(check for check in all_checks() if check.id == mutant.kills)
        if (
            mutant.registered
            or mutant.status == "warned"
            or check.level == "deep"
            or (level == "quick" and check.level == "standard")
        ):
            continue
        report = check_mapping(mutant.what, y_dim=mutant.y_dim, level=level, skip=["thm1.inequality", "deploy.compile"])
        if report.ok and mutant.kills not in ("thm1.inequality", "deploy.compile"):
            lives.append(mutant.name)
    assert lives == []
