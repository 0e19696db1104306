"""How do encodings become a table? A column for each number, in a frame of the user's own library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intel_core.data.dataset import Split
from intel_core.errors import EnvironmentProblem
from intel_core.reading.inputs import frame_of, options_like, reader_of

__all__ = ["columns_of", "frame_maker", "write_parquet"]

Array = np.ndarray[Any, Any]


def columns_of(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Named arrays of one length as columns: ``y0, y1, …`` of ``y`` with several dimensions, or ``cluster`` with one.

    >>> {name: column.tolist() for name, column in columns_of({"y": np.eye(2), "cluster": np.arange(2)}).items()}
    {'y0': [1.0, 0.0], 'y1': [0.0, 1.0], 'cluster': [0, 1]}
    """
    columns: dict[str, Array] = {}
    for name, array in arrays.items():
        flat = array.reshape(len(array), -1)
        keys = [f"{name}{i}" for i in range(flat.shape[1])] if array.ndim > 1 else [name]
        columns |= {key: flat[:, i] for i, key in enumerate(keys)}
    return columns


def frame_maker(given: Any, like: str = "") -> Callable[[Mapping[str, Any]], Any]:
    """What makes a data frame of columns about the rows of an object: of its library and with its index, if it has any.

    Args:
        given: what was encoded.
        like: the reader of the training data, as a run keeps it.
    """
    reader = None if isinstance(given, Split) else reader_of(given, options_like(given, like))
    return frame_of if reader is None else lambda columns: reader.frame(given, columns)


def write_parquet(columns: Mapping[str, Array], path: Path) -> None:
    """Write columns of one length to a .parquet file.

    Raises:
        EnvironmentProblem: if no library that writes such files is installed.
        OSError: if the file cannot be written.
    """
    import narwhals

    for library in ("pyarrow", "polars"):
        try:
            frame = narwhals.from_dict(dict(columns), backend=library)
        except ImportError:
            continue
        frame.write_parquet(str(path))
        return
    raise EnvironmentProblem("a .parquet file needs pyarrow or polars: pip install pyarrow")
