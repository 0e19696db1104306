"""How are NumPy files read? Without unpickling; an .npy file is mapped into memory instead of copied."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import make_dataset
from intel_core.reading.capabilities import Examples
from intel_core.reading.labelling import encode_labels
from intel_core.reading.scale import Standardize
from intel_core.reading.values import read_values
from intel_datasets.files import TENTHS, Shares, check_suffix, find_path

__all__ = ["examples", "load", "names_in", "read_npy", "read_npz"]

_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, KeyError, zipfile.BadZipFile, zlib.error)
Array = np.ndarray[Any, Any]


def load(
    path: str,
    data_dir: Path | None = None,
    *,
    key: str | None = None,
    labels_key: str | None = None,
    labels: str | None = None,
    standardize: Standardize = "auto",
    shares: Shares = TENTHS,
) -> Dataset:
    """The examples and labels of a file, checked and split.

    Args:
        path: an .npy or .npz file.
        data_dir: where a relative path is looked for, after the working directory.
        key: name of the examples in an .npz file; if None, its only array, or the one called ``x``.
        labels_key: name of the labels in the .npz file, or None.
        labels: an .npy file of labels, or None.
        standardize: as in `intel_core.make_dataset`.
        shares: of the validation and test parts.

    Raises:
        DataError: if a file is missing or holds no numbers, or if the labels do not fit the examples.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "x.npy"), np.random.default_rng(0).normal(size=(50, 3)))
    ...     data = load("x.npy", Path(folder))
    >>> data.x_shape, data.support
    ((3,), 'real')
    """
    name, x, words = _read(path, data_dir, key, labels_key, labels)
    numbers, names = (None, ()) if words is None or not x.ndim else encode_labels(name, words, len(x))
    return make_dataset(
        name,
        x,
        numbers,
        validation=shares.validation,
        test=shares.test,
        split_seed=shares.seed,
        class_names=names,
        standardize=standardize,
    )


def examples(
    path: str,
    data_dir: Path | None = None,
    *,
    key: str | None = None,
    labels_key: str | None = None,
    labels: str | None = None,
) -> Examples:
    """The examples and labels of a file in the file's order: bytes stay bytes, other numbers become float64.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        key: as in `load`.
        labels_key: as in `load`.
        labels: as in `load`.

    Raises:
        DataError: if a file is missing or holds no numbers.
    """
    name, x, words = _read(path, data_dir, key, labels_key, labels)
    values = read_values(name, x, torch.float64).x
    values = values.unsqueeze(1) if values.dim() in (1, 3) else values
    if words is None:
        return Examples(values)
    numbers, names = encode_labels(name, words, len(x))
    return Examples(values, torch.from_numpy(numbers), names)


def _read(
    path: str, data_dir: Path | None, key: str | None, labels_key: str | None, labels: str | None
) -> tuple[str, Array, Array | None]:
    """The file's name, the examples, and the labels as they were written."""
    file = find_path("arrays", path, data_dir)
    words: Array | None = None
    if check_suffix("arrays", file, [".npy", ".npz"]) == ".npz":
        x, words = read_npz(file, key, labels_key)
    else:
        given = "key" if key is not None else "labels_key"
        if key is not None or labels_key is not None:
            raise DataError(f"arrays: {given} is for .npz files, {file.name} holds just one array; leave {given} out")
        x = read_npy(file)
    if labels is not None:
        labels_file = find_path("arrays", labels, data_dir)
        check_suffix("arrays", labels_file, [".npy"])
        words = read_npy(labels_file)
    return file.name, x, words


def read_npy(path: Path) -> Array:
    """The array of an .npy file, mapped copy-on-write: only the parts used are read, and the file is never changed.

    Raises:
        DataError: if the file holds no array of numbers or words.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "x.npy"), np.arange(3))
    ...     read_npy(Path(folder) / "x.npy").tolist()
    [0, 1, 2]
    """
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except _UNREADABLE as error:
        raise _unreadable(path.name, error) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"arrays: {path.name} is an .npz archive by content; rename it to {path.stem}.npz")
    return array


def read_npz(path: Path, key: str | None, labels_key: str | None) -> tuple[Array, Array | None]:
    """The examples and, if asked for, the labels of an .npz file; other arrays are not read.

    Args:
        path: the file.
        key: name of the examples; if None, the only array, or the one called ``x``.
        labels_key: name of the labels, or None.

    Raises:
        DataError: if the file or an array cannot be read, or a name is not in it.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(os.path.join(folder, "a.npz"), x=np.ones((2, 2)), digit=np.array([3, 4]))
    ...     x, labels = read_npz(Path(folder) / "a.npz", None, "digit")
    >>> x.shape, labels.tolist()
    ((2, 2), [3, 4])
    """
    try:
        archive = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise _unreadable(path.name, error) from None
    if isinstance(archive, np.ndarray):
        raise DataError(f"arrays: {path.name} is a single array by content; rename it to {path.stem}.npy")
    with archive:
        names = list(archive.files)
        if key is None:
            others = [name for name in names if name != labels_key]
            key = others[0] if len(others) == 1 else "x"
            if key not in names:
                listed = ", ".join(names) or "none"
                raise DataError(f"arrays: {path.name} holds several arrays or none ({listed}); choose one with key=…")
        arrays = []
        for wanted, field in ((key, "key"), (labels_key, "labels_key")):
            if wanted is None:
                continue
            if wanted not in names:
                hint = did_you_mean(wanted, names, say="arrays")
                raise DataError(f"arrays: {path.name} has no array {field}={wanted}{hint}")
            try:
                arrays.append(archive[wanted])
            except _UNREADABLE as error:
                raise _unreadable(f"{wanted} in {path.name}", error) from None
    return arrays[0], arrays[1] if len(arrays) > 1 else None


def names_in(path: str, data_dir: Path | None) -> tuple[str, ...]:
    """Names of the arrays in an .npz file; none for an .npy file.

    Raises:
        DataError: if there is no such file, or it cannot be read.
    """
    file = find_path("arrays", path, data_dir)
    if file.suffix.lower() != ".npz":
        return ()
    try:
        archive = np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise _unreadable(file.name, error) from None
    if isinstance(archive, np.ndarray):  # an .npy file by content, which reading it will say
        return ()
    with archive:
        return tuple(archive.files)


def _unreadable(what: str, error: BaseException) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "pickle" in reason or "Python objects" in reason:
        return DataError(
            f"arrays: {what} is not an array of numbers; pickled objects are never loaded, as they "
            "can run code. Save it again with np.save(path, x.astype('float32'))"
        )
    return DataError(f"arrays: {what} cannot be read: {reason}")
