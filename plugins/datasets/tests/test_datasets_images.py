"""Are folders of images read as pixels and classes, or refused with a reason?"""

import numpy as np
import pytest
import torch
from intel_datasets.images import read_image
from PIL import Image

from intel_core import DataError

RNG = np.random.default_rng(0)


def noise(height, width, channels=3):
    shape = (height, width, channels) if channels == 3 else (height, width)
    return Image.fromarray(RNG.integers(0, 256, shape).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        noise(6, 8).save(tmp_path / f"{i}.png")
    return tmp_path


def test_pixels_are_kept_as_bytes_in_channel_first_order(folder, load):
    data = load(f"images:path={folder}")
    assert (data.x_shape, data.train.x.dtype, data.support) == ((3, 6, 8), torch.uint8, "unit")
    loaded = {bytes(x.numpy().tobytes()) for part in (data.train, data.validation, data.test) for x in part.x}
    original = {np.asarray(Image.open(folder / f"{i}.png")).transpose(2, 0, 1).tobytes() for i in range(10)}
    assert loaded == original
    assert data.train.labels is None


def test_sub_folders_are_classes_in_sorted_order(tmp_path, load):
    for level, name in ((200, "dog"), (10, "cat")):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for i in range(5):
            Image.new("L", (4, 4), level).save(tmp_path / name / ("deeper" if i else ".") / f"{i}.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / ".hidden" / "x.png")
    data = load(f"images:path={tmp_path},channels=1")
    assert (data.class_names, data.x_shape) == (("cat", "dog"), (1, 4, 4))
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.x[:, 0, 0, 0] == 200, part.labels == 1)


def test_the_centre_is_cut_out_before_resizing(tmp_path):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255  # only the central square is white
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read_image(tmp_path / "wide.png", 1, (5, 5)) == 255).all()
    Image.fromarray(wide.T).save(tmp_path / "tall.png")
    assert (read_image(tmp_path / "tall.png", 1, (5, 5)) == 255).all()


def test_size_is_height_then_width(folder, load):
    assert load(f"images:path={folder},size=[4,2]").x_shape == (3, 4, 2)
    assert load(f"images:path={folder},size=5,channels=1").x_shape == (1, 5, 5)


def test_shrinking_averages_instead_of_picking(tmp_path):
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "checks.png")
    small = read_image(tmp_path / "checks.png", 1, (8, 8)).astype(int)
    assert (abs(small - 127.5) < 8).all()


def test_all_modes_become_grey_or_colour(tmp_path):
    picture = noise(6, 6)
    modes = {"RGB": picture, "L": picture.convert("L"), "P": picture.convert("P"), "1": picture.convert("1")}
    modes |= {"RGBA": picture.convert("RGBA"), "LA": picture.convert("LA")}
    for mode, image in modes.items():
        image.save(tmp_path / f"{mode}.png")
        assert read_image(tmp_path / f"{mode}.png", 3, None).shape == (3, 6, 6)
        assert read_image(tmp_path / f"{mode}.png", 1, None).shape == (1, 6, 6)
    picture.convert("P").save(tmp_path / "t.png", transparency=bytes([0, 128] * 128))
    assert read_image(tmp_path / "t.png", 3, None).shape == (3, 6, 6)


def test_a_photograph_is_turned_upright(tmp_path):
    image = Image.new("RGB", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg", 3, None).shape == (3, 6, 4)


def test_different_sizes_name_two_files_and_their_shapes(folder, load):
    noise(5, 7).save(folder / "odd.png")
    with pytest.raises(DataError, match=r"0.png is 8x6 but odd.png is 7x5 .*size=64"):
        load(f"images:path={folder}")
    assert load(f"images:path={folder},size=4").x_shape == (3, 4, 4)


def cut_short(folder):
    content = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(content[: len(content) // 2])


def not_an_image(folder):
    (folder / "3.png").write_text("hello")


def broken_chunk(folder):
    content = bytearray((folder / "3.png").read_bytes())
    content[20:40] = b"\xff" * 20
    (folder / "3.png").write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_short, r"3.png cannot be read"),
        (not_an_image, r"3.png cannot be read.*remove or replace it"),
        (broken_chunk, r"3.png cannot be read"),
    ],
)
def test_a_spoilt_image_is_named(spoil, message, folder, load):
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        load(f"images:path={folder}")
    assert len(str(caught.value).splitlines()) == 1


def mixed(folder):
    (folder / "cats").mkdir()
    noise(4, 4).save(folder / "cats" / "1.png")
    noise(4, 4).save(folder / "0.png")


def few(folder):
    for i in range(3):
        noise(4, 4).save(folder / f"{i}.png")


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (lambda folder: None, "images:path=.", r"no image in .*; read are .png .jpg"),
        (mixed, "images:path=.", r"both images \(0.png\) and folders of images \(cats\)"),
        (few, "images:path=.", r"3 examples are too few"),
        (mixed, "images:path=cat", r"no folder cat in .*did you mean 'cats'"),
        (mixed, "images:path=0.png", r"0.png is a file, expected a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(make, text, message, tmp_path, monkeypatch, load):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        load(text, None)
