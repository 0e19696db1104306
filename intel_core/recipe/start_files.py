"""Is a file meant where a start is named? A path that is given instead of a start's spec becomes that of a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from intel_core.components import discovery as plugins
from intel_core.errors import SpecError
from intel_core.reading.paths import refuse_missing

__all__ = ["START_FILES", "start_text"]

START_FILES = (".csv", ".tsv", ".npy")
"""Endings of files that can name a cluster for each example."""
_READER = "file"


def start_text(given: Any) -> Any:
    """The text of the start that reads a file, if a text names one; anything else as it is.

    ``groups.csv`` becomes ``file:path=/…/groups.csv``, and ``groups.csv:column=kind`` keeps its settings. The path is
    made absolute, as that of data. Where a start and a file have the same name, the start is meant.

    Raises:
        DataError: if a text looks like a path but nothing is there.
        SpecError: if what is there is no file that a start is read from.

    >>> start_text("mixture"), start_text("labels:count=100"), start_text(None)
    ('mixture', 'labels:count=100', None)
    """
    if not isinstance(given, str | Path):
        return given
    text = str(given).strip()
    head, colon, settings = text.partition(":")
    if not head or head in {name for c in plugins.available("starts") for name in (c.name, c.qualified)}:
        return text
    if os.path.exists(os.path.expanduser(text)):
        head, colon, settings = text, "", ""
    path = Path(head).expanduser()
    if not os.path.exists(path):
        refuse_missing(text, "starts")
        return text
    if path.suffix.lower() not in START_FILES or not path.is_file():
        what = "a folder" if path.is_dir() else "a file of another kind"
        raise SpecError(f"start {head!r} is {what}; a start is read from a {', '.join(START_FILES)} file")
    return f"{_READER}:path={json.dumps(os.path.abspath(path))}{',' if colon else ''}{settings}"
