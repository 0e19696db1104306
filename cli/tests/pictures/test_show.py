"""The picture of a mapping suits its dimensions and its promises, and says what the mapping does."""

import numpy as np
import pytest
import torch
from matplotlib import image as reader

from intel_core import load_mapping


def figure_of(text, latent, seed=0, points=300):
    from intel_cli.pictures.show import mapping_figure

    return mapping_figure(load_mapping(text, latent), points, seed).figure


def lines_of(axes, **style):
    """The lines of a panel of that style, as arrays without their gaps."""
    found = [line for line in axes.lines if all(getattr(line, f"get_{k}")() == v for k, v in style.items())]
    return [np.asarray(line.get_xydata())[np.isfinite(line.get_xydata()).all(1)] for line in found]


SORTS = {
    "plane": (("halves",), 2),
    "plane without promises": (("identity",), 2),
    "levels of a plane": (("stack",), 2),
    "torn": (("torn",), 2),
    "line": (("halves", "--latent", 1), 3),
    "line undefined in half": (("holey", "--latent", 1), 3),
    "line into a plane": (("wider", "--latent", 1), 3),
    "two clusterings": (("halves:dims=0-1", "halves:dims=2-3", "--latent", 4), 4),
    "composition": (("ring:dims=0-1", "halves:dims=0-1", "--latent", 3), 2),
    "levels": (("stack", "--latent", 4), 6),
    "sparsity": (("keep", "--latent", 6), 3),
    "sparsity on some": (("keep:dims=1-5", "--latent", 7), 3),
    "space": (("ring", "--latent", 3), 2),
    "pairs": (("stack:dims=0-1", "--latent", 3), 2),
    "all pairs": (("identity", "--latent", 3), 6),
    "first two": (("identity", "--latent", 5), 2),
    "undefined in half": (("holey",), 2),
    "undefined": (("nowhere",), 2),
    "undefined space": (("nowhere", "--latent", 3), 2),
    "wider": (("wider",), 2),
    "narrower": (("narrower",), 2),
    "one draw": (("halves", "-n", 1), 2),
}


@pytest.mark.promptly("plane", "two clusterings", "undefined space", "torn")
@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_of_mapping(ok, monkeypatch, sort):
    from intel_cli.pictures import style

    args, panels = SORTS[sort]
    drawn, save = [], style.save
    monkeypatch.setattr(style, "save", lambda made, path: drawn.append(made) or save(made, path))
    ok("show", *args, "-o", "x.png", *(() if "-n" in args else ("-n", 200)))
    assert len(drawn[0].axes) == panels
    pixels = reader.imread("x.png")[..., :3]
    assert 300 <= pixels.shape[0] <= 3000
    assert 1200 <= pixels.shape[1] <= 1600
    assert float((pixels < 0.95).any(-1).mean()) > 0.005


@pytest.mark.slow
def test_titles_are_not_cut_off(ok):
    for args in (("halves",), ("ring", "--latent", 3), ("halves:dims=0-1", "ring:dims=2-3", "--latent", 4)):
        ok("show", *args, "-o", "x.png")
        rim = reader.imread("x.png")[..., :3]
        assert rim[0].min() > 0.99
        assert rim[:, 0].min() > 0.99
        assert rim[-1].min() > 0.99


def test_carried_contours_lie_on_the_image_and_the_centre_is_marked():
    left, right = figure_of("ring", 2).axes
    circles = [line for line in lines_of(left) if len(line) > 100 and np.ptp(np.linalg.norm(line, axis=1)) < 1e-9]
    assert sorted(round(float(np.linalg.norm(line[0]))) for line in circles) == [1, 2, 3]
    carried = [line for line in lines_of(right) if len(line) > 100]
    assert len(carried) == 3 + 12
    for line in carried:
        assert np.abs(np.linalg.norm(line, axis=1)[1:] - 1).max() < 1e-9
    for axes in (left, right):
        (centre,) = lines_of(axes, marker="X")
        assert np.abs(centre).max() == 0


def test_draws_keep_their_colour_and_angle():
    left, right = figure_of("ring", 2).axes
    (before,), (after,) = left.collections, right.collections
    assert np.array_equal(before.get_facecolor(), after.get_facecolor())
    y, z = np.asarray(before.get_offsets()), np.asarray(after.get_offsets())
    assert len(y) == 300
    assert np.allclose(z, y / np.linalg.norm(y, axis=1, keepdims=True))


def test_lines_are_torn_where_g_jumps_and_the_seam_has_two_images():
    left, right = figure_of("torn", 2).axes
    (seam,) = [line for line in left.lines if line.get_linestyle() == "--"]
    assert set(np.asarray(seam.get_ydata()).tolist()) == {0.5}
    images = [line for line in right.lines if line.get_linestyle() == "--"]
    heights = sorted(float(np.nanmean(line.get_ydata())) for line in images)
    assert heights == pytest.approx([0.5, 4.5], abs=1e-5)
    for line in right.lines:
        steps = np.linalg.norm(np.diff(np.asarray(line.get_xydata()), axis=0), axis=1)
        assert np.nanmax(steps, initial=0) < 1


def test_clusters_have_borders_and_shares():
    left, right = figure_of("halves", 2).axes
    assert [text.get_text() for text in left.texts] == ["50%", "50%"]
    assert len(left.collections) == len(right.collections) == 2
    assert left.get_title() == "draws of $y$, coloured by cluster"


def test_a_plane_that_others_have_a_say_in_is_called_a_slice():
    words = [text.get_text() for text in figure_of("ring", 4).legends[0].get_texts()]
    assert "rays (other coordinates 0)" in words
    assert "rays" in [text.get_text() for text in figure_of("ring", 2).legends[0].get_texts()]


def test_levels_are_coloured_by_their_own_coordinate():
    axes = figure_of("stack", 3).axes
    assert [a.get_title() for a in axes[::2]] == [f"draws of $y$, coloured by $y_{{{i}}}$" for i in (1, 2)]
    assert [a.get_ylabel() for a in axes] == ["$y_{1}$", "$z_{1}$", "$y_{2}$", "$z_{2}$"]
    assert not [line for line in lines_of(axes[3]) if len(line) > 100]  # z1 depends on y0, which no line holds


@pytest.mark.promptly(".svg")
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_same_bytes_for_the_same_seed(ok, here, suffix):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.manual_seed(ord(name))  # what others draw changes nothing
        ok("show", "drawn", "--seed", seed, "-n", 50, "-o", f"{name}{suffix}")
    a, b, c = ((here / f"{name}{suffix}").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert {p.name for p in here.iterdir()} == {f"{name}{suffix}" for name in "abc"}


def test_drawing_leaves_the_global_generator_and_the_mapping_alone(ok):
    before = torch.get_rng_state()
    ok("show", "drawn", "-n", 20)
    assert torch.equal(before, torch.get_rng_state())
    mapping = load_mapping("drawn", 2)
    from intel_cli.pictures.show import mapping_figure

    mapping_figure(mapping, 20, 0)
    assert mapping.weight.dtype == torch.float32
    assert mapping.weight.grad is None
