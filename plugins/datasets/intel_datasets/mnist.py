"""Where are MNIST and Fashion-MNIST, and which of their images train, validate and test?"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError
from intel_core.helpers.torchvision_compat import import_with_torchvision
from intel_datasets.downloading import patiently
from intel_datasets.files import find_path
from intel_datasets.selection import in_proportion, labels_of, select_classes, take

if TYPE_CHECKING:
    from intel_datasets.spec import MNISTSpec

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


def load(spec: MNISTSpec, data_dir: Path | None) -> Dataset:
    """MNIST or Fashion-MNIST as uint8 ``(n, 1, 28, 28)`` with labels ``(n,)``.

    Classes are selected first, then split, then thinned to `shares`, then cut to `examples`.
    ``split=paper``: the last twelfth of the official training images validates and the official test set
    tests, 55,000/5,000/10,000 as in the paper. ``split=balanced``: per class the first 5,000 training images,
    the next 500, and up to the first 1,000 test images, as for the paper's MNIST-01 (its zeros have 980).

    Args:
        spec: an `MNISTSpec` or `FashionMNISTSpec`.
        data_dir: folder that holds ``MNIST/raw`` if the spec names none; else ``~/.cache/intelvae``.

    Raises:
        DataError: if files are missing and cannot be downloaded, are damaged, or a class has too few images.

    >>> from intel_core.components.spec import parse_spec
    >>> load(parse_spec("datasets", "mnist:download=false"), Path("nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    intel_core.errors.DataError: mnist: train-images-idx3-ubyte and 3 more files are not in nowhere/...
    """
    name = "mnist" if spec.official == "MNIST" else "fashion_mnist"
    root = _root(name, spec, data_dir)
    _fetch(name, spec, root)
    rest, test = (select_classes(_read(name, spec, root, train=train), spec.classes) for train in (True, False))
    parts = _balanced(name, spec, rest, test) if spec.split == "balanced" else _paper(rest, test)
    train, validation, test = (in_proportion(part, spec.shares, spec.data_seed) for part in parts)
    if spec.examples is not None:
        train = take(train, slice(spec.examples))
    if spec.binarize:
        train, validation, test = (Split(_binary(part.x), part.labels) for part in (train, validation, test))
    names = tuple(_NAMES[spec.official][k] for k in spec.classes or range(10))
    return Dataset(name, train, validation, test, support="binary" if spec.binarize else "unit", class_names=names)


def _paper(rest: Split, test: Split) -> tuple[Split, Split, Split]:
    cut = len(rest) - round(len(rest) / 12)
    return take(rest, slice(cut)), take(rest, slice(cut, None)), test


def _balanced(name: str, spec: MNISTSpec, rest: Split, test: Split) -> tuple[Split, Split, Split]:
    classes = spec.classes or tuple(range(10))
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


def _root(name: str, spec: MNISTSpec, data_dir: Path | None) -> Path:
    if spec.path is not None:
        given = find_path(name, spec.path, data_dir, folder=True)
    else:
        given = data_dir if data_dir is not None else Path.home() / ".cache" / "intelvae"
    # People also name the folder MNIST, or MNIST/raw, itself.
    around = {spec.official: given.parent, "raw": given.parent.parent}
    outer = around.get(given.name, given)
    return outer if not _missing(outer, spec.official) else given


def _fetch(name: str, spec: MNISTSpec, root: Path) -> None:
    missing = _missing(root, spec.official)
    if not missing:
        return
    more = f" and {len(missing) - 1} more files are" if len(missing) > 1 else " is"
    problem = f"{name}: {missing[0]}{more} not in {root / spec.official / 'raw'}"
    advice = f"give the folder that holds {spec.official}/raw by --data-dir or INTEL_DATA_DIR"
    if not spec.download:
        raise DataError(f"{problem} and download=false; {advice}")
    new = [folder for folder in (root, root / spec.official, root / spec.official / "raw") if not folder.exists()]
    try:
        with patiently():
            _official(spec)(root, download=True)
    except Exception as error:  # torchvision and the network fail in many ways; all mean the same to the user
        for folder in reversed(new):
            with contextlib.suppress(OSError):
                folder.rmdir()
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{problem} and cannot be downloaded ({lines[-1][:100]});\n{advice}") from error


def _official(spec: MNISTSpec) -> Any:
    base = getattr(import_with_torchvision("torchvision.datasets"), spec.official)
    # Without this, torchvision would prefer files of its old format, which are pickles, if there are any.
    return type(spec.official, (base,), {"_check_legacy_exist": lambda self: False})


def _read(name: str, spec: MNISTSpec, root: Path, *, train: bool) -> Split:
    folder = root / spec.official / "raw"
    try:
        images = _official(spec)(root, train=train, download=False)
        x, labels = images.data, images.targets
    except Exception as error:  # a damaged file: torchvision answers with an AssertionError, IndexError, …
        raise DataError(f"{name}: a file in {folder} is damaged ({error}); delete it and fetch it again") from error
    expected = 60_000 if train else 10_000
    if tuple(x.shape) != (expected, 28, 28) or tuple(labels.shape) != (expected,):
        raise DataError(
            f"{name}: {folder} holds images of shape {tuple(x.shape)} and {len(labels)} labels, expected "
            f"({expected}, 28, 28); delete the folder and fetch it again"
        )
    return Split(x.unsqueeze(1), labels.long())
