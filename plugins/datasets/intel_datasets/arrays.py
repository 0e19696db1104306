"""How are NumPy files read? Never unpickled; an .npy file is mapped into memory instead of copied."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from intel_core.data.dataset import Dataset, Examples
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import check_examples, make_dataset
from intel_datasets.files import check_suffix, encode_labels, find_path

if TYPE_CHECKING:
    from intel_datasets.spec import ArraysSpec

__all__ = ["examples", "load", "read_npy", "read_npz"]

_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, KeyError, zipfile.BadZipFile, zlib.error)
Array = np.ndarray[Any, Any]


def load(spec: ArraysSpec, data_dir: Path | None) -> Dataset:
    """The arrays that the spec names, checked and split.

    Raises:
        DataError: if a file is missing, is not of numbers, or does not fit.

    >>> import os, tempfile
    >>> from intel_core.components.spec import parse_spec
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "x.npy"), np.random.default_rng(0).normal(size=(50, 3)))
    ...     data = load(parse_spec("datasets", "arrays:path=x.npy"), Path(folder))
    >>> data.x_shape, data.support
    ((3,), 'real')
    """
    name, x, labels = _read(spec, data_dir)
    examples = check_examples(name, x)
    names: tuple[str, ...] = ()
    if labels is not None:
        labels, names = encode_labels(name, labels, len(examples))
    return make_dataset(
        name,
        examples,
        labels,
        validation=spec.validation,
        test=spec.test,
        split_seed=spec.split_seed,
        class_names=names,
    )


def examples(spec: ArraysSpec, data_dir: Path | None) -> Examples:
    """The arrays that the spec names as they are.

    Raises:
        DataError: if a file is missing, or is not of numbers.
    """
    name, x, labels = _read(spec, data_dir)
    if x.dtype.kind not in "buif":
        raise DataError(f"{name}: values are of type {x.dtype}, expected numbers")
    values = torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.float64))
    if labels is None:
        return Examples(values)
    numbers, names = encode_labels(name, labels, len(x))
    return Examples(values, torch.from_numpy(numbers), names)


def _read(spec: ArraysSpec, data_dir: Path | None) -> tuple[str, Array, Array | None]:
    """The file's name, and the examples and labels in it."""
    path = find_path("arrays", spec.path, data_dir)
    labels: Array | None = None
    if check_suffix("arrays", path, [".npy", ".npz"]) == ".npz":
        x, labels = read_npz(path, spec.key, spec.labels_key)
    else:
        given = "key" if spec.key is not None else "labels_key"
        if spec.key is not None or spec.labels_key is not None:
            raise DataError(f"arrays: {given} is for .npz files, {path.name} holds just one array; leave {given} out")
        x = read_npy(path)
    if spec.labels is not None:
        labels_path = find_path("arrays", spec.labels, data_dir)
        check_suffix("arrays", labels_path, [".npy"])
        labels = read_npy(labels_path)
    return path.name, x, labels


def read_npy(path: Path) -> Array:
    """The array of an .npy file, mapped copy-on-write: only what is used is read, and the file never changes.

    Raises:
        DataError: if the file is not an array of numbers or words.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "x.npy"), np.arange(3))
    ...     read_npy(Path(folder) / "x.npy").tolist()
    [0, 1, 2]
    """
    try:
        found = np.load(path, mmap_mode="c", allow_pickle=False)
    except _UNREADABLE as error:
        raise _unreadable(path.name, error) from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise DataError(f"arrays: {path.name} is an .npz archive by content; rename it to {path.stem}.npz")
    return found


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


def _unreadable(what: str, error: BaseException) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "pickle" in reason or "Python objects" in reason:
        return DataError(
            f"arrays: {what} is not an array of numbers; pickled objects are never loaded, as they "
            "can run code. Save it again with np.save(path, x.astype('float32'))"
        )
    return DataError(f"arrays: {what} cannot be read: {reason}")
