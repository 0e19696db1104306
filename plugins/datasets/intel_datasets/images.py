"""How is a folder of images read? Each file is decoded, cropped, resized and returned as uint8."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from intel_core.data.dataset import Dataset
from intel_core.errors import DataError
from intel_datasets.files import TENTHS, Shares, find_path
from intel_datasets.streaming import ImageFiles, Stream, dataset_of_images

__all__ = ["decode", "list_images", "load", "read_image"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
# Pillow reports damage by all of these, a SyntaxError for a broken PNG included.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
Array = np.ndarray[Any, Any]


def load(
    path: str,
    data_dir: Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    stream: Stream = "auto",
    shares: Shares = TENTHS,
) -> Dataset:
    """The images of a folder, split; if they lie in sub-folders, those are their classes.

    If training images are streamed (see `intel_datasets.streaming`), only a sample of them is checked here.

    Args:
        path: the folder.
        data_dir: where a relative path is looked for, after the working directory.
        size: height and width, see `read_image`; None leaves all images as they are.
        channels: 1 for grey, 3 for colour.
        stream: whether training images stay on disk, see `intel_datasets.streaming.dataset_of_images`.
        shares: of the validation and test parts.

    Raises:
        DataError: if there are no images, one cannot be read, or they differ in size and no size is given.
        SpecError: if images that must be in memory do not fit into it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(10):
    ...         Image.new("L", (20, 30), color=20 * i).save(Path(folder) / f"{i}.png")
    ...     data = load(folder, size=(16, 16), channels=1)
    >>> data.x_shape, len(data.train)
    ((1, 16, 16), 8)
    """
    folder = find_path("images", path, data_dir, folder=True)
    files, labels, names = list_images(folder)
    rows = shares.split_rows(folder.name or "images", len(files))
    images = ImageFiles.of("images", folder, files, functools.partial(read_image, channels=channels, size=size))
    every = None if labels is None else torch.from_numpy(labels)
    return dataset_of_images(
        folder.name or "images",
        [images.take(part.numpy()) for part in rows],
        [None if every is None else every[part] for part in rows],
        stream=stream,
        class_names=names,
        advice="a size=… or smaller shares validation=… and test=…",
    )


def list_images(folder: Path) -> tuple[list[str], Array | None, tuple[str, ...]]:
    """Names of the files in sorted order, relative to the folder; labels ``(n,)`` and names of the classes.

    Labels are None and there are no class names where the files lie in the folder itself.

    Raises:
        DataError: if there are no images, or both images and class folders.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (Path(folder) / name).mkdir()
    ...         _ = (Path(folder) / name / "1.png").write_bytes(b"")
    ...     files, labels, names = list_images(Path(folder))
    >>> files, labels.tolist(), names
    (['cat/1.png', 'dog/1.png'], [0, 1], ('cat', 'dog'))
    """
    # Names are kept as texts: a Path for each of millions of files would take more memory than a streamed run does.
    with os.scandir(folder) as scanned:
        entries = sorted((e for e in scanned if not e.name.startswith(".")), key=lambda entry: entry.name)
    files = [entry.name for entry in entries if _is_image(entry)]
    classes = {entry.name: _below(folder / entry.name, entry.name) for entry in entries if entry.is_dir()}
    classes = {name: of_class for name, of_class in classes.items() if of_class}
    if files and classes:
        raise DataError(
            f"images: {folder} holds both images ({files[0]}) and folders of images "
            f"({next(iter(classes))}); keep either images, or one folder per class"
        )
    if files:
        return files, None, ()
    if not classes:
        raise DataError(f"images: no image in {folder}, nor in its sub-folders; read are {' '.join(_SUFFIXES)}")
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in classes.values()])
    return [file for of_class in classes.values() for file in of_class], labels, tuple(classes)


def _below(folder: Path, prefix: str) -> list[str]:
    """All images in a folder and its sub-folders, sorted by the parts of their names, each with the prefix."""
    images: list[str] = []
    waiting = [(folder, prefix)]
    while waiting:
        place, name = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((place / entry.name, f"{name}/{entry.name}"))
                    elif _is_image(entry):
                        images.append(f"{name}/{entry.name}")
        except PermissionError:
            continue
    return sorted(images, key=lambda file: file.split("/"))


def _is_image(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return name[name.rfind(".") :].lower() in _SUFFIXES and not name.startswith(".") and entry.is_file()


def read_image(path: Path, channels: int, size: tuple[int, int] | None) -> Array:
    """One image as uint8 ``(channels, height, width)``, turned upright as its EXIF data tell.

    With a size, the largest centred box of that aspect ratio is cut out and resized (bilinear, antialiased).

    Raises:
        DataError: with the file's name, if it cannot be decoded or has more than 8 bits per channel.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (4, 2), color=(9, 8, 7)).save(Path(folder) / "a.png")
    ...     read_image(Path(folder) / "a.png", 3, None).shape
    (3, 2, 4)
    """

    def fit(image: Image.Image) -> Image.Image:
        return _cut_centre(image, size).resize((size[1], size[0]), Image.Resampling.BILINEAR) if size else image

    return decode("images", path, channels, fit)


def decode(name: str, path: Path, channels: int, fit: Callable[[Image.Image], Image.Image]) -> Array:
    """An image as uint8 ``(channels, height, width)``: turned upright, then passed through `fit`.

    Raises:
        DataError: with the file's name, if it cannot be decoded or has more than 8 bits per channel.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 2), color=9).save(Path(folder) / "a.png")
    ...     decode("images", Path(folder) / "a.png", 1, lambda image: image.crop((0, 0, 3, 1))).tolist()
    [[[9, 9, 9]]]
    """
    try:
        with Image.open(path) as image:
            if image.mode in _DEEP:
                raise DataError(f"{name}: {path} has more than 8 bits per channel (mode {image.mode}); convert it")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            upright: Image.Image = image
            if "transparency" in upright.info:
                upright = upright.convert("RGBA")  # Pillow warns about palettes with transparency otherwise
            mode = "L" if channels == 1 else "RGB"
            array: Array = np.asarray(fit(upright if upright.mode == mode else upright.convert(mode)), dtype=np.uint8)
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name}: {path} cannot be read: {reason}; remove or replace it") from None
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _cut_centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred box with the aspect ratio of `size`; cut first, so that resizing sees no pixel outside."""
    height, width = size
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    return image.crop((left, top, left + box_width, top + box_height))
