"""What were examples drawn from, in words?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intel_core.evaluation.pooling import Sampler

__all__ = ["told_of"]


def told_of(sampler: Sampler | None) -> str:
    """The sampler and what is known of its fit, to follow the word "samples"; empty for the prior."""
    if sampler is None:
        return ""
    facts = ", ".join(f"{name} {value}" for name, value in sampler.kept.facts.items() if isinstance(value, str | int))
    known = "fitted now" if sampler.is_new else f"fitted {sampler.kept.created}"
    return f" from {sampler} ({', '.join(filter(None, [facts, known]))})"
