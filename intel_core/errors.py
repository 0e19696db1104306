"""Which errors can a user correct? One exception for each kind, with a message of one or two lines.

A user can correct everything that derives from `IntelError`: the command prints its message without a traceback and
exits with the code of its kind. Every other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "DivergenceError",
    "EnvironmentProblem",
    "IntelError",
    "PluginError",
    "RunError",
    "SpecError",
    "did_you_mean",
]


class IntelError(Exception):
    """Base of all errors that a user can correct."""


class SpecError(IntelError, ValueError):
    """A text or a specification that does not describe anything that can be built."""


class PluginError(SpecError):
    """A component that is named, but broken, ambiguous, disabled, too new or breaking its contract."""


class DataError(IntelError, ValueError):
    """Data that is missing, malformed, or does not fit the model."""


class RunError(IntelError):
    """A run directory or checkpoint that cannot be read, written or continued."""


class EnvironmentProblem(RunError):
    """What this machine lacks: memory, room on a disk, a device, a package, further processes."""


class DivergenceError(IntelError, ArithmeticError):
    """Training met a value that is not finite; the message names the step, the term and the layer."""


def did_you_mean(word: str, choices: Iterable[str], *, say: str = "choices") -> str:
    """The end of an error message: the nearest spelling, and all choices if they are few.

    >>> did_you_mean("clutser", ["circle", "cluster"])
    "; did you mean 'cluster'? (choices: circle, cluster)"
    >>> did_you_mean("K", ["k", "phase"]), did_you_mean("5.1", ["5.0", "5.2"])
    ("; did you mean 'k'? (choices: k, phase)", '; choices: 5.0, 5.2')
    >>> did_you_mean("x", [])
    '; there are no choices'
    """
    names = sorted(set(choices))
    if not names:
        return f"; there are no {say}"
    lowered = {name.lower(): name for name in names}
    is_word = any(map(str.isalpha, word))  # of a number, no other number is a spelling
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6) if is_word else []
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else ";"
    shown = ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:12])}, … {len(names) - 12} more"
    return f"{hint} ({say}: {shown})" if near else f"{hint} {say}: {shown}"
