"""Is every check named and described, and does a higher level include the checks of the lower ones?"""

from __future__ import annotations

from intel_conformance import all_checks
from intel_conformance.catalogue import choose
from intel_conformance.levels import LEVELS


def test_checks_are_named_and_described() -> None:
    everything = all_checks()
    assert len({check.id for check in everything}) == len(everything) > 45
    for check in everything:
        assert check.summary.endswith((".", ".``")) or ":" in check.summary
        assert check.clause.startswith(("contract", "declared", "capability", "transforms"))
        assert check.level in LEVELS


def test_levels_grow() -> None:
    quick, standard, deep = ({check.id for check in choose(level)} for level in LEVELS)
    assert quick < standard < deep
    assert deep == {check.id for check in all_checks()}
