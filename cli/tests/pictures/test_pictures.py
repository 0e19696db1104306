"""Pictures are there, of a sane size and not blank, for every sort of data and latent."""

import numpy as np
import pytest
import torch
from matplotlib import image as reader

NAMES = ("samples.png", "reconstructions.png", "latent.png")


def ink(path):
    """The picture's height and width in dots, and the share of dots that are not white."""
    pixels = reader.imread(path)[..., :3]
    return *pixels.shape[:2], float((pixels < 0.95).any(-1).mean())


@pytest.mark.promptly("toy_points --latent 1", "toy_wide --latent 4 --mapping halves", "toy_images --latent 2")
@pytest.mark.parametrize(
    "args",
    [
        ("toy_points", "--mapping", "halves"),
        ("toy_points", "--latent", "1"),
        ("toy_points", "--latent", "1", "--mapping", "halves"),
        ("toy_line", "--latent", "2", "--mapping", "halves"),
        ("toy_space", "--latent", "3", "--mapping", "halves:dims=1-2"),
        ("toy_wide", "--latent", "4", "--mapping", "halves"),
        ("toy_images", "--latent", "2"),
        ("toy_images", "--latent", "5", "--mapping", "halves:dims=[1,3]", "--mapping", "identity"),
    ],
    ids=" ".join,
)
def test_every_sort_of_data_and_latent(ok, tiny, args):
    ok("train", "--data", *args, *tiny, "--quiet", "--run-dir", "run")
    for name in NAMES:
        height, width, share = ink(f"run/{name}")
        assert 150 <= height <= 2000, name
        assert 300 <= width <= 2000, name
        assert share > 0.005, name


def test_pictures_are_the_same_each_time(trained, here):
    from intel_cli.pictures import save_latent

    from intel_core import load_run

    run = load_run(trained / "points")
    for name in ("a.png", "b.png"):
        save_latent(here / name, run, run.dataset())
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(trained, here):
    import matplotlib as mpl
    from intel_cli.pictures import draw_all

    from intel_core import load_run

    before = dict(mpl.rcParams)
    run = load_run(trained / "points")
    draw_all(run, run.dataset())
    assert dict(mpl.rcParams) == before


def test_the_plane_shown_is_the_one_that_the_mapping_acts_on():
    from intel_cli.pictures.latent import plane_of

    from intel_core import load_mapping

    mean = torch.zeros(50, 6)
    mean[:, 4] = torch.linspace(-1, 1, 50)
    mean[:, 1] = torch.linspace(-2, 2, 50)
    assert plane_of(load_mapping("identity", 6), mean) == (1, 4)
    assert plane_of(load_mapping("halves:dims=[5,2,0]", 6), mean) == (5, 2)
    assert plane_of(load_mapping("identity:dims=[2,3]", 6), mean) == (2, 3)
    assert plane_of(load_mapping("identity", 1), mean[:, :1]) == (0,)


class Thirds:
    """Three sectors; no module, and the border is steep."""

    y_dim = z_dim = 2
    n_clusters = 3

    def __call__(self, y):
        return y

    def assign(self, y):
        return (torch.atan2(y[..., 1], y[..., 0]).remainder(2 * torch.pi) / (2 * torch.pi / 3)).long().clamp(max=2)

    def proportions(self):
        return torch.full((3,), 1 / 3)


def test_seams_are_exact():
    from intel_cli.pictures.seams import label_places, regions, seams

    areas = regions(Thirds(), (0, 1), 2, (0, 1), 4.0)
    points = torch.cat(seams(areas))
    angle = torch.atan2(points[:, 1], points[:, 0])[points.norm(dim=-1) > 0.1]
    nearest = (
        (angle.unsqueeze(-1) - torch.tensor([0.0, 1, -1], dtype=torch.float64) * 2 * torch.pi / 3).abs().min(-1).values
    )
    assert len(points) > 500
    assert float(nearest.max()) < 1e-9
    places = label_places(areas, 3.0)
    assert set(places) == {0, 1, 2}
    assert all(int(Thirds().assign(torch.tensor(place))) == k for k, place in places.items())


def test_a_mapping_that_is_no_module_is_drawn(here):
    from intel_cli.pictures.latent import latent_panels
    from intel_cli.pictures.style import save

    save(latent_panels(Thirds(), torch.randn(50, 2), None, ()), here / "latent.png")
    assert ink(here / "latent.png")[2] > 0.01


def test_unused_class_names_and_unnamed_labels(here):
    from intel_cli.pictures.latent import latent_panels

    from intel_core import load_mapping

    made = latent_panels(
        load_mapping("identity", 2), torch.randn(9, 2), torch.tensor([0, 0, 0, 7, 7, 7, 2, 2, 2]), ("a",)
    )
    names = [text.get_text() for text in made.legends[0].get_texts()]
    assert names[:3] == ["a", "2", "7"]


def test_many_classes_are_told_apart():
    from intel_cli.pictures.style import class_style

    for classes in (2, 8, 10, 20):
        styles = {tuple(class_style(i, classes).values()) for i in range(classes)}
        assert len(styles) == classes


def test_images_of_other_channels_and_real_values():
    from intel_cli.pictures.images import image_grid, image_pairs, tile

    for channels in (1, 2, 3):
        x = torch.randn(5, channels, 6, 10)
        image_grid(x, "real")
        image_pairs(x, x, "real")
    sheet = tile(np.zeros((3, 4, 4, 3)), columns=2)
    assert sheet[5:, 5:].min() == 1  # the place of a missing fourth image is white


def test_samples_without_the_training_data(here):
    from intel_cli.pictures import save_samples

    for width in (1, 2, 3, 5):
        save_samples(here / "s.png", torch.randn(40, width), None, support="real")
        assert ink(here / "s.png")[2] > 0.005


def test_a_picture_that_cannot_be_written(here):
    from intel_cli.pictures.style import figure, save

    from intel_core import RunError

    with pytest.raises(RunError, match="cannot be written"):
        save(figure(1, 1), here / "nowhere" / "x.png")
