"""What do the pixels of an image file stand for? Bytes, grey or colour, upright, without transparency."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageOps

from intel_core.errors import DataError, SpecError

__all__ = ["Array", "Seen", "colour_of", "decode"]

# Pillow reports damage by all of these, a SyntaxError for a broken PNG included.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_WHITE = (255, 255, 255)
Array = np.ndarray[Any, Any]


class Seen:
    """How many of the images that were decoded had something that does not fit into three bytes per pixel.

    >>> seen = Seen()
    >>> seen.count("read"), seen.count("transparent"), seen.counts["transparent"]
    (None, None, 1)
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """One more."""
        self.counts[what] += 1

    def clear(self) -> None:
        """Begin anew."""
        self.counts.clear()

    def say(self, name: str, background: str) -> None:
        """Warn of what there was, with what became of it."""
        became = {
            "transparent": f"have transparent parts, which were laid on {background}; background=… says another "
            "colour, or refuse",
            "animated": "have several frames or pages, of which the first was read",
            "cmyk": "are in CMYK, and were converted to RGB without a colour profile",
        }
        for what, text in became.items():
            if self.counts[what]:
                warnings.warn(f"{name}: {self.counts[what]:,} of {self.counts['read']:,} images {text}", stacklevel=4)


def colour_of(background: str) -> tuple[int, int, int] | None:
    """Red, green and blue of a colour by its name or as ``#rrggbb``; None for ``refuse``.

    >>> colour_of("grey"), colour_of("#ff8000"), colour_of("refuse")
    ((128, 128, 128), (255, 128, 0), None)
    """
    return None if background == "refuse" else ImageColor.getrgb(background)[:3]


def decode(
    name: str,
    path: Path,
    channels: int,
    fit: Callable[[Image.Image], Image.Image],
    background: tuple[int, int, int] | None = _WHITE,
    seen: Seen | None = None,
) -> Array:
    """An image as uint8 ``(channels, height, width)``: turned upright, laid on a background, then passed to `fit`.

    Args:
        name: of the data set, for messages.
        path: the file.
        channels: 1 for grey, 3 for colour.
        fit: crops and resizes.
        background: what shows through transparent parts; None refuses them.
        seen: counts what had to be changed.

    Raises:
        DataError: with the file's name, if it cannot be decoded, or is transparent and there is no background.
        SpecError: with the file's name, if it has more than 8 bits per channel.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 2), color=9).save(Path(folder) / "a.png")
    ...     decode("images", Path(folder) / "a.png", 1, lambda image: image.crop((0, 0, 3, 1))).tolist()
    [[[9, 9, 9]]]
    """
    seen = seen or Seen()
    try:
        with Image.open(path) as image:
            bits = _bits(image)
            if bits > 8:
                raise SpecError(
                    f"{name}: {path} has more than 8 bits per channel ({bits}), which are not read; convert it to 8 "
                    "bits, or give the numbers as an array (arrays:path=x.npy)"
                )
            seen.count("read")
            # A photograph of a telephone may hold a second picture (MPO), which is no frame of it.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                seen.count("animated")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode == "CMYK":
                seen.count("cmyk")
            upright = _without_alpha(name, path, image, background, seen)
            mode = "L" if channels == 1 else "RGB"
            array: Array = np.asarray(fit(upright if upright.mode == mode else upright.convert(mode)), dtype=np.uint8)
    except (DataError, SpecError):
        raise
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name}: {path} cannot be read: {reason}; remove or replace it") from None
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _bits(image: Image.Image) -> int:
    """Bits per channel in the file, from its header: Pillow drops those beyond 8 in some formats without a word."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        return 32
    if image.mode.startswith("I"):
        return 16
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(258) or (1,))
    for tile in getattr(image, "tile", ()) if image.format in ("PNG", "PPM") else ():
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deepest = max((arg.bit_length() for arg in args if isinstance(arg, int)), default=8)
        if any(";16" in str(arg) for arg in args) or deepest > 8:
            return max(deepest, 16) if image.format == "PNG" else deepest
    return 8


def _without_alpha(
    name: str, path: Path, image: Image.Image, background: tuple[int, int, int] | None, seen: Seen
) -> Image.Image:
    """What is seen of an image that lies on a background; images without transparent parts stay as they are.

    Raises:
        DataError: if there are such parts and no background.
    """
    if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
        return image
    # A palette with transparency is one of RGBA; an image of one channel becomes RGB, of which grey is the same again.
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return layer.convert("RGB")
    if background is None:
        raise DataError(f"{name}: {path} has transparent parts; say background=white or another colour to lay them on")
    seen.count("transparent")
    paper = Image.new("RGBA", layer.size, (*background, 255))
    paper.alpha_composite(layer)
    return paper.convert("RGB")
