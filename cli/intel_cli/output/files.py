"""How are arrays written to a file? By its suffix."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intel_core.errors import DataError, RunError, SpecError, did_you_mean
from intel_core.evaluation.encoding_table import columns_of, write_parquet

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.evaluation.run import Run

__all__ = ["save_arrays", "save_examples", "save_rows", "suffix_of"]

_OF_ROWS = ("names", "labels", "class_names", "splits", "rows")
"""Arrays that say what the rows are, and come first in a table."""

_MOST_PICTURED = 10_000


def suffix_of(path: Path, known: tuple[str, ...]) -> str:
    """The suffix of a file that is to be written.

    Raises:
        SpecError: if no such file can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in known:
        raise SpecError(f"{str(path)!r} has no suffix that can be written{did_you_mean(suffix, known, say='suffixes')}")
    return suffix


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write named arrays to an .npz file.

    Raises:
        RunError: if the file cannot be written.
    """
    try:
        with _whole(path) as place, place.open("wb") as stream:
            np.savez(stream, **arrays)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def save_rows(path: Path, arrays: dict[str, Any]) -> None:
    """Write named arrays of one length to a .csv or .parquet file, a column for each of their dimensions: ``mean0, …``.

    An array of one number for each row is one column of its own name. Names of the rows come first, then their parts of
    the split, their numbers in the data, and labels, as the names of their classes where those are among the arrays.

    Raises:
        RunError: if the file cannot be written.
        EnvironmentProblem: if no library that writes .parquet files is installed.
    """
    columns = _about_rows(arrays) | columns_of({name: of for name, of in arrays.items() if name not in _OF_ROWS})
    try:
        with _whole(path) as place:
            if path.suffix.lower() == ".parquet":
                write_parquet({_utf8(name): _plain(column) for name, column in columns.items()}, place)
                return
            with place.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def _about_rows(arrays: dict[str, Any]) -> dict[str, Any]:
    """What the rows are, one column each."""
    words = {"name": "names", "split": "splits", "row": "rows"}
    columns = {word: arrays[name] for word, name in words.items() if name in arrays}
    if "labels" in arrays:
        classes, labels = arrays.get("class_names", ()), arrays["labels"]
        # -1 where a label is missing
        named = np.array([str(classes[label]) if label >= 0 else "" for label in labels]) if len(classes) else labels
        columns["label"] = named
    return columns


def _plain(column: Any) -> Any:
    """A column whose words are in UTF-8."""
    return np.array([_utf8(word) for word in column.tolist()]) if column.dtype.kind == "U" else column


def _utf8(word: str) -> str:
    return word.encode("utf-8", "backslashreplace").decode()


def _cells(column: Any) -> list[str]:
    """Numbers with nine digits, which float32 needs, and words as they are."""
    return [f"{value:.9g}" for value in column] if column.dtype.kind == "f" else [str(value) for value in column]


def save_examples(run: Run, x: Tensor, path: Path) -> None:
    """Write examples, as a picture or as numbers.

    Raises:
        RunError: if the file cannot be written.
        SpecError: if there are too many for one picture.
    """
    suffix, array = path.suffix.lower(), x.numpy()
    if suffix == ".npz":
        save_arrays(path, {"x": array})
        return
    try:
        with _whole(path) as place:
            if suffix == ".png":
                _picture(run, x, place)
            elif suffix == ".npy":
                np.save(place, array)
            else:
                rows = array.reshape(len(array), -1)
                names = run.info["data"].get("columns") or [f"x{i}" for i in range(rows.shape[1])]
                header = io.StringIO()
                csv.writer(header, lineterminator="").writerow(names)
                with place.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                    np.savetxt(stream, rows, delimiter=",", header=header.getvalue(), comments="", fmt="%.9g")
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary name with the same suffix; the file gets its own name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix.lower()}")
    temporary.unlink(missing_ok=True)  # a link of that name, in a directory from a stranger, is not written through
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _picture(run: Run, x: Tensor, path: Path) -> None:
    from intel_cli.pictures import save_samples

    if len(x) > _MOST_PICTURED:
        raise SpecError(f"{len(x):,} examples are too many for one picture; write them to a .npy file")
    try:
        dataset = run.dataset(None)
    except DataError:
        dataset = None  # then the picture shows no training data beside the samples
    save_samples(path, x, dataset, support=run.info["data"]["support"])
