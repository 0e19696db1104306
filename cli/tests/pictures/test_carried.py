"""A declared place is drawn where it meets the plane, and nowhere else."""

import pytest

from intel_core import Locus


def test_places_in_a_plane():
    from intel_cli.pictures.carried import place_in

    assert place_in((0, 1), Locus((2, 3), (0.0, 0.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1, 2), (0.0, 0.0, 1.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 2), (0.0, 0.0), (0.6, 0.8)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1), (9.0, 0.0), (1.0, 0.0)), 4.0) is None
    assert place_in((0, 1), Locus((1, 0, 2), (1.0, 2.0, 0.0)), 4.0).tolist() == [[2.0, 1.0]]
    ray = place_in((3, 1), Locus((1, 3), (0.0, 0.0), (0.6, 0.8)), 4.0)
    assert ray[-1].tolist() == pytest.approx([4.0, 3.0], abs=0.01)
