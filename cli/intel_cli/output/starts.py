"""Where does a training with a start stand, and what did the start find? In words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intel_cli.output.console import number

if TYPE_CHECKING:
    from intel_core.fitting.starting import StartedObjective
    from intel_core.training.trainer import Trainer

__all__ = ["found_by", "phase", "planned", "shares_text", "started"]

_FEW = 12
_WORDS = {
    "fits": "the best of {} fits",
    "parts": "joined from {} Gaussians",
    "agreement": "all fits agree with it by an NMI of {} on average",
    "labels": "{} labels known",
    "by": "the others by their {}",
    "labels_agree": "clusters that were found without labels agree with them in {} of their examples",
    "file": "read from {}",
}
"""How facts are said that starts of this project tell; others are shown by their names."""
_APART = ("step", "sizes", "shares", "spec", "log_likelihood", "modularity", "views", "distance", "scores_agree")
"""What is said in words of its own, or stays in the file."""
_DOUBTFUL = 0.95


def started(trainer: Trainer) -> StartedObjective | None:
    """The start of a training, if it has one; several seeds in one stack have none."""
    from intel_core.fitting.starting import start_of

    return start_of(trainer) if hasattr(trainer, "objective") else None


def phase(trainer: Trainer) -> str:
    """What a training did in its last step, to follow the step's number; empty if there is nothing to say."""
    start = started(trainer)
    said = "" if start is None else start.phase(max(0, trainer.step - 1))
    return f"  {said}" if said else ""


def planned(trainer: Trainer) -> str:
    """When the start of a training is to be found, and how long it acts."""
    start = started(trainer)
    if start is None:
        return "none"
    spec, steps = start.start, trainer.steps
    begins, ends = spec.begins(steps), min(steps, int(spec.begins(steps) + spec.hold * steps))
    when = f"after {begins:,} steps" if begins else "before the first step"
    return f"{spec}: clusters are found {when}, and pull their examples, less and less, until {ends:,}"


def found_by(found: dict[str, Any], spec: str, examples: int) -> str:
    """What a start found: how many clusters, how large they are, and what it tells of them.

    Args:
        found: the content of ``start.json``.
        spec: the start.
        examples: how many training examples there are.

    >>> found_by({"step": 250, "sizes": [60, 30], "fits": 12}, "mixture", 100)
    'mixture, after 250 steps: 2 clusters, 66.7%, 33.3% of 90 training examples; the best of 12 fits; 10 have none'
    """
    sizes, of = found["sizes"], sum(found["sizes"])
    told = [_said(name, value) for name, value in found.items() if name not in _APART]
    if of < examples:
        told.append(f"{examples - of:,} have none")
    scores = found.get("scores_agree")
    if isinstance(scores, float) and scores < _DOUBTFUL:
        told.append(f"the pull leads to another cluster at {1 - scores:.0%} of places")
    shares = shares_text([size / max(1, of) for size in sizes])
    where = f"{spec}, after {found['step']:,} steps" if found["step"] else f"{spec}, before the first step"
    return "; ".join([f"{where}: {len(sizes)} clusters, {shares} of {of:,} training examples", *told])


def _said(name: str, value: Any) -> str:
    words = _WORDS.get(name)
    return words.format(number(value)) if words else f"{name.replace('_', ' ')} {number(value)}"


def shares_text(shares: Sequence[float]) -> str:
    """Shares in their order, or, of many, the smallest and the largest.

    >>> shares_text([0.5, 0.25, 0.25]), shares_text([0.01 + i / 1000 for i in range(20)])
    ('50.0%, 25.0%, 25.0%', '1.0% to 2.9% each')
    """
    if len(shares) > _FEW:
        return f"{min(shares):.1%} to {max(shares):.1%} each"
    return ", ".join(f"{share:.1%}" for share in shares)
