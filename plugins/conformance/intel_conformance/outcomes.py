"""How can a check end, other than well? By one of these exceptions."""

from __future__ import annotations

from typing import Any

__all__ = ["Broken", "NotApplicable", "Outcome", "Skipped", "Unsupported"]


class Outcome(Exception):
    """A check's end that is not success.

    Args:
        message: what was expected, what was found and where.
        likely: the usual cause, for whoever has to mend it.
        evidence: numbers that JSON can hold.
    """

    status = "failed"

    def __init__(self, message: str, *, likely: str = "", **evidence: Any) -> None:
        super().__init__(message)
        self.message, self.likely, self.evidence = message, likely, evidence


class Broken(Outcome):
    """The contract, or a promise, does not hold."""

    status = "failed"


class Unsupported(Outcome):
    """Not a breach of the contract, but something that users will miss: a transform, a dtype, a device."""

    status = "warned"


class NotApplicable(Outcome):
    """There is nothing to check: the promise was not made, the capability is not there."""

    status = "not_applicable"


class Skipped(Outcome):
    """It could not be tried here: an optional library is missing, or no draw was fit for it."""

    status = "skipped"
