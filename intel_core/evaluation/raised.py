"""What did a component raise, and where? Its type, its first line, and the line of the author's code, in one line."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["one_line", "place_of"]

_LIBRARIES = tuple({path for key in ("stdlib", "purelib", "platlib") if (path := sysconfig.get_paths().get(key))})
_OURS = {"intel_core", "intel_cli", "intel_conformance"}
_MOST = 300
_NO_INPUT = {"missing", "extra_forbidden"}
"""Errors of which pydantic's input is the whole, or nothing that explains anything."""


def one_line(error: BaseException, component: Any = None) -> str:
    """Type and first line of an error, and where the author's code raised it, if it did.

    Args:
        error: as it was caught.
        component: the spec whose method raised it; see `place_of`.

    >>> one_line(IndexError("list index out of range"))
    'IndexError: list index out of range'
    """
    place = place_of(error, component)
    return f"{_said(error)} ({place})" if place else _said(error)


def place_of(error: BaseException, component: Any = None) -> str:
    """The last line of the author's code through which an error came, as ``my_metric.py, line 12``; empty if none is.

    Args:
        error: as it was caught.
        component: an object whose own package counts as the author's, wherever it is installed.
    """
    package = "" if component is None else type(component).__module__.partition(".")[0]
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_of_author(frame, package):
            found = f"{Path(frame.f_code.co_filename).name}, line {line}"
    return found


def _is_of_author(frame: FrameType, package: str) -> bool:
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if top in _OURS:
        return False
    if top == package:
        return True
    file = frame.f_code.co_filename
    return not file.startswith(("<", *_LIBRARIES)) and not {"site-packages", "dist-packages"} & {*Path(file).parts}


def _said(error: BaseException) -> str:
    said = (str(error).splitlines() or ["no message"])[0]
    if isinstance(error, ValidationError):  # its first line tells only how many they are
        said = "; ".join(_told(one, error.title) for one in error.errors()[:2])
    return f"{type(error).__name__}: {said[:_MOST]}"


def _told(one: ErrorDetails, title: str) -> str:
    where = ".".join(str(part) for part in (title, *one["loc"]))
    return f"{where}: {one['msg']}" + ("" if one["type"] in _NO_INPUT else f", got {str(one['input'])[:80]}")
