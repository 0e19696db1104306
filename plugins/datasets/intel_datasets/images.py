"""How is a folder of images read? Each file is decoded, cropped, resized and returned as uint8."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from intel_core.compute.memory import require_bytes
from intel_core.data.dataset import Dataset
from intel_core.errors import DataError
from intel_core.reading.capabilities import Examples
from intel_datasets.decoding import Array, Seen, colour_of, decode
from intel_datasets.files import TENTHS, Shares, check_suffix, find_path
from intel_datasets.folders import PARTS, SUFFIXES, Folders, Listing, list_images, readable
from intel_datasets.streaming import ImageFiles, Stream, dataset_of_images

__all__ = ["examples", "load", "names_of_parts", "read_image"]


def load(
    path: str,
    data_dir: Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    background: str = "white",
    folders: Folders = "auto",
    stream: Stream = "auto",
    shares: Shares = TENTHS,
) -> Dataset:
    """The images of a folder, split; if they lie in sub-folders, those are their classes, or the parts of the split.

    If training images are streamed (see `intel_datasets.streaming`), only a sample of them is checked here. What of the
    folder is left out, or was changed to fit, is said in warnings.

    Args:
        path: the folder.
        data_dir: where a relative path is looked for, after the working directory.
        size: height and width, see `read_image`; None leaves all images as they are.
        channels: 1 for grey, 3 for colour.
        background: what transparent images are laid on, see `intel_datasets.decoding.colour_of`.
        folders: what sub-folders mean, see `intel_datasets.folders.list_images`. A part that has no folder is drawn at
            random from the training images, by its share.
        stream: whether training images stay on disk, see `intel_datasets.streaming.dataset_of_images`.
        shares: of the validation and test parts.

    Raises:
        DataError: if there are no images, one cannot be read, or they differ in size and no size is given.
        SpecError: if an image has more than 8 bits per channel.
        EnvironmentProblem: if images that must be in memory do not fit into it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(10):
    ...         Image.new("L", (20, 30), color=20 * i).save(Path(folder) / f"{i}.png")
    ...     data = load(folder, size=(16, 16), channels=1)
    >>> data.x_shape, len(data.train)
    ((1, 16, 16), 8)
    """
    folder = find_path("images", path, data_dir, folder=True)
    listing = list_images(folder, folders)
    name = readable(folder.name) or "images"
    rows = _rows(name, listing, shares, told=folders == "auto")
    seen = Seen()
    images = _files(folder, listing.files, size, channels, background, seen)
    every = None if listing.labels is None else torch.from_numpy(listing.labels)
    data = dataset_of_images(
        name,
        [images.take(part) for part in rows],
        [None if every is None else every[part] for part in rows],
        stream=stream,
        class_names=listing.class_names,
        advice="a size=… or smaller shares validation=… and test=…",
    )
    _say_what_is_left_out(folder, listing)
    seen.say("images", background)
    return data


def examples(
    path: str,
    data_dir: Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    background: str = "white",
    folders: Folders = "auto",
) -> Examples:
    """All images of a folder, or a single one, in the sorted order of the files, whose names are given beside them.

    Args:
        path: a folder, or a file.
        data_dir: as in `load`.
        size: as in `load`.
        channels: as in `load`.
        background: as in `load`.
        folders: as in `load`.

    Raises:
        DataError: as `load`; one image is enough.
        SpecError: as `load`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in (1, 0):
    ...         Image.new("L", (2, 2), color=20 * i).save(Path(folder) / f"{i}.png")
    ...     found = examples(folder, channels=1)
    ...     one = examples(f"{folder}/1.png", channels=1)
    >>> found.x[:, 0, 0, 0].tolist(), found.names, one.names
    ([0, 20], ('0.png', '1.png'), ('1.png',))
    """
    place = find_path("images", path, data_dir, folder=None)
    if place.is_dir():
        folder, listing = place, list_images(place, folders)
    else:
        check_suffix("images", place, SUFFIXES)
        folder, listing = place.parent, Listing([place.name])
    seen = Seen()
    images = _files(folder, listing.files, size, channels, background, seen)
    require_bytes(f"images: {images.shape[0]:,} images", images.size, torch.device("cpu"), "Give some at a time")
    x = images.read(range(images.shape[0]))
    _say_what_is_left_out(folder, listing)
    seen.say("images", background)
    labels = None if listing.labels is None else torch.from_numpy(listing.labels)
    return Examples(x, labels, listing.class_names, names=tuple(map(readable, listing.files)))


def names_of_parts(
    path: str, data_dir: Path | None = None, *, folders: Folders = "auto", shares: Shares = TENTHS
) -> dict[str, tuple[str, ...]]:
    """The file of each image of the parts that `load` makes, in the same order; no image is read.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        folders: as in `load`.
        shares: as in `load`.

    Raises:
        DataError: if there are no images, or too few.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(10):
    ...         _ = (Path(folder) / f"{i}.png").write_bytes(b"")
    ...     names = names_of_parts(folder)
    >>> {part: len(files) for part, files in names.items()}
    {'train': 8, 'validation': 1, 'test': 1}
    """
    folder = find_path("images", path, data_dir, folder=True)
    listing = list_images(folder, folders)
    rows = _rows(readable(folder.name) or "images", listing, shares, told=False)
    names = [tuple(readable(listing.files[row]) for row in part.tolist()) for part in rows]
    return dict(zip(("train", "validation", "test"), names, strict=True))


def _files(
    folder: Path, files: list[str], size: tuple[int, int] | None, channels: int, background: str, seen: Seen
) -> ImageFiles:
    read = functools.partial(read_image, channels=channels, size=size, background=colour_of(background), seen=seen)
    images = ImageFiles.of("images", folder, files, read)
    seen.clear()  # the first file is read again with the others
    return images


def _rows(name: str, listing: Listing, shares: Shares, *, told: bool) -> list[Array]:
    """Row numbers of the training, validation and test part.

    Raises:
        DataError: if there are too few rows, or the folders have no training part.
    """
    if listing.parts is None:
        return [part.numpy() for part in shares.split_rows(name, len(listing.files))]
    rows = [np.flatnonzero(listing.parts == part) for part in range(3)]
    there = [f"{len(part):,} {of_part}" for part, of_part in zip(rows, PARTS, strict=True) if len(part)]
    if not len(rows[0]):
        raise DataError(
            f"images: {name} holds folders named as parts of a split ({', '.join(there)} images), but none for "
            "training; add one, or say folders=classes if they are classes"
        )
    rows, drawn = shares.completed(name, rows, "images")
    if told:
        said = f"images: the folders of {name} are taken as a split ({', '.join(there)} images), not as classes"
        said += f"; {drawn}, {'which have' if ' and ' in drawn else 'which has'} no folder" if drawn else ""
        warnings.warn(f"{said}; folders=classes takes them as classes", stacklevel=3)
    return rows


def _say_what_is_left_out(folder: Path, listing: Listing) -> None:
    if listing.left_out:
        total = sum(listing.left_out.values())
        most = sorted(listing.left_out.items(), key=lambda item: (-item[1], item[0]))[:5]
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in most)
        more = ", …" if len(listing.left_out) > 5 else ""
        warnings.warn(
            f"images: {total:,} of the files in {readable(str(folder))} are no images that are read, and are left out "
            f"({kinds}{more}); read are {' '.join(SUFFIXES)}",
            stacklevel=3,
        )


def read_image(
    path: Path,
    channels: int,
    size: tuple[int, int] | None,
    background: tuple[int, int, int] | None = (255, 255, 255),
    seen: Seen | None = None,
) -> Array:
    """One image as uint8 ``(channels, height, width)``, turned upright as its EXIF data tell.

    With a size, the largest centred box of that aspect ratio is cut out and resized (bilinear, antialiased).

    Raises:
        DataError: with the file's name, if it cannot be decoded, or is transparent where the background is None.
        SpecError: with the file's name, if it has more than 8 bits per channel.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (4, 2), color=(9, 8, 7)).save(Path(folder) / "a.png")
    ...     read_image(Path(folder) / "a.png", 3, None).shape
    (3, 2, 4)
    """

    def fit(image: Image.Image) -> Image.Image:
        return _cut_centre(image, size).resize((size[1], size[0]), Image.Resampling.BILINEAR) if size else image

    return decode("images", path, channels, fit, background, seen)


def _cut_centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred box with the aspect ratio of `size`; cut first, so that resizing sees no pixel outside."""
    height, width = size
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    return image.crop((left, top, left + box_width, top + box_height))
