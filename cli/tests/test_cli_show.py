"""A mapping is shown without training: the right picture of it, its promises in words and as JSON, errors in a line."""

import itertools
import json

import numpy as np
import pytest
import torch
from matplotlib import image as reader
from torch import nn

from intel_core import Locus, MappingSpec, Properties, load_mapping, register
from intel_core.components import discovery as plugins


class _Map(nn.Module):
    """A mapping from a function, its promises and the dimensions it takes."""

    def __init__(self, function, y_dim, z_dim=None, **promises):
        super().__init__()
        self.function, self.y_dim, self.z_dim = function, y_dim, z_dim or y_dim
        self.properties = Properties(**promises)

    def forward(self, y):
        return self.function(y)


class Stack(_Map):
    """Each coordinate bent by the one before it."""

    @property
    def levels(self):
        return tuple((i,) for i in range(self.y_dim))


def unit(y):
    return y / y.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class RingSpec(MappingSpec):
    """The unit sphere of as many dimensions as there are."""

    def build(self, y_dim):
        if y_dim < 2:
            raise ValueError(f"a ring needs 2 dimensions, there are {y_dim}")
        centre = Locus(tuple(range(y_dim)), (0.0,) * y_dim)
        betti = (1, *[0] * (y_dim - 2), 1)
        return _Map(unit, y_dim, norm_bound=1.0, injective=True, betti=betti, centres=(centre,))


class StackSpec(MappingSpec):
    """Levels."""

    def build(self, y_dim):
        return Stack(lambda y: y + torch.roll(y, 1, -1).square() * (torch.arange(y_dim) > 0), y_dim)


class KeepSpec(MappingSpec):
    """The largest coordinate alone."""

    def build(self, y_dim):
        return _Map(lambda y: y * (y.abs() == y.abs().amax(-1, keepdim=True)), y_dim, sparsity=(0.9, 1.0))


class TornSpec(MappingSpec):
    """The half planes pulled apart without a bridge."""

    def build(self, y_dim):
        seam = Locus((1,), (0.5,))
        tear = lambda y: torch.cat([y[..., :1], y[..., 1:] + 4 * (y[..., 1:] > 0.5)], dim=-1)  # noqa: E731
        return _Map(tear, y_dim, continuous=False, planes=((0, 1),), seams=(seam,))


class HoleySpec(MappingSpec):
    """Undefined in half of the space, on a line too."""

    def build(self, y_dim):
        return _Map(lambda y: y.log(), y_dim)


class NowhereSpec(MappingSpec):
    """Defined nowhere."""

    def build(self, y_dim):
        return _Map(lambda y: y * torch.nan, y_dim, norm_bound=1.0)


class WiderSpec(MappingSpec):
    """One dimension more."""

    def build(self, y_dim):
        return _Map(lambda y: torch.cat([y, y[..., :1].square()], dim=-1), y_dim, y_dim + 1)


class NarrowerSpec(MappingSpec):
    """The norm alone."""

    def build(self, y_dim):
        return _Map(lambda y: y.norm(dim=-1, keepdim=True), y_dim, 1)


class DrawnSpec(MappingSpec):
    """A random rotation-like matrix that training would change."""

    def build(self, y_dim):
        made = nn.Linear(y_dim, y_dim)
        made.y_dim = made.z_dim = y_dim
        return made


class BigSpec(MappingSpec):
    """For many dimensions only."""

    def build(self, y_dim):
        if y_dim < 40:
            raise ValueError(f"needs 40 dimensions, there are {y_dim}")
        return _Map(lambda y: y, y_dim, planes=tuple((i, i + 1) for i in range(0, 12, 2)))


class HugeSpec(MappingSpec):
    """For more dimensions than are tried."""

    def build(self, y_dim):
        raise ValueError(f"needs 1000 dimensions, there are {y_dim}")


@pytest.fixture(autouse=True)
def _known(here, monkeypatch):
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for spec in (RingSpec, StackSpec, KeepSpec, TornSpec, HoleySpec, NowhereSpec, WiderSpec, NarrowerSpec, DrawnSpec):
        register("mappings", spec.__name__[:-4].lower(), spec)
    register("mappings", "big", BigSpec)
    register("mappings", "huge", HugeSpec)


def figure_of(text, latent, seed=0, points=300):
    from intel_cli.pictures.show import mapping_figure

    return mapping_figure(load_mapping(text, latent), points, seed).figure


def lines_of(axes, **style):
    """The lines of a panel of that style, as arrays without their gaps."""
    found = [line for line in axes.lines if all(getattr(line, f"get_{k}")() == v for k, v in style.items())]
    return [np.asarray(line.get_xydata())[np.isfinite(line.get_xydata()).all(1)] for line in found]


# --- every sort of picture ---------------------------------------------------------------------------------------

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


def test_titles_are_not_cut_off(ok):
    for args in (("halves",), ("ring", "--latent", 3), ("halves:dims=0-1", "ring:dims=2-3", "--latent", 4)):
        ok("show", *args, "-o", "x.png")
        rim = reader.imread("x.png")[..., :3]
        assert rim[0].min() > 0.99
        assert rim[:, 0].min() > 0.99
        assert rim[-1].min() > 0.99


