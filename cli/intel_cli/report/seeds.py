"""What do the seeds of a folder have in common? Verdicts side by side, means and spreads, and a page for each seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from intel_cli.output.summary import HIDDEN
from intel_cli.output.terminal import visible
from intel_cli.output.terms import in_order, term_name
from intel_cli.report import page as one_page
from intel_cli.report.gather import gather
from intel_core.evaluation.bias.finding import ANSWERS, Outcome
from intel_core.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from intel_cli.report.gather import Page
    from intel_core.evaluation.run import Run
    from intel_core.replicates.summary import Replicates

__all__ = ["Seed", "SeedsPage", "gather_seeds", "render_seeds"]

_WORDS: dict[Outcome, str] = {"took": "took effect", "partly": "took effect in part", "not": "did not take effect"}


@dataclass(frozen=True)
class Seed:
    """One seed: its status, its verdict if it has one, the address of its page, and a plane of its z."""

    seed: int
    status: str
    elbo: float | None
    outcome: Outcome = "unknown"
    headline: str = ""
    page: str = ""
    plane: Markup | None = None


@dataclass(frozen=True)
class Question:
    """A question of the verdicts, and its answer in each seed that has one, as ``(outcome, answer, sentence)``."""

    text: str
    part: str
    answers: list[tuple[Outcome, str, str] | None]

    @property
    def outcome(self) -> Outcome:
        """That of all seeds together."""
        return _together([answer[0] for answer in self.answers if answer is not None])

    @property
    def told(self) -> str:
        """How often each answer was given, e.g. ``yes in 3 of 4, no in 1``."""
        given = [answer[1] for answer in self.answers if answer is not None]
        said = [f"{answer} in {count}" for answer, count in Counter(given).most_common()]
        return f"{said[0]} of {len(given)}{''.join(f', {one}' for one in said[1:])}"


@dataclass(frozen=True)
class SeedsPage:
    """Everything about the seeds of a folder; `numbers` are ``(name, mean, standard deviation)`` as texts."""

    name: str
    path: str
    outcome: Outcome
    headline: str
    summary: list[str]
    seeds: list[Seed]
    questions: list[Question]
    numbers: list[tuple[str, str, str]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "headline": self.headline,
            "seeds": [
                {
                    "seed": one.seed,
                    "status": one.status,
                    "outcome": one.outcome,
                    "test_elbo": one.elbo,
                    "file": one.page,
                }
                for one in self.seeds
            ],
            "questions": [
                {
                    "question": one.text,
                    "part": one.part,
                    "answers": {
                        str(seed.seed): None if answer is None else {"outcome": answer[0], "sentence": answer[2]}
                        for seed, answer in zip(self.seeds, one.answers, strict=True)
                    },
                }
                for one in self.questions
            ],
        }


def gather_seeds(
    group: Replicates, against: Run | None, data_dir: Path | None, tell: Callable[[str], None]
) -> SeedsPage:
    """The page of a folder of replicates. The page of each seed that has ended is written into its run directory.

    Args:
        group: the seeds.
        against: as of `intel_cli.report.gather.gather`, for each seed.
        data_dir: where data files lie.
        tell: is told which seed is at work.

    Raises:
        RunError: as `intel_cli.report.gather.gather`.
    """
    by_folder = {run.path.name: run for run in group.runs}
    pages: list[Page | None] = []
    seeds: list[Seed] = []
    for entry in group.summary["runs"]:
        run = by_folder.get(entry["folder"])
        made: Page | None = None
        if run is not None and entry["status"] == "finished":
            tell(f"seed {entry['seed']}")
            made = gather(run, against, data_dir)
            write_text(run.path / "report.html", one_page.render(made))
        pages.append(made)
        seeds.append(_seed(entry, made))
    verdicts = [page.verdict.outcome for page in pages if page is not None]
    first = next((page for page in pages if page is not None), None)
    ended = f"{len(verdicts)} of {len(pages)} seeds have ended"
    return SeedsPage(
        name=str(group.summary["name"]),
        path=str(group.path),
        outcome=_together(verdicts),
        headline=_headline(verdicts),
        summary=([] if first is None else first.summary[:1]) + [f"{ended}; each has a page of its own."],
        seeds=seeds,
        questions=_questions(pages),
        numbers=_numbers(group.summary),
    )


def render_seeds(page: SeedsPage) -> str:
    """The page as HTML."""
    template = one_page.environment().from_string(one_page.asset("seeds.html.jinja"))
    style = Markup(one_page.asset("page.css"))
    made = template.render(page=page, style=style, policy=one_page.policy(""), marks=one_page.MARKS, answers=ANSWERS)
    return visible(made)


def _seed(entry: dict[str, Any], page: Page | None) -> Seed:
    elbo = entry["test_elbo"]
    known = Seed(int(entry["seed"]), str(entry["status"]), float(elbo) if isinstance(elbo, int | float) else None)
    if page is None:
        return known
    plane = page.latent.planes[0].z if page.latent.planes else None
    verdict, address = page.verdict, f"{entry['folder']}/report.html"
    return Seed(known.seed, known.status, known.elbo, verdict.outcome, verdict.headline, address, plane)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    """One tone for all: what every seed has, and ``partly`` where some took and others did not."""
    told = {outcome for outcome in outcomes if outcome != "unknown"}
    if not told:
        return "unknown"
    return told.pop() if len(told) == 1 else "partly"


def _headline(outcomes: Sequence[Outcome]) -> str:
    """How often the bias took effect.

    >>> _headline(["took", "not", "took"])
    'The bias took effect in 2 of 3 seeds, and did not take effect in 1'
    >>> _headline(["unknown"])
    'Whether the bias took effect cannot be told in 1 of 1 seeds'
    """
    counts = Counter(outcomes)
    said = [f"{word} in {counts[outcome]}" for outcome, word in _WORDS.items() if counts[outcome]]
    if not said:
        return f"Whether the bias took effect cannot be told in {len(outcomes)} of {len(outcomes)} seeds"
    said += [f"cannot be told in {counts['unknown']}"] if counts["unknown"] else []
    first, *others = said
    return f"The bias {first} of {len(outcomes)} seeds" + "".join(f", and {one}" for one in others)


def _questions(pages: Sequence[Page | None]) -> list[Question]:
    """Every question that a verdict answers, in the order in which they first appear."""
    asked = {(one.question, one.part): None for page in pages if page is not None for one in page.verdict.findings}
    found = []
    for text, part in asked:
        answers: list[tuple[Outcome, str, str] | None] = []
        for page in pages:
            findings = [] if page is None else page.verdict.findings
            mine = next((one for one in findings if (one.question, one.part) == (text, part)), None)
            answers.append(None if mine is None else (mine.outcome, mine.answer, mine.sentence))
        found.append(Question(text, part, answers))
    return found


def _numbers(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Means and spreads of the final numbers on test data, and of what the mapping says of itself."""
    test = summary.get("test") or {}
    rows = [(term_name(name, test), test[name], ".2f") for name in in_order(test, HIDDEN)]
    rows += [(name.replace("_", " "), value, ".3g") for name, value in (summary.get("mapping") or {}).items()]
    return [
        (name, f"{value['mean']:{how}}", "" if value["std"] is None else f"{value['std']:{how}}")
        for name, value, how in rows
    ]
