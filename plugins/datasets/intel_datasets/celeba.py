"""Where is CelebA, which of its faces are there, and which attributes do they have?

The files lie as torchvision downloads them: ``celeba/img_align_celeba/*.jpg``, ``celeba/list_eval_partition.txt`` and
``celeba/list_attr_celeba.txt``. A subset is enough: images that are listed but missing are left out.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, did_you_mean
from intel_core.helpers.torchvision_compat import import_with_torchvision
from intel_datasets.decoding import decode
from intel_datasets.downloading import patiently
from intel_datasets.files import find_path
from intel_datasets.streaming import ImageFiles, Stream, dataset_of_images

__all__ = ["Attributes", "attributes", "load", "read_face"]

_IMAGES, _PARTITION, _ATTRIBUTES = "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"
_CUT = 148
_PARTS = ("train", "validation", "test")
Array = np.ndarray[Any, Any]


class Attributes(NamedTuple):
    """The attributes of each image of a data set: 1 where an attribute is present, 0 where it is not.

    Attributes:
        names: of the attributes, 40 in the official file.
        train: uint8 ``(n, 40)``, its rows in the order of the training part that `load` gives.
        validation: the same of the validation part.
        test: the same of the test part.
    """

    names: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor


def load(
    data_dir: Path | None = None,
    *,
    path: str | None = None,
    download: bool = False,
    attribute: str | None = None,
    size: int = 64,
    examples: int | None = None,
    stream: Stream = "auto",
) -> Dataset:
    """Faces as uint8 ``(n, 3, size, size)`` in the official partition, labelled by one attribute if it is given.

    Args:
        data_dir: folder that holds ``celeba`` if `path` is None; by default ``~/.cache/intelvae``.
        path: folder that holds ``celeba``, or None.
        download: let torchvision download the archive if it is missing.
        attribute: name of the attribute by which images are labelled, or None.
        size: height and width, see `read_face`.
        examples: use only the first so many training images.
        stream: whether training images stay on disk, see `intel_datasets.streaming.dataset_of_images`.

    Raises:
        DataError: if files are missing, or an image that is checked here is damaged.
        SpecError: if images that must be in memory do not fit into it.

    >>> load(Path("nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    intel_core.errors.DataError: celeba: img_align_celeba and 2 text files are not in nowhere/celeba; give the ...
    """
    folder = _folder(data_dir, path, download)
    parts = _parts(folder, examples)
    labels: list[Tensor | None] = [None, None, None]
    names: tuple[str, ...] = ()
    if attribute is not None:
        known, table = _read_attributes(folder)
        if attribute not in known:
            hint = did_you_mean(attribute, known, say="attributes")
            raise DataError(f"celeba: {folder / _ATTRIBUTES} has no attribute {attribute!r}{hint}")
        column = known.index(attribute)
        labels = [_rows_of(folder, table, files)[:, column].long() for files in parts]
        names = (f"not {attribute}", attribute)
    read = functools.partial(read_face, size=size)
    every = ImageFiles.of("celeba", folder / _IMAGES, [file for files in parts for file in files], read)
    ends = np.cumsum([len(files) for files in parts])
    rows = np.split(np.arange(ends[-1]), ends[:-1])
    return dataset_of_images(
        "celeba",
        [every.take(part) for part in rows],
        labels,
        stream=stream,
        class_names=names,
        advice="a smaller size=…",
    )


def attributes(
    data_dir: Path | None = None, *, path: str | None = None, download: bool = False, examples: int | None = None
) -> Attributes:
    r"""All attributes of the images of a data set, in the order in which `load` gives them; no image is read.

    Args:
        data_dir: as in `load`.
        path: as in `load`.
        download: as in `load`.
        examples: as in `load`.

    Raises:
        DataError: if files are missing, or do not list the attributes of an image.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     folder = Path(root) / "celeba"
    ...     (folder / "img_align_celeba").mkdir(parents=True)
    ...     for i in range(6):
    ...         _ = (folder / "img_align_celeba" / f"{i}.jpg").write_bytes(b"")
    ...     lines = [f"{i}.jpg {max(0, i - 3)}\n" for i in range(6)]
    ...     _ = (folder / "list_eval_partition.txt").write_text("".join(lines))
    ...     _ = (folder / "list_attr_celeba.txt").write_text(
    ...         "6\nMale Young\n" + "".join(f"{i}.jpg  {(-1) ** i}  1\n" for i in range(6))
    ...     )
    ...     faces = attributes(path=root)
    >>> faces.names, faces.train.tolist(), faces.test.tolist()
    (('Male', 'Young'), [[1, 1], [0, 1], [1, 1], [0, 1]], [[0, 1]])
    """
    folder = _folder(data_dir, path, download)
    names, table = _read_attributes(folder)
    train, validation, test = (_rows_of(folder, table, files) for files in _parts(folder, examples))
    return Attributes(names, train, validation, test)


def read_face(path: Path, size: int) -> Array:
    """One image as uint8 ``(3, size, size)``: its central 148x148 pixels, resized (bilinear, antialiased).

    The result is that of torchvision's ``CenterCrop(148)`` and ``Resize(size)`` on a Pillow image.

    Raises:
        DataError: with the file's name, if it cannot be decoded or is smaller than 148x148.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (178, 218)).save(f"{folder}/a.jpg")
    ...     read_face(Path(f"{folder}/a.jpg"), 64).shape
    (3, 64, 64)
    """

    def fit(image: Image.Image) -> Image.Image:
        if min(image.size) < _CUT:
            raise DataError(
                f"celeba: {path} is {image.width}x{image.height}, smaller than the {_CUT}x{_CUT} cut from it"
            )
        left, top = round((image.width - _CUT) / 2), round((image.height - _CUT) / 2)
        cut = image.crop((left, top, left + _CUT, top + _CUT))
        return cut.resize((size, size), Image.Resampling.BILINEAR)

    return decode("celeba", path, 3, fit)


# --- finding the files --------------------------------------------------------------------------------------


def _missing(folder: Path) -> list[str]:
    there = {_IMAGES: (folder / _IMAGES).is_dir()}
    there |= {file: (folder / file).is_file() for file in (_PARTITION, _ATTRIBUTES)}
    return [name for name, is_there in there.items() if not is_there]


def _folder(data_dir: Path | None, path: str | None, download: bool) -> Path:
    """The folder ``celeba``, complete.

    Raises:
        DataError: if something is missing in it and cannot be downloaded.
    """
    if path is not None:
        root = find_path("celeba", path, data_dir, folder=True)
    else:
        root = data_dir if data_dir is not None else Path.home() / ".cache" / "intelvae"
    folder = root / "celeba"
    if not _missing(root):  # people also name the folder celeba itself
        return root
    missing = _missing(folder)
    if not missing:
        return folder
    what = f"{_IMAGES} and 2 text files are" if len(missing) == 3 else f"{' and '.join(missing)} {_is(missing)}"
    problem = f"celeba: {what} not in {folder}"
    advice = f"give the folder that holds celeba/{_IMAGES} by --data-dir or INTEL_DATA_DIR"
    if not download:
        raise DataError(f"{problem}; {advice}, or download=true (1.4 GB, for non-commercial research only)")
    try:
        with patiently():
            import_with_torchvision("torchvision.datasets").CelebA(root, split="all", download=True)
    except Exception as error:  # torchvision and the network fail in many ways, which are one to the user
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{problem} and cannot be downloaded ({lines[-1][:100]});\n{advice}") from error
    return folder


def _is(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _parts(folder: Path, examples: int | None) -> list[list[str]]:
    """The files of each part that are there, in the order in which the file of the partition lists them.

    Raises:
        DataError: if the file is malformed, or a part has too few images.
    """
    with os.scandir(folder / _IMAGES) as entries:
        there = {entry.name for entry in entries}
    parts: list[list[str]] = [[], [], []]
    for number, line in enumerate(_lines(folder / _PARTITION), start=1):
        words = line.split()
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise DataError(f"celeba: line {number} of {folder / _PARTITION} is {line[:40]!r}, expected 000001.jpg 0")
        if words[0] in there:
            parts[int(words[1])].append(words[0])
    if examples is not None:
        parts[0] = parts[0][:examples]
    for name, files, least in zip(_PARTS, parts, (2, 1, 1), strict=True):
        if len(files) < least:
            raise DataError(f"celeba: {len(files)} images of the {name} part are in {folder / _IMAGES}, too few")
    return parts


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"celeba: {path} cannot be read: {error}") from None


class _Table(NamedTuple):
    """The file of attributes: the row of each image, and uint8 ``(rows, 40)``."""

    row_of: dict[str, int]
    values: Tensor


def _read_attributes(folder: Path) -> tuple[tuple[str, ...], _Table]:
    """Names of the attributes, and which of them each image has."""
    path = folder / _ATTRIBUTES
    lines = _lines(path)
    if len(lines) < 3 or lines[0].strip() != str(len(lines) - 2):
        raise DataError(
            f"celeba: {path} has {max(0, len(lines) - 2)} rows, its first line says otherwise; fetch it again"
        )
    names = tuple(lines[1].split())
    values = np.empty((len(lines) - 2, len(names)), dtype=np.uint8)
    row_of: dict[str, int] = {}
    for row, line in enumerate(lines[2:]):
        file, *said = line.split() or [""]
        if len(said) != len(names) or not {"1", "-1"}.issuperset(said):
            raise DataError(f"celeba: line {row + 3} of {path} is no file and {len(names)} values of 1 or -1")
        values[row] = [word == "1" for word in said]
        row_of[file] = row
    return names, _Table(row_of, torch.from_numpy(values))


def _rows_of(folder: Path, table: _Table, files: list[str]) -> Tensor:
    unknown = next((file for file in files if file not in table.row_of), None)
    if unknown is not None:
        raise DataError(f"celeba: {folder / _ATTRIBUTES} says nothing of {unknown}")
    return table.values[[table.row_of[file] for file in files]]