# --- what the picture says ---------------------------------------------------------------------------------------


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


def test_clusters_of_a_later_part_are_carried_back():
    from intel_core import build_mapping, parse_spec
    from intel_core.helpers.parts_of_mapping import clusterings_of, elements, places_of, planes_of

    specs = [parse_spec("mappings", text) for text in ("ring:dims=0-1", "halves:dims=[1,0]", "torn:dims=2-3")]
    mapping = build_mapping(specs, 5)
    assert [part.reads_y for part in elements(mapping)] == [True, False, True]
    assert planes_of(mapping) == [(0, 1), (1, 0), (2, 3)]
    centres, seams = places_of(mapping)
    assert [place.dims for place in (*centres, *seams)] == [(0, 1), (3,)]
    ((clustering, dims),) = clusterings_of(mapping)
    y = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clustering.assign(y[:, list(dims)]), (y[:, 1] > 0).long())
    assert clustering.proportions().tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert clustering.n_clusters == 2


def test_a_product_of_clusters_has_the_shares_of_its_factors():
    from intel_cli.pictures.borders import shares_in
    from intel_cli.pictures.seams import regions

    class Quarters:
        y_dim = z_dim = 4
        n_clusters = 4

        def assign(self, y):
            return 2 * (y[..., 0] > 0).long() + (y[..., 2] > 0.5).long()

        def proportions(self):
            return torch.tensor([0.35, 0.15, 0.35, 0.15])

    assert shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (0, 1), 4.0)) == pytest.approx({0: 0.5, 2: 0.5})
    assert shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (2, 3), 4.0)) == pytest.approx({0: 0.7, 1: 0.3})
    assert len(shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (0, 2), 4.0))) == 4


def test_a_plane_that_others_have_a_say_in_is_called_a_slice():
    words = [text.get_text() for text in figure_of("ring", 4).legends[0].get_texts()]
    assert "rays (other coordinates 0)" in words
    assert "rays" in [text.get_text() for text in figure_of("ring", 2).legends[0].get_texts()]


def test_levels_are_coloured_by_their_own_coordinate():
    axes = figure_of("stack", 3).axes
    assert [a.get_title() for a in axes[::2]] == [f"draws of $y$, coloured by $y_{{{i}}}$" for i in (1, 2)]
    assert [a.get_ylabel() for a in axes] == ["$y_{1}$", "$z_{1}$", "$y_{2}$", "$z_{2}$"]
    assert not [line for line in lines_of(axes[3]) if len(line) > 100]  # z1 depends on y0, which no line holds


def test_places_in_a_plane():
    from intel_cli.pictures.carried import place_in

    assert place_in((0, 1), Locus((2, 3), (0.0, 0.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1, 2), (0.0, 0.0, 1.0)), 4.0) is None
    assert place_in((0, 1), Locus((0, 2), (0.0, 0.0), (0.6, 0.8)), 4.0) is None
    assert place_in((0, 1), Locus((0, 1), (9.0, 0.0), (1.0, 0.0)), 4.0) is None
    assert place_in((0, 1), Locus((1, 0, 2), (1.0, 2.0, 0.0)), 4.0).tolist() == [[2.0, 1.0]]
    ray = place_in((3, 1), Locus((1, 3), (0.0, 0.0), (0.6, 0.8)), 4.0)
    assert ray[-1].tolist() == pytest.approx([4.0, 3.0], abs=0.01)


def test_colours_of_angles_go_round_evenly():
    from intel_cli.pictures.shades import by_angle, by_direction, by_level

    turn = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
    colours = by_angle(torch.stack([turn.cos(), turn.sin()], dim=-1))
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert np.allclose(colours[0], colours[-1])
    assert 0 < steps.max() < 4 * steps.min()
    for made in (colours, by_direction(torch.randn(50, 3)), by_level(torch.randn(50))):
        assert made.shape[1] == 3
        assert made.min() >= 0
        assert made.max() <= 1


# --- the command -------------------------------------------------------------------------------------------------


def test_text_says_what_is_declared_and_no_more(ok, here):
    lines = dict(line.split(None, 1) for line in ok("show", "ring", "--latent", 3).stdout.splitlines())
    assert lines["mapping"] == "ring"
    assert lines["latent"] == "3 dimensions of y, 3 of z"
    assert lines["norm"] == "‖z‖ ≤ 1"
    assert lines["topology"] == "Betti numbers 1, 0, 1: 1 piece, 0 loops, 1 void"
    assert lines["centres"] == "(y0, y1, y2) = (0, 0, 0)"
    assert lines["picture"] == "ring.png"
    assert (here / "ring.png").exists()
    assert {"seams", "sparsity", "clusters", "steepness", "parameters"}.isdisjoint(lines)


