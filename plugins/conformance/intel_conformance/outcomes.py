"""How can a check end if it does not pass? With one of these exceptions."""

from __future__ import annotations

from typing import Any

__all__ = ["Broken", "NotApplicable", "Outcome", "Skipped", "Unsupported", "first_line"]


class Outcome(Exception):
    """The end of a check that does not pass.

    Args:
        message: what was expected, what was found, and where.
        likely: the usual cause, for the author of the mapping.
        cause: what other checks say as well, if they fail for the same reason; not for reading.
        evidence: numbers that support the message; JSON can represent them.
    """

    status = "failed"

    def __init__(self, message: str, *, likely: str = "", cause: str = "", **evidence: Any) -> None:
        super().__init__(message)
        self.message, self.likely, self.cause, self.evidence = message, likely, cause, evidence


class Broken(Outcome):
    """The contract is broken, or a declaration is not true."""

    status = "failed"


class Unsupported(Outcome):
    """The contract is kept, but users will miss something: a transform, a dtype, a device."""

    status = "warned"


class NotApplicable(Outcome):
    """There is nothing to check: the property is not declared, or the capability is missing."""

    status = "not_applicable"


class Skipped(Outcome):
    """The check could not be tried here: an optional library is missing, or the draws were not suitable."""

    status = "skipped"


def first_line(error: Exception, most: int = 200) -> str:
    r"""The first line of what an error says, at most so many characters of it, for a message of one line.

    >>> first_line(ValueError("a shape\nand more"))
    'a shape'
    """
    return str(error).strip().partition("\n")[0][:most]
