"""Where are MNIST and Fashion-MNIST, and which of their images are for training, validation and testing?"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError
from intel_core.helpers.torchvision_compat import import_with_torchvision
from intel_datasets.downloading import patiently
from intel_datasets.files import find_path
from intel_datasets.selection import in_proportion, labels_of, select_classes, take

__all__ = ["load"]

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_NAMES = {
    "MNIST": tuple("0123456789"),
    "FashionMNIST": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}
_TRAIN, _VALIDATION, _TEST = 5000, 500, 1000  # per class, in the paper's MNIST-01


def load(
    official: Literal["MNIST", "FashionMNIST"],
    data_dir: Path | None = None,
    *,
    path: str | None = None,
    download: bool = True,
    classes: Sequence[int] = (),
    split: Literal["paper", "balanced"] = "paper",
    shares: Sequence[float] = (),
    data_seed: int = 0,
    examples: int | None = None,
    binarize: bool = False,
) -> Dataset:
    """MNIST or Fashion-MNIST as uint8 ``(n, 1, 28, 28)`` with labels ``(n,)``.

    Classes are selected first; then the images are split, thinned to `shares`, and cut to `examples`.

    Args:
        official: name of the class in `torchvision.datasets`.
        data_dir: folder that holds ``MNIST/raw`` if `path` is None; by default ``~/.cache/intelvae``.
        path: folder that holds ``MNIST/raw``, or None.
        download: download missing files.
        classes: labels to keep, relabelled 0, 1, … in this order; all ten if empty.
        split: ``"paper"``: the last twelfth of the official training images is for validation and the official test
            set for testing, 55,000/5,000/10,000 as in the paper. ``"balanced"``: per class the first 5,000 training
            images, the next 500, and up to the first 1,000 test images, as for the paper's MNIST-01 (there are only
            980 zeros to test on).
        shares: proportions of the classes, see `intel_datasets.selection.in_proportion`; unchanged if empty.
        data_seed: seed that chooses which images `shares` leaves out.
        examples: use only the first so many training images.
        binarize: make every pixel 0 or 255, which stands for 1, with the threshold 0.5.

    Raises:
        DataError: if files are missing and cannot be downloaded, are damaged, or a class has too few images.

    >>> load("MNIST", Path("nowhere"), download=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    intel_core.errors.DataError: mnist: train-images-idx3-ubyte and 3 more files are not in nowhere/...
    """
    name = "mnist" if official == "MNIST" else "fashion_mnist"
    root = _root(name, official, path, data_dir)
    _fetch(name, official, root, download)
    rest, test = (select_classes(_read(name, official, root, train=train), classes) for train in (True, False))
    kept = classes or range(10)
    parts = _balanced(name, kept, rest, test) if split == "balanced" else _paper(rest, test)
    train, validation, test = (in_proportion(part, shares, data_seed) for part in parts)
    if examples is not None:
        train = take(train, slice(examples))
    if binarize:
        train, validation, test = (Split(_binary(part.x), part.labels) for part in (train, validation, test))
    names = tuple(_NAMES[official][k] for k in kept)
    return Dataset(name, train, validation, test, support="binary" if binarize else "unit", class_names=names)


def _paper(rest: Split, test: Split) -> tuple[Split, Split, Split]:
    cut = len(rest) - round(len(rest) / 12)
    return take(rest, slice(cut)), take(rest, slice(cut, None)), test


def _balanced(name: str, classes: Sequence[int], rest: Split, test: Split) -> tuple[Split, Split, Split]:
    train, validation, tested = [], [], []
    for index, digit in enumerate(classes):
        rows = (labels_of(rest) == index).nonzero().flatten()
        if len(rows) < _TRAIN + _VALIDATION:
            raise DataError(
                f"{name}: split=balanced needs {_TRAIN + _VALIDATION} training images per class, class "
                f"{digit} has {len(rows)}; choose other classes, or split=paper"
            )
        train.append(rows[:_TRAIN])
        validation.append(rows[_TRAIN : _TRAIN + _VALIDATION])
        tested.append((labels_of(test) == index).nonzero().flatten()[:_TEST])
    parts = ((rest, train), (rest, validation), (test, tested))
    first, second, third = (take(split, torch.cat(rows).sort().values) for split, rows in parts)
    return first, second, third


def _binary(x: torch.Tensor) -> torch.Tensor:
    """255 where ``x / 255`` is at least 0.5, else 0."""
    return (x >= 128).to(torch.uint8) * 255


# --- finding the files --------------------------------------------------------------------------------------


def _missing(root: Path, official: str) -> list[str]:
    return [file for file in _FILES if not (root / official / "raw" / file).is_file()]


def _root(name: str, official: str, path: str | None, data_dir: Path | None) -> Path:
    if path is not None:
        given = find_path(name, path, data_dir, folder=True)
    else:
        given = data_dir if data_dir is not None else Path.home() / ".cache" / "intelvae"
    # People also name the folder MNIST, or MNIST/raw, itself.
    around = {official: given.parent, "raw": given.parent.parent}
    outer = around.get(given.name, given)
    return outer if not _missing(outer, official) else given


def _fetch(name: str, official: str, root: Path, download: bool) -> None:
    missing = _missing(root, official)
    if not missing:
        return
    more = f" and {len(missing) - 1} more files are" if len(missing) > 1 else " is"
    problem = f"{name}: {missing[0]}{more} not in {root / official / 'raw'}"
    advice = f"give the folder that holds {official}/raw by --data-dir or INTEL_DATA_DIR"
    if not download:
        raise DataError(f"{problem} and download=false; {advice}")
    new = [folder for folder in (root, root / official, root / official / "raw") if not folder.exists()]
    try:
        with patiently():
            _official(official)(root, download=True)
    except Exception as error:  # torchvision and the network fail in many ways, which are one to the user
        for folder in reversed(new):
            with contextlib.suppress(OSError):
                folder.rmdir()
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{problem} and cannot be downloaded ({lines[-1][:100]});\n{advice}") from error


def _official(official: str) -> Any:
    """The class of `torchvision.datasets`, which never reads the pickles of torchvision's old format."""
    base = getattr(import_with_torchvision("torchvision.datasets"), official)
    return type(official, (base,), {"_check_legacy_exist": lambda self: False})


def _read(name: str, official: str, root: Path, *, train: bool) -> Split:
    folder = root / official / "raw"
    part = "train" if train else "t10k"
    try:
        x = _numbers(folder / f"{part}-images-idx3-ubyte")
        labels = _numbers(folder / f"{part}-labels-idx1-ubyte")
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: a file in {folder} is damaged ({error}); delete it and fetch it again") from error
    expected = 60_000 if train else 10_000
    if tuple(x.shape) != (expected, 28, 28) or tuple(labels.shape) != (expected,):
        raise DataError(
            f"{name}: {folder} holds images of shape {tuple(x.shape)} and {len(labels)} labels, expected "
            f"({expected}, 28, 28); delete the folder and fetch it again"
        )
    return Split(x.unsqueeze(1), labels.long())


def _numbers(path: Path) -> torch.Tensor:
    """The bytes of a file in the IDX format, in their shape; torchvision, which reads them as well, is slow to import.

    Two zero bytes, the type of the numbers (8: bytes), how many dimensions, the size of each in four bytes, numbers.

    Raises:
        ValueError: if the file is none, or has more or fewer numbers than it says.
    """
    content = bytearray(path.read_bytes())
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is no file of bytes in the IDX format")
    begin = 4 + 4 * content[3]
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, begin, 4)]
    if len(content) - begin != math.prod(shape):
        raise ValueError(f"{path.name} has {len(content) - begin} numbers, expected {math.prod(shape)}")
    return torch.frombuffer(content, dtype=torch.uint8, offset=begin).reshape(shape)
