"""How is it told what a piece of evidence shows? The case, its number and yardstick, what it means, what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ANSWERS", "Finding", "Outcome"]

Outcome = Literal["took", "partly", "not", "unknown"]
ANSWERS: dict[Outcome, str] = {"took": "yes", "partly": "in part", "not": "no", "unknown": "cannot be told"}
"""To the question of a finding, where it has no answer of its own."""


@dataclass(frozen=True)
class Finding:
    """The answer to one question about the bias.

    Attributes:
        outcome: the outcome of this question alone.
        question: the question in a few words.
        sentence: the answer with its numbers.
        part: the part of the mapping it is about; empty for a comparison with the run without the bias.
        decisive: whether a "no" here means that the part did not take.
        next: a command that may mend it, or options of `intel train`; empty where nothing is to be mended.
        own_answer: to the question, where it is none of the usual ones.
    """

    outcome: Outcome
    question: str
    sentence: str
    part: str = ""
    decisive: bool = False
    next: str = ""
    own_answer: str = ""

    @property
    def answer(self) -> str:
        """To the question, in a word or two."""
        return self.own_answer or ANSWERS[self.outcome]

    @property
    def told(self) -> str:
        """The sentence, and after it what to do next.

        >>> Finding("not", "Is it so?", "It is not: 1 of 3.", next="intel train --steps 5000").told
        'It is not: 1 of 3; next: `intel train --steps 5000`'
        """
        return f"{self.sentence.removesuffix('.')}; next: `{self.next}`" if self.next else self.sentence
