"""Do the texts of a comparison agree with its verdicts?"""

from __future__ import annotations

import pytest
from intel_cli.output.comparison import as_json, as_markdown

from intel_core.evaluation.comparing import Cell, Comparison, Row, SeedTest


class _Group:
    def __init__(self, name: str) -> None:
        self.name, self.runs, self.again = name, [_Run(0), _Run(1)], []


class _Run:
    def __init__(self, seed: int) -> None:
        self.seed, self.path = seed, f"run-{seed}"


@pytest.mark.parametrize(("alone", "shown"), [(0.0497, "0.0497"), (0.04, "0.04")])
def test_a_p_value_that_passes_alone_is_shown_below_the_level(alone: float, shown: str) -> None:
    test = SeedTest("Welch's t-test", -1.0, 0.4, (-2.0, 0.0), alone, 3 * alone, "test", 3)
    cells = (
        Cell(1.0, 0.1, (0.9, 1.1), None, "reference"),
        Cell(0.0, 0.1, (-0.1, 0.1), test, "not significant after correction"),
    )
    groups = (_Group("a"), _Group("b"))
    comparison = Comparison(groups, (Row("test", "elbo", "nats", "higher", cells),), 0.05, 1)  # type: ignore[arg-type]
    assert f"alone {shown}; 3 tests" in as_markdown(comparison)
    assert as_json(comparison)["rows"][0]["cells"][1]["test"]["p_alone"] == alone
