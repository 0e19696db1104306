"""Is a variant of a mapping right as well: in other dimensions, at another strength? Some of its checks, once more."""

from __future__ import annotations

from collections.abc import Sequence

from intel_conformance.candidate import Candidate
from intel_conformance.check import registered
from intel_conformance.outcomes import Broken, Outcome

__all__ = ["check_variant"]


def check_variant(variant: Candidate, ids: Sequence[str], about: str) -> None:
    """Run some checks of a variant of the candidate.

    Args:
        variant: the candidate in other dimensions, or at another strength.
        ids: of checks, or names of groups.
        about: what is different, for the message.

    Raises:
        Broken: with the first failure.
    """
    for check in list(registered.values()):
        if (check.id not in ids and check.group not in ids) or check.id in variant.failed:
            continue  # what has failed already is told once
        try:
            check.run(variant)
        except Broken as error:
            raise Broken(
                f"{about}, {check.id}: {error.message}",
                likely=error.likely,
                cause=error.cause,
                **{**error.evidence, "check": check.id},
            ) from error
        except Outcome:
            continue  # it cannot be tried, or there is nothing to check
