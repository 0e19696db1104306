"""Did the bias take effect? A verdict in words, from numbers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from intel_core.evaluation.bias import beside, rules
from intel_core.evaluation.bias.evidence import Evidence
from intel_core.evaluation.bias.finding import ANSWERS, Finding, Outcome

__all__ = ["HEADLINES", "Verdict", "judge"]

HEADLINES: dict[Outcome, str] = {
    "took": "The bias took effect",
    "partly": "The bias took effect in part",
    "not": "The bias did not take effect",
    "unknown": "Whether the bias took effect cannot be told",
}


@dataclass(frozen=True, repr=False)
class Verdict:
    """Whether the bias of a run took effect. Printed, it is the headline, every finding with its numbers, and caveats.

    Attributes:
        outcome: ``took``, ``partly``, ``not``, or ``unknown``.
        findings: the questions that were asked, each with its answer.
        caveats: what to keep in mind, in sentences.
        ask: names of metrics that would give more evidence.

    >>> verdict = judge(Evidence(declared=False))
    >>> verdict
    <Verdict: Whether the bias took effect cannot be told.>
    >>> print(verdict)  # doctest: +NORMALIZE_WHITESPACE
    Whether the bias took effect cannot be told.
      This model has no bias to judge: its mapping assumes nothing that data could confirm or refute; next:
      `intel plugins list`, which lists the mappings that do.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
    ask: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        return HEADLINES[self.outcome]

    def __repr__(self) -> str:
        counts = Counter(finding.outcome for finding in self.findings)
        told = ", ".join(f"{counts[outcome]} {word}" for outcome, word in ANSWERS.items() if counts[outcome])
        return f"<Verdict: {self.headline}{f' ({told})' if told else ''}.>"

    def __str__(self) -> str:
        found = (f"{one.question} {one.answer}: {one.told}" for one in self.findings)
        return "\n".join([f"{self.headline}.", *(f"  {line}" for line in (*found, *self.caveats))])

    def to_dict(self) -> dict[str, Any]:
        """The verdict for JSON: outcome, headline, findings and caveats, as ``intel report --json`` prints them.

        >>> list(judge(Evidence(declared=False)).to_dict())
        ['outcome', 'headline', 'findings', 'caveats']
        """
        return {
            "outcome": self.outcome,
            "headline": self.headline,
            "findings": [
                {
                    "question": one.question,
                    "outcome": one.outcome,
                    "answer": one.answer,
                    "sentence": one.sentence,
                    "next": one.next,
                    "part": one.part,
                }
                for one in self.findings
            ],
            "caveats": list(self.caveats),
        }


def judge(evidence: Evidence) -> Verdict:
    """Whether the bias took.

    A part of the mapping took if all of its findings say so; it did not take if a decisive finding, or every finding,
    says so. The whole took if all parts did; a lower likelihood, or more samples off the data, makes that "in part". If
    the posterior has collapsed, the bias did not take, whatever else is known.

    >>> judge(Evidence(declared=False)).outcome
    'unknown'
    """
    bias = [
        *(f for found in evidence.clusters for f in rules.of_clusters(found)),
        *(f for found in evidence.shapes for f in rules.of_shape(found)),
        *(f for found in evidence.sparse for f in rules.of_sparsity(found)),
        *(f for found in evidence.levels for f in rules.of_levels(found)),
    ]
    compared = [
        *beside.of_likelihood(evidence.likelihood, evidence.retry),
        *beside.of_manifold(evidence.off_manifold, evidence.retry),
    ]
    collapsed = evidence.active == 0 and evidence.declared
    first = [rules.of_collapse(evidence.y_dim, evidence.retry)] if collapsed else []
    outcome: Outcome = "not" if collapsed else _whole(bias, compared)
    return Verdict(outcome, (*first, *bias, *compared), _caveats(evidence), _ask(evidence, outcome))


def _whole(bias: Iterable[Finding], compared: Iterable[Finding]) -> Outcome:
    parts: dict[str, list[Finding]] = {}
    for finding in bias:
        if finding.outcome != "unknown":
            parts.setdefault(finding.part, []).append(finding)
    outcomes = {_part(found) for found in parts.values()}
    if not outcomes:
        return "unknown"
    if outcomes == {"took"}:
        return "partly" if any(finding.outcome == "not" for finding in compared) else "took"
    return "not" if outcomes == {"not"} else "partly"


def _part(found: list[Finding]) -> Outcome:
    outcomes = {finding.outcome for finding in found}
    if outcomes == {"took"}:
        return "took"
    if outcomes == {"not"} or any(f.decisive and f.outcome == "not" for f in found):
        return "not"
    return "partly"


def _caveats(evidence: Evidence) -> tuple[str, ...]:
    found = list(evidence.missing)
    if not evidence.declared:
        found.append(
            "This model has no bias to judge: its mapping assumes nothing that data could confirm or refute; next: "
            "`intel plugins list`, which lists the mappings that do."
        )
        return tuple(found)
    retry = evidence.retry
    found.append(
        "This is one training run of one seed, and other seeds may give another answer; next: "
        f"{_commands(retry.seeds)}."
    )
    if not evidence.against:
        found.append(
            "What the bias costs or gains is not known, since there is no run without it to compare with; next: "
            f"{_commands(retry.without)}{'' if retry.run else ', then this report with `--against` that run'} (in "
            "Python: took(against=...))."
        )
    found.append(
        "Each training above makes a new run with the settings of this one; this one stays as it is."
        if retry.run
        else "Options after “next” are for `intel train`, with all other settings as in this run; in Python they are "
        "arguments of fit()."
    )
    return tuple(found)


def _commands(commands: Sequence[str]) -> str:
    """Commands in the order in which they are typed.

    >>> _commands(["a", "b", "c"])
    '`a`, then `b`, then `c`'
    """
    return ", then ".join(f"`{one}`" for one in commands)


def _ask(evidence: Evidence, outcome: Outcome) -> tuple[str, ...]:
    """Names of metrics that would give more evidence."""
    wanted = []
    if not evidence.declared:
        return ()
    if outcome == "unknown":
        wanted.append("diagnosis")
    if evidence.likelihood is None or not evidence.likelihood.by.startswith("metric"):
        wanted.append("likelihood")
    if evidence.off_manifold is None:
        wanted.append("manifold")
    return tuple(wanted)
