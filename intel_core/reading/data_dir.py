"""Where are data files? In the folder that is given, or in that of INTEL_DATA_DIR."""

from __future__ import annotations

import os
from pathlib import Path

from intel_core.errors import DataError

__all__ = [
    "data_dir_or_default",
]


def data_dir_or_default(data_dir: Path | str | None) -> Path | None:
    """The folder with data files: the argument, else ``INTEL_DATA_DIR``, else none.

    Raises:
        DataError: if it is not a folder.
    """
    chosen = data_dir or os.environ.get("INTEL_DATA_DIR")
    if not chosen:
        return None
    path = Path(chosen).expanduser()
    if not path.is_dir():
        source = "the data directory" if data_dir else "INTEL_DATA_DIR"
        raise DataError(f"{source} {str(path)!r} is not a folder")
    return path
