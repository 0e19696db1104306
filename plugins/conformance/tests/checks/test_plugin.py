"""Are the checks of specs applied to specs that are registered?"""

from __future__ import annotations

from intel_conformance import check_mapping

from intel_core import register
from intel_core.mappings.building import IdentitySpec


def test_a_registered_spec_is_held_to_its_text() -> None:
    register("mappings", "nothing", IdentitySpec)
    report = check_mapping("nothing", only=["plugin.text"])
    assert report.results[0].status == "passed"