@pytest.mark.parametrize(
    ("args", "latent"),
    [
        (["identity"], 2),
        (["halves"], 2),
        (["ring"], 3),  # a surface
        (["halves:dims=4-5"], 6),
        (["halves:dims=3"], 4),
        (["big", "--latent", 40], 40),
        (["big"], 48),
        (["wider", "halves:dims=2"], 2),
    ],
)
def test_default_latent(ok, args, latent):
    told = ok("show", *args, "-o", "x.png").stdout
    assert f"{latent} dimensions of y" in told
    assert ("--latent" in told) == ("--latent" not in args)


def test_json(ok, here):
    found = json.loads(ok("show", "halves:gap=2,dims=0-1", "torn:dims=2-3", "--latent", 5, "--json").stdout)
    assert found["mapping"] == ["halves:gap=2,dims=0-1", "torn:dims=2-3"]
    assert found["run"] is None
    assert (found["y_dim"], found["z_dim"], found["parameters"]) == (5, 5, 0)
    assert found["continuous"] is False
    assert found["clusters"] is None  # a tear keeps none
    assert found["file"] == "halves-gap=2-dims=0-1-torn-dims=2-3.png"
    assert (here / found["file"]).exists()
    found = json.loads(ok("show", "torn", "--json").stdout)
    assert found["seams"] == [{"dims": [1], "point": [0.5], "direction": None}]
    assert found["planes"] == [[0, 1]]
    keys = {"injective", "norm_bound", "betti", "sparsity", "hoelder", "centres", "proportions", "left_out", "seed"}
    assert keys <= set(found)


def test_planes_beyond_four_are_counted(ok):
    assert "2 more planes, for want of room: (y8, y9), (y10, y11)" in ok("show", "big", "--latent", 40).stdout
    assert json.loads(ok("show", "big", "--latent", 40, "--json").stdout)["left_out"] == [[8, 9], [10, 11]]


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


def test_parameters_are_said_to_be_untrained(ok):
    assert "6, untrained" in ok("show", "drawn").stdout


# --- runs --------------------------------------------------------------------------------------------------------


def test_a_run_is_shown_as_trained(ok, trained, here):
    told = ok("show", trained / "points").stdout
    assert f"as trained in {trained / 'points'}" in told
    assert (here / "points-mapping.png").exists()
    found = json.loads(ok("show", trained / "points", "--json", "-o", "x.svg").stdout)
    assert found["run"] == str(trained / "points")
    assert found["mapping"] == ["halves"]


def test_a_run_by_its_name(ok, trained, here):
    (here / "runs").symlink_to(trained)
    assert "as trained in runs/points" in ok("show", "points").stdout


def test_a_mapping_wins_over_a_folder_of_its_name(ok, here):
    (here / "halves").mkdir()
    (here / "halves" / "run.json").write_text("{}")
    assert "as trained" not in ok("show", "halves").stdout


# --- what can go wrong -------------------------------------------------------------------------------------------

NONSENSE = {
    "nothing": ([], "Missing argument"),
    "unknown": (["halvs"], "did you mean 'halves'?"),
    "unknown of a distribution": (["toys/halvs"], "halves"),
    "key": (["halves:gpa=3"], "did you mean 'gap'?"),
    "too small": (["ring", "--latent", "1"], "a ring needs 2 dimensions, there are 1"),
    "no size": (["huge"], "needs 1000 dimensions, there are 128; give --latent"),
    "dims": (["halves:dims=7", "--latent", "3"], "dims=[7]"),
    "no mapping": (["silent"], "returned NoneType"),
    "latent": (["halves", "--latent", "0"], "--latent"),
    "huge": (["halves", "--latent", "100000000"], "--latent"),
    "points": (["halves", "-n", "0"], "--points"),
    "seed": (["halves", "--seed", "-1"], "--seed"),
    "suffix": (["halves", "-o", "x.jpg"], "suffixes: .pdf, .png, .svg"),
    "no suffix": (["halves", "-o", "x"], "no suffix that can be written"),
    "folder": (["halves", "-o", "nowhere/x.png"], "there is no folder 'nowhere'"),
    "no run": (["./nothing"], "is not a run directory"),
    "nobody's home": (["~nobody-at-all"], "no mapping is called"),
    "bytes": (["\x00\x1b[31m:{[\"'"], "no mapping is called"),
    "long": (["a" * 5000], "no mapping is called"),
}


@pytest.mark.parametrize("case", NONSENSE, ids=str)
def test_nonsense(refused, case):
    args, expected = NONSENSE[case]
    refused("show", *args, says=expected)


def test_runs_are_shown_alone(call, trained, here):
    run = trained / "points"
    for args in itertools.permutations(["halves", run]):
        result = call("show", *args)
        assert result.exit_code == 2
        assert f"{str(run)!r} is a run, whose mapping is complete; show it alone, without 'halves'" in result.stderr
    assert "show it alone" in call("show", run, run).stderr
    result = call("show", run, "--latent", "5")
    assert result.exit_code == 2
    assert "has 2 latent dimensions, not 5; leave out --latent" in result.stderr
    assert not list(here.iterdir())


def test_an_error_as_json(call):
    result = call("show", "halvs", "--json")
    assert result.exit_code == 2
    assert "halves" in json.loads(result.stdout)["error"]
