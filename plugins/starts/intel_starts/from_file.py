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


class FileStartSpec(StartSpec):
    """Clusters that a file names: one number from 0 to K - 1 for each example of the data, in their order.

    An empty cell or -1 is an example without a cluster. A file with a line for each training example only is understood
    as well. Other words than numbers are numbered in alphabetical order.
    """

    path: Path = Field(description="a .csv, .tsv or .npy file")
    column: str | None = Field(None, description="the column of a table; not needed if there is only one")

    def check(self, dataset: Dataset, clusters: int) -> None:
        """See `StartSpec.check`: the file is read before the training as well."""
        rows, n, parts = len(self._numbers()), len(dataset.train), (dataset.train, dataset.validation, dataset.test)
        numbers = [part.numbers for part in parts if part.numbers is not None and len(part)]
        # Rows of a table may be left out, so that the last one has a number beyond the count.
        every = max([sum(len(part) for part in parts), *(int(of_part.max()) + 1 for of_part in numbers)])
        if rows not in (n, every):
            raise DataError(
                f"{self.path} has {rows:,} rows, expected {every:,} (all examples) or {n:,} (the training examples)"
            )
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
            raise DataError(
                f"{self.path} names cluster {int(values.max())}, and the mapping has {clusters}: 0 to {clusters - 1}"
            )
        if values.max(initial=-1) < 0:
            raise DataError(f"{self.path} names no cluster for any training example")
        return values


def _numbers(path: Path, column: str | None) -> NDArray[np.int64]:
    """The number of each row's cluster, int64, -1 for none."""
    import numpy as np

    try:
        if not path.is_file():
            refuse_missing(str(path), "starts")
            raise DataError(f"start file {path} {'is a folder' if path.is_dir() else 'does not exist'}")
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"start file {path} is larger than 1 GiB")
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
            if values.ndim != 1 or values.dtype.kind not in "iu":
                raise DataError(f"{path} holds {values.dtype} of shape {list(values.shape)}, expected integers [n]")
            numbers: NDArray[np.int64] = np.maximum(values.astype(np.int64), -1)
            return numbers
        return _of_table(path, column)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0][:200]}") from None


def _of_table(path: Path, column: str | None) -> NDArray[np.int64]:
    import csv

    import numpy as np

    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    if len(lines) < 2:
        raise DataError(f"{path} holds no rows below its header")
    header, body = lines[0], lines[1:]
    if column is None and len(header) != 1:
        raise DataError(f"{path} has {len(header)} columns; say which, e.g. {path.name}:column={header[0]}")
    name = header[0] if column is None else column
    if name not in header:
        raise DataError(f"{path} has no column {name!r}{did_you_mean(name, header, say='columns')}")
    at = header.index(name)
    words = [line[at].strip() if at < len(line) else "" for line in body]
    try:
        numbers = [int(float(word)) if word else -1 for word in words]
    except ValueError:
        known = sorted({word for word in words if word})
        numbers = [known.index(word) if word else -1 for word in words]
    array: NDArray[np.int64] = np.maximum(np.array(numbers, dtype=np.int64), -1)
    return array
