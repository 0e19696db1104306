"""Which images lie in a folder, and what do its sub-folders mean: classes, or the parts of a split?"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from intel_core.errors import DataError

__all__ = ["SUFFIXES", "Folders", "Listing", "list_images", "part_of", "readable"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""Endings of the files that are read, in lower case."""
PARTS = ("training", "validation", "test")
SPLITS = {"train": 0, "training": 0, "test": 2, "testing": 2}
SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev"), 1)
"""Names of folders that stand for a part of the data, in any case."""
_BESIDE = ("set", "data", "split", "images", "image", "imgs", "img")
"""Words that may stand beside such a name, as in train_set."""

Folders = Literal["auto", "classes", "splits"]
Array = np.ndarray[Any, Any]


class Listing(NamedTuple):
    """The images of a folder.

    Attributes:
        files: their names in sorted order, relative to the folder.
        labels: integers ``(n,)``, where they lie in one folder per class.
        class_names: names of the labels.
        parts: 0, 1 or 2 ``(n,)`` for training, validation and testing, where folders are named so.
        left_out: how many files have which other ending.
    """

    files: list[str]
    labels: Array | None = None
    class_names: tuple[str, ...] = ()
    parts: Array | None = None
    left_out: dict[str, int] = {}  # noqa: RUF012


def readable(name: str) -> str:
    r"""A file's name as text that can be stored and shown, whatever bytes the file system has.

    >>> readable("photo.png"), readable(os.fsdecode(b"\xe9t\xe9"))
    ('photo.png', '\\xe9t\\xe9')
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def part_of(name: str) -> int | None:
    """Which part of the data a folder's name stands for: 0, 1 or 2 for training, validation and testing, if any.

    >>> part_of("Train"), part_of("val2017"), part_of("test_set"), part_of("train-station")
    (0, 1, 2, None)
    """
    words = [word for word in re.split(r"[^a-z]+", name.casefold()) if word and word not in _BESIDE]
    return SPLITS.get(words[0]) if len(words) == 1 else None


def list_images(folder: Path, folders: Folders = "auto") -> Listing:
    """The images that lie in a folder, or in its sub-folders.

    Folders that are named train, training, val, valid, validation, dev, test or testing (in any case, also as in
    train2017 and test_set) are the parts of a split, and their sub-folders the classes; other folders are the classes.
    Splits may lie within classes as well.

    Args:
        folder: where to look.
        folders: ``"classes"``: all folders are classes, whatever their names; ``"splits"``: all are parts of a split.

    Raises:
        DataError: if there are no images, both images and folders of images, or folders of which some are named as
            parts of a split and others are not.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (Path(folder) / name).mkdir()
    ...         _ = (Path(folder) / name / "1.png").write_bytes(b"")
    ...     found = list_images(Path(folder))
    >>> found.files, found.labels.tolist(), found.class_names, found.parts
    (['cat/1.png', 'dog/1.png'], [0, 1], ('cat', 'dog'), None)
    """
    # Names are kept as texts: a Path for each of millions of files would take more memory than a streamed run does.
    left_out: Counter[str] = Counter()
    with os.scandir(folder) as scanned:
        entries = sorted((e for e in scanned if not e.name.startswith(".")), key=lambda entry: entry.name)
    of_folder = {e.name: _below(folder / e.name, e.name, left_out) for e in entries if e.is_dir()}
    of_folder = {name: below for name, below in of_folder.items() if below}
    files = [entry.name for entry in entries if not entry.is_dir() and _is_image(entry, left_out)]
    if files and of_folder:
        raise DataError(
            f"images: {folder} holds both images ({files[0]}) and folders of images "
            f"({next(iter(of_folder))}); keep either images, or one folder per class"
        )
    if files:
        return Listing(files, left_out=left_out)
    if not of_folder:
        raise DataError(f"images: no image in {folder}, nor in its sub-folders; read are {' '.join(SUFFIXES)}")
    files = [file for below in of_folder.values() for file in below]
    # Each file's folder, as one text for all files of a folder.
    known: dict[str, str] = {}
    within = [known.setdefault(place, place) for place in (file[: file.rindex("/")] for file in files)]
    ways = {place: place.split("/") for place in known}
    level = None if folders == "classes" else _level_of_splits(folder, list(ways.values()), folders)
    parts = None
    if level is not None:
        _require_one_folder_each(folder, {way[level] for way in ways.values()})
        part_at = {place: part_of(way[level]) for place, way in ways.items()}
        parts = np.fromiter((part_at[place] for place in within), np.int64, len(files))
    class_of = {place: _class_of(way, level) for place, way in ways.items()}
    names = sorted({name for name in class_of.values() if name})
    if not names:
        return Listing(files, None, (), parts, left_out)
    bare = next((place for place, name in class_of.items() if not name), None)
    if bare is not None:
        raise DataError(
            f"images: {folder / bare} holds images, but other parts of the split hold one folder per class "
            f"({names[0]}); lay out all of them alike"
        )
    number = {name: i for i, name in enumerate(names)}
    labels = np.fromiter((number[class_of[place]] for place in within), np.int64, len(files))
    return Listing(files, labels, tuple(map(readable, names)), parts, left_out)


def _level_of_splits(folder: Path, ways: Sequence[Sequence[str]], folders: Folders) -> int | None:
    """Whether folders, or those within them, are named as parts of a split: 0, 1, or None.

    Raises:
        DataError: if only some are.
    """
    for level in (0, 1):
        named = [len(way) > level and part_of(way[level]) is not None for way in ways]
        if all(named):
            return level
        if any(named):
            split, other = ("/".join(ways[named.index(is_named)][: level + 1]) for is_named in (True, False))
            raise DataError(
                f"images: {folder} holds folders named as parts of a split ({split}) and others ({other}); keep one "
                "kind, or say folders=classes if all are classes"
            )
    if folders == "splits":
        raise DataError(f"images: no folder in {folder} is named as a part of a split: {', '.join(SPLITS)}")
    return None


def _require_one_folder_each(folder: Path, names: set[str]) -> None:
    for part, of_part in enumerate(PARTS):
        same = sorted(name for name in names if part_of(name) == part)
        if len(same) > 1:
            raise DataError(
                f"images: {folder} has {len(same)} folders for the {of_part} part ({', '.join(same[:5])}); keep one, "
                "or say folders=classes if they are classes"
            )


def _class_of(way: Sequence[str], level_of_splits: int | None) -> str:
    """The folder that is an image's class; empty if it lies in the folder of a part."""
    if level_of_splits is None or level_of_splits == 1:
        return way[0]
    return way[1] if len(way) > 1 else ""


def _below(folder: Path, prefix: str, left_out: Counter[str]) -> list[str]:
    """All images in a folder and its sub-folders, sorted by the parts of their names, each with the prefix."""
    images: list[str] = []
    waiting = [(folder, prefix)]
    while waiting:
        place, name = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((place / entry.name, f"{name}/{entry.name}"))
                    elif _is_image(entry, left_out):
                        images.append(f"{name}/{entry.name}")
        except OSError as error:
            raise DataError(f"images: {place} cannot be read: {error.strerror}") from None
    return sorted(images, key=lambda file: file.split("/"))


def _is_image(entry: os.DirEntry[str], left_out: Counter[str]) -> bool:
    name = entry.name
    if name.startswith("."):
        return False
    suffix = os.path.splitext(name)[1].lower()
    if suffix in SUFFIXES and entry.is_file():
        return True
    kind = (readable(suffix) or "without an ending") if entry.is_file() else "links or devices"
    left_out[kind] += 1
    return False
