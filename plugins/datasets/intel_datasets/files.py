"""Where is the user's file, and how are its rows split?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intel_core.errors import DataError, did_you_mean
from intel_core.reading.paths import READERS, deepest_existing, names_in
from intel_core.reading.splitting import split_rows

__all__ = ["TENTHS", "Shares", "check_suffix", "find_path"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shares:
    """How examples are split at random.

    Attributes:
        validation: share held out for validation.
        test: share held out for testing.
        seed: of the split.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def split_rows(self, name: str, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Row numbers of the training, validation and test part, chosen as `make_dataset` chooses them.

        Args:
            name: of the data set, for messages.
            n: number of examples.

        Raises:
            DataError: for too few rows.

        >>> [len(rows) for rows in Shares(test=0.2).split_rows("x", 100)]
        [70, 10, 20]
        """
        return split_rows(name, n, self.validation, self.test, self.seed)

    def completed(self, name: str, rows: Sequence[Array], what: str) -> tuple[list[Array], str]:
        """Row numbers of three parts, of which some may have none: those are drawn from the training rows, by share.

        Args:
            name: of the data set, for messages.
            rows: of the training, validation and test part.
            what: is counted in rows: ``"images"``.

        Returns:
            Row numbers of the parts, sorted, and what was drawn, in words; empty if nothing was.

        Raises:
            DataError: for too few rows.

        >>> rows, said = Shares(test=0.2).completed("x", [np.arange(10), np.arange(10, 13), np.array([], int)], "rows")
        >>> [len(part) for part in rows], said
        ([8, 3, 2], '2 of the 10 training rows are held out as the test part')
        """
        parts, drawn, n = list(rows), [], len(rows[0])
        for part, share in ((1, self.validation), (2, self.test)):
            if not len(parts[part]):
                count = max(1, round(share * n))
                generator = torch.Generator().manual_seed((self.seed + part) % 2**32)
                order = torch.randperm(len(parts[0]), generator=generator).numpy()
                parts[part], parts[0] = np.sort(parts[0][order[:count]]), np.sort(parts[0][order[count:]])
                of_part = "validation" if part == 1 else "test"
                drawn.append(f"{count:,} of the {n:,} training {what} are held out as the {of_part} part")
        if len(parts[0]) < 2:
            raise DataError(f"{name}: {len(parts[0])} training {what} are too few to train on")
        return parts, " and ".join(drawn)


TENTHS = Shares()
"""A tenth of the examples for validation, and a tenth for testing."""


def find_path(name: str, path: str, data_dir: Path | None, *, folder: bool | None = False) -> Path:
    """An existing file or folder; a relative path starts in the working directory or, failing that, in `data_dir`.

    Args:
        name: of the data set, for messages.
        path: what the user wrote; ``~`` is the home directory.
        data_dir: the user's data directory, if any.
        folder: whether a folder is expected instead of a file; either if None.

    Raises:
        DataError: if there is none, with the most similar name that exists; or if it is a folder instead of a file,
            or a file instead of a folder.

    >>> find_path("arrays", "no_such_file.npy", None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    intel_core.errors.DataError: arrays: no file no_such_file.npy in ...
    """
    wanted = Path(path).expanduser()
    places = [Path.cwd()] + ([data_dir] if data_dir is not None else [])
    candidates = [wanted] if wanted.is_absolute() else [place / wanted for place in places]
    for candidate in candidates:
        if (folder is not False and candidate.is_dir()) or (not folder and candidate.is_file()):
            return candidate
    sort, other = (
        ("folder", "file") if folder else ("file" if folder is False or wanted.suffix else "file or folder", "folder")
    )
    for candidate in candidates:
        if candidate.exists():
            hint = _other_reader(candidate)
            is_other = candidate.is_file() or candidate.is_dir()
            actual = f"a {other}" if is_other else "no file, but a device or a pipe"
            raise DataError(f"{name}: {candidate} is {actual}, expected a {sort}{hint}")
    parents = [deepest_existing(candidate) for candidate in candidates]
    missing = parents[0][1]
    names: list[str] = []
    for parent, part in parents:
        names.extend(names_in(parent, only_folders=bool(folder) or part != wanted.name))
    where = " or ".join(dict.fromkeys(str(parent) for parent, _ in parents))
    sort = sort if missing == wanted.name else "folder"
    raise DataError(f"{name}: no {sort} {missing} in {where}{did_you_mean(missing, names, say='names there')}")


def _other_reader(path: Path) -> str:
    if path.is_dir():
        return f"; for a folder of images: images:path={path}"
    reader = READERS.get(path.suffix.lower())
    return f"; for {path.suffix} files: {reader}:path={path}" if reader else ""


def check_suffix(name: str, path: Path, accepted: Sequence[str]) -> str:
    """The file's ending in lower case.

    Raises:
        DataError: if it is not one of `accepted`; the message names the data set that reads such files, if any.

    >>> check_suffix("arrays", Path("x.NPY"), [".npy", ".npz"])
    '.npy'
    """
    suffix = path.suffix.lower()
    if suffix not in accepted:
        hint = _other_reader(path) if suffix in READERS else ""
        raise DataError(f"{name}: {path.name} ends in {suffix or 'nothing'}, expected {' or '.join(accepted)}{hint}")
    return suffix
