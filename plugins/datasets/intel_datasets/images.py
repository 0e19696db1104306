"""How is a folder of images read? Every file decoded, cropped, resized and kept as uint8."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps

from intel_core.budget import require_bytes
from intel_core.data import Dataset, make_dataset
from intel_core.errors import DataError
from intel_datasets.files import find_path

if TYPE_CHECKING:
    from intel_datasets.spec import ImagesSpec

__all__ = ["list_images", "load", "read_image"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
# Pillow reports damage by all of these, a SyntaxError for a broken PNG included.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
Array = np.ndarray[Any, Any]


def load(spec: ImagesSpec, data_dir: Path | None) -> Dataset:
    """The images of a folder, split; class sub-folders become labels.

    Raises:
        DataError: if there are none, one cannot be read, or they differ in size and no size is given.

    >>> import tempfile
    >>> from intel_core.spec import parse_spec
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(10):
    ...         Image.new("L", (20, 30), color=20 * i).save(Path(folder) / f"{i}.png")
    ...     data = load(parse_spec("datasets", f"images:path={folder},size=16,channels=1"), None)
    >>> data.x_shape, len(data.train)
    ((1, 16, 16), 8)
    """
    folder = find_path("images", spec.path, data_dir, folder=True)
    files, labels, names = list_images(folder)
    first = read_image(files[0], spec.channels, spec.size)
    require_bytes(f"images: {len(files):,} files", 2.0 * len(files) * first.size, torch.device("cpu"), "Give a size=…")
    x = np.empty((len(files), *first.shape), dtype=np.uint8)
    for index, file in enumerate(files):
        image = first if index == 0 else read_image(file, spec.channels, spec.size)
        if image.shape != first.shape:
            sizes = [
                f"{f.relative_to(folder)} is {a.shape[2]}x{a.shape[1]}" for f, a in ((files[0], first), (file, image))
            ]
            raise DataError(f"images: {' but '.join(sizes)} (width x height); give one size for all, e.g. size=64")
        x[index] = image
    return make_dataset(
        folder.name or "images",
        x,
        labels,
        validation=spec.validation,
        test=spec.test,
        split_seed=spec.split_seed,
        class_names=names,
    )


def list_images(folder: Path) -> tuple[list[Path], Array | None, tuple[str, ...]]:
    """Files in sorted order, their labels ``(n,)`` if sub-folders hold them, and the names of the classes.

    Raises:
        DataError: if there are no images, or both images and class folders.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (Path(folder) / name).mkdir()
    ...         _ = (Path(folder) / name / "1.png").write_bytes(b"")
    ...     files, labels, names = list_images(Path(folder))
    >>> labels.tolist(), names
    ([0, 1], ('cat', 'dog'))
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if _is_image(entry)]
    classes = {entry.name: [f for f in sorted(entry.rglob("*")) if _is_image(f)] for entry in entries if entry.is_dir()}
    classes = {name: found for name, found in classes.items() if found}
    if files and classes:
        raise DataError(
            f"images: {folder} holds both images ({files[0].name}) and folders of images "
            f"({next(iter(classes))}); keep either images, or one folder per class"
        )
    if files:
        return files, None, ()
    if not classes:
        raise DataError(f"images: no image in {folder}, nor in its sub-folders; read are {' '.join(_SUFFIXES)}")
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in classes.values()])
    return [file for found in classes.values() for file in found], labels, tuple(classes)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_image(path: Path, channels: int, size: tuple[int, int] | None) -> Array:
    """One image as uint8 ``(channels, height, width)``, upright as its EXIF says.

    With a size, the largest centred box of that aspect is cut out and resized (bilinear, antialiased).

    Raises:
        DataError: naming the file, if it cannot be decoded or has more than 8 bits per channel.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (4, 2), color=(9, 8, 7)).save(Path(folder) / "a.png")
    ...     read_image(Path(folder) / "a.png", 3, None).shape
    (3, 2, 4)
    """
    try:
        with Image.open(path) as image:
            if image.mode in _DEEP:
                raise DataError(f"images: {path} has more than 8 bits per channel (mode {image.mode}); convert it")
            image.load()
            upright = ImageOps.exif_transpose(image)
            if "transparency" in upright.info:
                upright = upright.convert("RGBA")  # Pillow warns about palettes with transparency otherwise
            flat = upright.convert("L" if channels == 1 else "RGB")
            if size is not None:
                flat = _cut_centre(flat, size).resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array: Array = np.asarray(flat, dtype=np.uint8)
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"images: {path} cannot be read: {reason}; remove or replace it") from None
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _cut_centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred box with the aspect of `size`, cut so that nothing outside bleeds in when resizing."""
    height, width = size
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    return image.crop((left, top, left + box_width, top + box_height))
