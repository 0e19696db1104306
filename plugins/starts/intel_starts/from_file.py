"""How are clusters read from a file of one's own? A column of a table, or an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from intel_core.errors import DataError, did_you_mean
from intel_core.reading.paths import refuse_missing
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from intel_core.data.dataset import Dataset, Split

__all__ = ["FileStartSpec"]

_MOST_BYTES = 2**30
_MOST_CLUSTERS = 4096
_BETWEEN = {".csv": ",", ".tsv": "\t"}
"""What stands between the cells of a table, by the ending of its file; a semicolon in a .csv is noticed."""
_NONE = ("", "na", "n/a", "nan", "null", "none", "?", "-", "-1")
"""What is written for no cluster."""


class FileStartSpec(StartSpec):
    """Clusters that a file names: one number from 0 to K - 1 for each example of the data, in their order.

    An empty cell, ``nan`` or -1 is an example without a cluster. A file with a row for each training example only is
    understood as well, as is a single column without a name. Words instead of numbers are numbered in alphabetical
    order.
    """

    path: Path = Field(description="a .csv, .tsv or .npy file")
    column: str | None = Field(None, description="the column of a table; not needed if there is only one")

    def check(self, dataset: Dataset, clusters: int) -> None:
        """See `StartSpec.check`: the file is read before the training as well."""
        rows, n, parts = len(self._numbers()), len(dataset.train), (dataset.train, dataset.validation, dataset.test)
        numbers = [part.numbers for part in parts if part.numbers is not None and len(part)]
        # Rows of a table may be left out, so that the last one has a number beyond the count.
        every = max([sum(len(part) for part in parts), *(int(of_part.max()) + 1 for of_part in numbers)])
        known = (n,) if dataset.train.numbers is None else (n, every)
        if rows not in known:
            whole = f"{every:,} (all examples) or " if len(known) > 1 else ""
            named = "; if its first line is the name of the column, let it be a word" if rows - 1 in known else ""
            raise DataError(f"{self.path} has {rows:,} rows, expected {whole}{n:,} (the training examples){named}")
        self._of(dataset.train, clusters)

    def find(self, given: StartData) -> FoundClusters:
        """The clusters of the training examples.

        Raises:
            DataError: if the file cannot be read, or holds other than a cluster for each example.
        """
        import torch

        values = self._of(given.train, given.clusters)
        return FoundClusters(torch.from_numpy(values).long(), facts={"file": self.path.name})

    def _numbers(self) -> NDArray[np.int64]:
        return _numbers(self.path.expanduser(), self.column)

    def _of(self, train: Split, clusters: int) -> NDArray[np.int64]:
        """The number of each training example's cluster, -1 for none."""
        values = self._numbers()
        rows, n = train.numbers, len(train)
        if len(values) != n:
            if rows is None or int(rows.max()) >= len(values):
                whole = f" or {int(rows.max()) + 1:,} or more (all examples)" if rows is not None else ""
                raise DataError(f"{self.path} has {len(values):,} rows, expected {n:,} (the training examples){whole}")
            values = values[rows.numpy()]
        if values.max(initial=-1) >= clusters:
            most, from_one = int(values.max()), values[values >= 0].min() == 1
            hint = "are they counted from 1?" if from_one and most == clusters else f"take {most + 1} clusters"
            raise DataError(
                f"{self.path} names cluster {most}, and the mapping has {clusters}: 0 to {clusters - 1}; {hint}"
            )
        if values.max(initial=-1) < 0:
            raise DataError(f"{self.path} names no cluster for any training example; name some, or use start=mixture")
        return values


def _numbers(path: Path, column: str | None) -> NDArray[np.int64]:
    """The number of each row's cluster, int64, -1 for none."""
    import csv

    ending = path.suffix.lower()
    try:
        if not path.is_file():
            refuse_missing(str(path), "starts")
            raise DataError(f"start file {path} {'is a folder' if path.is_dir() else 'does not exist'}")
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"start file {path} is larger than 1 GiB")
        if ending == ".npy":
            if column is not None:
                raise DataError(f"{path} is an array and has no column {column!r}; leave it out")
            return _of_array(path)
        if ending not in _BETWEEN:
            raise DataError(f"start file {path} is none of .csv, .tsv and .npy")
        return _of_table(path, column, _BETWEEN[ending])
    except DataError:
        raise
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8; save it as such") from None
    except (OSError, ValueError, EOFError, csv.Error) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be read: {said[:200]}") from None


