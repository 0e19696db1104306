"""A declared place is drawn where it meets the plane, and nowhere else."""

import pytest

from intel_core import Locus


def test_places_in_a_plane():
    from intel_cli.pictures.carried import place_in

    assert place_in((0, 1), Locus((2, 3), (0.0, 0.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1, 2), (0.0, 0.0, 1.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 2), (0.0, 0.0), ((0.6, 0.8),)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1), (9.0, 0.0), ((1.0, 0.0),)), 4.0) is None
    assert place_in((0, 1), Locus((1, 0, 2), (1.0, 2.0, 0.0)), 4.0).tolist() == [[2.0, 1.0]]
    ray = place_in((3, 1), Locus((1, 3), (0.0, 0.0), ((0.6, 0.8),)), 4.0)
    assert ray[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    assert ray[-1].tolist() == pytest.approx([4.0, 3.0], abs=1e-9)


def test_cones_in_a_plane():
    from intel_cli.pictures.carried import place_in

    # A quarter of a plane, between (0.8, 0, 0.6) and (0.8, 0, -0.6): where y2 = 0, the ray along y0.
    corner = ((0.8, 0.0, 0.6), (0.8, 0.0, -0.6))
    ray = place_in((0, 1), Locus((0, 1, 2), (1.0, 0.5, 0.0), corner), 4.0)
    assert ray[0].tolist() == pytest.approx([1.0, 0.5], abs=1e-9)
    assert ray[-1].tolist() == pytest.approx([4.0, 0.5], abs=1e-9)
    # If it begins beside the plane, it meets it further out, or not at all.
    ray = place_in((0, 1), Locus((0, 1, 2), (1.0, 0.5, 0.6), corner), 4.0)
    assert ray[0].tolist() == pytest.approx([1.8, 0.5], abs=1e-9)
    away = ((0.8, 0.0, 0.6), (0.6, 0.0, 0.8))
    assert place_in((0, 1), Locus((0, 1, 2), (1.0, 0.5, 0.6), away), 4.0) is None
