"""Is a file meant where a data set is named? Its path becomes the text of the data set that reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from intel_core.components import discovery as plugins
from intel_core.errors import DataError
from intel_core.reading.paths import READERS, refuse_missing

__all__ = ["data_spec"]

FOLDERS = "images"
TRAINING = ("train", "training")
"""Names, without their endings, by which a file is the training part of a table of several files."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_READERS = {**READERS, **dict.fromkeys(IMAGES, FOLDERS)}


def data_spec(text: str) -> str:
    """The spec that reads a file or folder if `text` names one, else `text` itself.

    ``mydata.csv`` becomes ``table:path=/…/mydata.csv``, and ``mydata.csv:label=kind`` keeps its settings. The path
    is made absolute, so that a run finds its data again from another folder. Where a data set and a file have the same
    name, the data set is meant.

    Raises:
        DataError: if `text` looks like a path but nothing is there, or nothing reads such files.

    >>> data_spec("digits")
    'digits'
    """
    head, colon, settings = text.strip().partition(":")
    if head in {name for c in plugins.available("datasets") for name in (c.name, c.qualified)}:
        return text
    # By these functions of os.path, which have an answer for names, too, that no file can have.
    path = Path(os.path.expanduser(text.strip()))
    if os.path.exists(path):
        colon, settings = "", ""
    else:
        path = Path(os.path.expanduser(head))
    if not head or not os.path.exists(path):
        refuse_missing(text)
        return text
    reader = _reader_of_folder(path) if path.is_dir() else _READERS.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(READERS)
        raise DataError(
            f"{str(path)!r} cannot be read as data; expected a {kinds} file, an image or a folder of images"
        )
    _require_text(path)
    return f"{reader}:path={_quoted(os.path.abspath(path))}{',' if colon else ''}{settings}"


def _reader_of_folder(path: Path) -> str:
    """That of tables for a folder with train.csv or alike, else that of images."""
    tables = [suffix for suffix, reader in READERS.items() if reader == "table"]
    try:
        is_table = any(
            Path(name).stem.lower() in TRAINING and name.lower().endswith(tuple(tables)) for name in os.listdir(path)
        )
    except OSError:
        is_table = False
    return "table" if is_table else FOLDERS


def _require_text(path: Path) -> None:
    """A run records where its data lie, as text.

    Raises:
        DataError: if a name is not in UTF-8.
    """
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")
        raise DataError(
            f"the name {shown} is not in UTF-8, so that a run cannot record it; rename it, or give a link to it"
        ) from None


def _quoted(path: str) -> str:
    """The path in JSON quotes if a bareword would be cut at a comma or lose its spaces."""
    plain = "," not in path and path.strip() == path and path.isprintable()
    return path if plain else json.dumps(path, ensure_ascii=False)
