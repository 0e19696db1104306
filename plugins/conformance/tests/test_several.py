"""Is a mapping that is right in a plane and wrong in three dimensions found, if both are named?"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from intel_conformance import ConformanceError, check_dims
from specimens.mutant import Sound
from specimens.mutants.rows import MeanSubtracted
from torch import Tensor

from intel_core import SpecError


class WrongInThree(Sound):
    """Subtracts a mean of the batch in three dimensions."""

    def forward(self, y: Tensor) -> Tensor:
        return y - y.mean(0) if self.y_dim == 3 else self.sound(y)


def test_each_number_of_dimensions_has_a_report() -> None:
    found = check_dims(WrongInThree, [2, 3, 4], level="quick", only=["rows.permute", "rows.replace_others"])
    assert [(report.y_dim, report.ok) for report in found.reports] == [(2, True), (3, False), (4, True)]
    assert (found.ok, found.exit_code, found.ran) == (False, 1, 6)
    assert found.summary().splitlines()[0] == "2 dimensions: 2 of 2 planned ran: 2 passed"
    with pytest.raises(ConformanceError, match=r"^in 3 dimensions, WrongInThree does not conform"):
        found.raise_if_failed()
    read = json.loads(json.dumps(found.to_json()))
    assert (read["y_dims"], [report["ok"] for report in read["reports"]]) == ([2, 3, 4], [True, False, True])
    suites = ElementTree.fromstring(found.to_junit().encode())
    assert [suite.attrib["failures"] for suite in suites] == ["0", "1", "0"]


def test_a_stop_leaves_the_others_out_and_is_no_pass() -> None:
    found = check_dims(MeanSubtracted, [2, 3], level="quick", only=["rows"], on_fail="stop")
    assert len(found.reports) == 1
    assert not found.ok
    with pytest.raises(ConformanceError):
        check_dims(MeanSubtracted, [2, 3], level="quick", only=["rows"], on_fail="raise")


def test_priors_too() -> None:
    assert check_dims("prior:standard", [1, 3], level="quick", only=["io"]).ok


@pytest.mark.parametrize(
    ("dims", "says"), [([], "expected numbers"), (3, "expected numbers"), ([2, 2], "twice"), ([2, 0], "1 or more")]
)
def test_nonsense(dims: list[int], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_dims("identity", dims)


def test_none_is_checked_if_one_cannot_be_built() -> None:
    seen: list[object] = []
    with pytest.raises(SpecError, match="2 latent dimensions"):
        check_dims("circle", [2, 1], callback=seen.append)
    assert not seen