def _of_array(path: Path) -> NDArray[np.int64]:
    import numpy as np

    values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iufU":
        held = f"{values.dtype} of shape {list(values.shape)}" if isinstance(values, np.ndarray) else "several arrays"
        raise DataError(f"{path} holds {held}, expected integers [n]")
    if values.dtype.kind == "U":
        words, of_each = np.unique(values, return_inverse=True)
        rows = {str(word): int(np.argmax(of_each == index)) for index, word in enumerate(words)}
        found: NDArray[np.int64] = np.array(list(_clusters(path, rows).values()), dtype=np.int64)[of_each]
        return found
    numbers = np.where(np.isnan(values), -1, values) if values.dtype.kind == "f" else values
    wrong = (numbers < -1) | (numbers > _MOST_CLUSTERS) | (numbers != np.floor(numbers))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(f"{path}: {numbers[first]} in row {first:,} is no cluster, expected 0, 1, … or -1 for none")
    whole: NDArray[np.int64] = numbers.astype(np.int64)
    return whole


def _of_table(path: Path, column: str | None, between: str) -> NDArray[np.int64]:
    import csv
    from array import array

    import numpy as np

    index: dict[str, int] = {}
    rows: dict[str, int] = {}
    of_each = array("q")
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = [cell.strip() for cell in next(csv.reader([file.readline()], delimiter=between), [])]
        if between == "," and len(header) == 1 and ";" in header[0]:
            between, header = ";", [cell.strip() for cell in header[0].split(";")]
        at = _position(path, header, column)
        if at is None:  # no header: the first line is a row
            file.seek(0)
        for number, line in enumerate(csv.reader(file, delimiter=between)):
            if len(line) > len(header) or len(line) < len(header) != 1:
                raise DataError(f"{path}: row {number:,} has {len(line)} cells, its header has {len(header)}")
            word = line[at or 0].strip() if line else ""
            if word.lower() in _NONE:
                word = ""
            if word not in index:
                index[word], rows[word] = len(index), number
                if len(index) > _MOST_CLUSTERS:
                    raise DataError(f"{path} names more than {_MOST_CLUSTERS:,} clusters; is it the right column?")
            of_each.append(index[word])
    if not of_each:
        raise DataError(f"{path} holds no rows below its header")
    of_word = np.array(list(_clusters(path, rows).values()), dtype=np.int64)
    found: NDArray[np.int64] = of_word[np.frombuffer(of_each, dtype=np.int64)]
    return found


def _position(path: Path, header: list[str], column: str | None) -> int | None:
    """Where the column is; None if the only line's only cell is data."""
    if column is None and len(header) == 1:
        return None if _whole(header[0]) is not None else 0
    if not any(header):
        raise DataError(f"{path} holds no rows below its header")
    if column is None:
        raise DataError(f"{path} has {len(header)} columns; say which, e.g. {path.name}:column={header[0]}")
    if header.count(column) != 1:
        many = f"{header.count(column)} columns" if column in header else "no column"
        raise DataError(f"{path} has {many} {column!r}{did_you_mean(column, header, say='columns')}")
    return header.index(column)


def _clusters(path: Path, rows: dict[str, int]) -> dict[str, int]:
    """The number that each word stands for, given the first row of each: its own, or its place in the alphabet."""
    numbers = {word: _whole(word) for word in rows if word}
    strange = [word for word, number in numbers.items() if number is None]
    if len(strange) == len(numbers) and not any(_is_number(word) for word in strange):
        return {word: sorted(numbers).index(word) if word else -1 for word in rows}
    if strange:
        word = strange[0]
        raise DataError(
            f"{path}: {word[:40]!r} in row {rows[word]:,} is no cluster, expected 0, 1, … or -1 for none, or words only"
        )
    return {word: numbers[word] if word else -1 for word in rows}  # type: ignore[misc]  # none is None by now


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _whole(word: str) -> int | None:
    """The whole number that a word is, from -1 on; None if it is none, or too large for a cluster's."""
    if not _is_number(word):
        return None
    number = float(word)
    return int(number) if -1 <= number <= _MOST_CLUSTERS and number == int(number) else None
