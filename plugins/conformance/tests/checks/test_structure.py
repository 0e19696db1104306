"""Does the check of Betti numbers leave clusterings alone?"""

from __future__ import annotations

from intel_conformance import check_mapping


def test_pieces_of_mass_are_no_pieces_of_the_set() -> None:
    """A clustering map is continuous, so its image of a disc is one piece, but draws of it fall into two."""
    (result,) = check_mapping(["circle:eps=0.1", "cluster:k=2"], y_dim=2, only=["structure.betti"]).results
    assert result.status == "not_applicable", result
