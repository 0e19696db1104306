"""Is what does not fit into three bytes per pixel laid down, refused or said, and never dropped in silence?"""

import struct
import warnings
import zlib

import numpy as np
import pytest
from intel_datasets.images import read_image
from PIL import Image

from intel_core import DataError, SpecError

RNG = np.random.default_rng(0)


def png(path, array, colour_type):
    """A PNG of 16 bits per channel, of which Pillow writes only grey ones."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in array.astype(">u2"))
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def netpbm(path, magic, most, channels):
    array = RNG.integers(0, most + 1, (4, 4, channels))
    kind = ">u2" if most > 255 else "u1"
    path.write_bytes(b"%s 4 4 %d\n" % (magic, most) + array.astype(kind).tobytes())


def ink(mode):
    """Black where it is opaque: a triangle; hidden colours elsewhere."""
    opaque = np.triu(np.ones((8, 8), bool))
    if mode == "LA":
        layers = [np.where(opaque, 0, RNG.integers(0, 256, (8, 8))), opaque * 255]
        return Image.merge("LA", [Image.fromarray(layer.astype(np.uint8)) for layer in layers])
    if mode == "P":
        image = Image.fromarray(opaque.astype(np.uint8), "P")
        image.putpalette([90, 80, 70, 0, 0, 0])
        return image
    colours = np.where(opaque[..., None], 0, RNG.integers(0, 256, (8, 8, 3)))
    return Image.fromarray(np.dstack([colours, opaque * 255]).astype(np.uint8), "RGBA")


def save(folder, mode, n=6):
    for i in range(n):
        ink(mode).save(folder / f"{i}.png", **({"transparency": 0} if mode == "P" else {}))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("background", "level"), [("white", 255), ("#808080", 128), ("grey", 128)])
def test_transparent_parts_are_laid_on_a_background_and_that_is_said(mode, background, level, tmp_path, load):
    save(tmp_path, mode)
    with pytest.warns(UserWarning, match=rf"6 of 6 images have transparent parts, which were laid on {background};"):
        data = load(f"images:path={tmp_path},background={background}")
    assert (data.train.x == data.train.x[:1]).all()  # hidden colours do not count
    assert np.array_equal(data.train.x[0, 0].numpy(), np.where(np.triu(np.ones((8, 8))), 0, level))


def test_transparent_parts_can_be_refused(tmp_path, load):
    save(tmp_path, "RGBA")
    with pytest.raises(DataError, match=r"\d.png has transparent parts; say background=white"):
        load(f"images:path={tmp_path},background=refuse")


def test_an_opaque_alpha_channel_changes_nothing(tmp_path, load):
    colours = RNG.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    for folder, alpha in (("plain", False), ("alpha", True)):
        (tmp_path / folder).mkdir()
        for i, colour in enumerate(colours):
            layers = np.dstack([colour, np.full((8, 8), 255, np.uint8)]) if alpha else colour
            Image.fromarray(layers).save(tmp_path / folder / f"{i}.png")
    for channels in (1, 3):
        plain, alpha = (load(f"images:path={tmp_path / f},channels={channels}") for f in ("plain", "alpha"))
        assert (plain.train.x == alpha.train.x).all()


@pytest.mark.parametrize("streamed", ["true", "false"])
def test_what_is_not_transparent_everywhere_is_counted(streamed, tmp_path, load):
    save(tmp_path, "RGBA", n=2)
    for i in range(2, 8):
        Image.new("RGB", (8, 8), (9 * i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.warns(UserWarning, match=r"2 of 8 images have transparent parts"):
        load(f"images:path={tmp_path},stream={streamed}")


@pytest.mark.parametrize("background", ["pink", "#12345", "rgb(1,2,3)"])
def test_a_background_that_is_none_is_refused_with_the_choices(background, load):
    with pytest.raises(SpecError, match=r"background="):
        load(f"images:path=x,background={background}".replace("rgb(1,2,3)", '"rgb(1,2,3)"'))


DEEP = {
    "grey.png": lambda path: png(path, RNG.integers(0, 4096, (4, 4, 1)), 0),
    "colour.png": lambda path: png(path, RNG.integers(0, 4096, (4, 4, 3)), 2),
    "grey_alpha.png": lambda path: png(path, RNG.integers(0, 4096, (4, 4, 2)), 4),
    "alpha.png": lambda path: png(path, RNG.integers(0, 4096, (4, 4, 4)), 6),
    "colour.ppm": lambda path: netpbm(path, b"P6", 4095, 3),
    "grey.pgm": lambda path: netpbm(path, b"P5", 4095, 1),
    "nine_bits.ppm": lambda path: netpbm(path, b"P6", 511, 3),
    "grey.tif": lambda path: Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(path),
    "whole.tif": lambda path: Image.fromarray(np.full((4, 4), 40_000, np.int32)).save(path),
    "float.tif": lambda path: Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(path),
}
SHALLOW = {
    "bit.png": lambda path: Image.fromarray(np.eye(4, dtype=bool)).save(path),
    "bit.tif": lambda path: Image.fromarray(np.eye(4, dtype=bool)).save(path),
    "grey.tif": lambda path: Image.new("L", (4, 4), 7).save(path),
    "colour.tif": lambda path: Image.new("RGB", (4, 4), (7, 8, 9)).save(path),
    "grey.pgm": lambda path: netpbm(path, b"P5", 255, 1),
    "four_bits.pgm": lambda path: netpbm(path, b"P5", 15, 1),
    "palette.gif": lambda path: Image.new("P", (4, 4), 3).save(path),
    "colour.bmp": lambda path: Image.new("RGBA", (4, 4), (7, 8, 9, 255)).save(path),
    "photo.jpg": lambda path: Image.new("RGB", (4, 4), (7, 8, 9)).save(path),
    "photo.webp": lambda path: Image.new("RGB", (4, 4), (7, 8, 9)).save(path),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_per_channel_are_refused_in_every_format(name, tmp_path):
    DEEP[name](tmp_path / name)
    with pytest.raises(SpecError, match=rf"{name} has more than 8 bits per channel \(\d+\).*convert it") as caught:
        read_image(tmp_path / name, 3, None)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", SHALLOW)
def test_8_bits_and_fewer_are_read_in_every_format(name, tmp_path):
    SHALLOW[name](tmp_path / name)
    assert read_image(tmp_path / name, 3, None).shape == (3, 4, 4)


def test_the_first_frame_is_read_and_cmyk_converted_and_both_are_said(tmp_path, load):
    frames = [Image.new("L", (8, 8), level) for level in (10, 200)]
    for i in range(3):
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:])
        Image.new("CMYK", (8, 8), (0, 0, 0, 80 * i)).save(tmp_path / f"{i}.jpg")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        data = load(f"images:path={tmp_path},channels=1")
    words = " ".join(str(warning.message) for warning in told)
    assert "3 of 6 images have several frames or pages, of which the first was read" in words
    assert "3 of 6 images are in CMYK" in words
    assert 200 not in data.train.x
