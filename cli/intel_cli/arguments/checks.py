"""Which checks are meant, of which kind of component, and which of them are expected to fail?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intel_conformance import Check
    from intel_conformance.kinds import Kind

__all__ = ["kind_and_checks", "names_in", "reasons_in"]


def names_in(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """The names in some comma-separated lists.

    Raises:
        SpecError: if a list is empty, since that would select all checks.
    """
    from intel_core.errors import SpecError

    chosen: list[str] = []
    for text in texts:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if not names:
            raise SpecError(f"{option} {text!r} names no check")
        chosen += names
    return tuple(chosen)


def reasons_in(texts: Sequence[str], among: Sequence[Check] | None) -> dict[str, str]:
    """Why which checks are expected to fail.

    Raises:
        SpecError: if a text is not CHECK=REASON, there is no such check, or one is named twice.
    """
    from intel_conformance.catalogue import names_of

    from intel_core.errors import SpecError

    reasons: dict[str, str] = {}
    for text in texts:
        name, equals, reason = (part.strip() for part in text.partition("="))
        if not (name and equals and reason):
            raise SpecError(f"--expect {text!r} is not CHECK=REASON, e.g. deploy.vmap='a branch on values'")
        if name in reasons:
            raise SpecError(f"--expect names {name!r} twice")
        names_of([name], among)
        reasons[name] = reason
    return reasons


def kind_and_checks(texts: Sequence[str]) -> tuple[Kind | None, tuple[Check, ...] | None]:
    """The kind that is named before a colon, and its checks; None twice for mappings.

    Raises:
        SpecError: if one is named together with something else, or no kind that has checks is called so.
    """
    from intel_conformance.kinds import checks_of, named_in

    from intel_core.errors import SpecError

    for text in texts:
        if named := named_in(text):
            if len(texts) > 1:
                raise SpecError(f"{text} is checked alone, as only mappings are composed")
            return named[0], checks_of(named[0])
    return None, None
