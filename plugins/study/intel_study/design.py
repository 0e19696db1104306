"""What is compared in a study? Settings that all runs share, arms that differ, seeds, metrics, numbers and claims.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from intel_core.errors import SpecError, did_you_mean
from intel_study.layers import layered

__all__ = ["Arm", "Claim", "Column", "Figure", "Full", "Study", "consecutive"]

_MOST_SEEDS = 1000
_MOST_NAMES = 500
_LONGEST = 60
TRAINING = ("elbo", "log_likelihood", "kl", "kl_y", "active_units")
"""Numbers that every run has at its end, of test data; beside them ``seconds`` and ``mapping.…``."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def consecutive(first: int, count: int) -> tuple[int, ...]:
    """So many seeds from one on.

    Raises:
        ValueError: if they are too many, or no seeds.
    """
    if not 1 <= count <= _MOST_SEEDS:
        raise ValueError(f"{count} seeds, expected 1 to {_MOST_SEEDS:,}")
    if not 0 <= first < 2**63 - count:
        raise ValueError(f"seeds begin at {first}, expected a number from 0 on")
    return tuple(range(first, first + count))


def _seeds(value: Any) -> Any:
    """Seeds from a count, from ``{first, count}``, or from a list."""
    if isinstance(value, bool) or value is None:
        raise ValueError(_SEEDS)
    if isinstance(value, int):
        return consecutive(0, value)
    if isinstance(value, dict):
        if unknown := [key for key in value if key not in ("first", "count")]:
            raise ValueError(f"seeds have no key {unknown[0]!r}{did_you_mean(str(unknown[0]), ('first', 'count'))}")
        first, count = value.get("first", 0), value.get("count")
        if (
            isinstance(first, bool)
            or isinstance(count, bool)
            or not isinstance(first, int)
            or not isinstance(count, int)
        ):
            raise ValueError(_SEEDS)
        return consecutive(first, count)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(_SEEDS)
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in value):
        raise ValueError(_SEEDS)
    if len(set(value)) < len(value):
        raise ValueError("a seed is listed twice")
    if len(value) > _MOST_SEEDS:
        raise ValueError(f"{len(value)} seeds, expected at most {_MOST_SEEDS:,}")
    return tuple(value)


_SEEDS = "expected a list of whole numbers from 0 on, or first and count, e.g. {first: 10, count: 5}"
_SEEDS_SCHEMA = {
    "description": "the seeds: a count, first and count, or a list",
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": _MOST_SEEDS},
        {
            "type": "object",
            "properties": {
                "first": {"type": "integer", "minimum": 0, "default": 0},
                "count": {"type": "integer", "minimum": 1, "maximum": _MOST_SEEDS},
            },
            "required": ["count"],
            "additionalProperties": False,
        },
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    ],
}
Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds), WithJsonSchema(_SEEDS_SCHEMA)]
Settings = dict[str, Any]


class Arm(_Part):
    """One of the things that are compared."""

    settings: Settings = Field(default_factory=dict, description="settings of a run that are this arm's own")
    by_problem: dict[str, Settings] = Field(
        default_factory=dict, description="further settings for single problems, by the problem's name"
    )
    only: tuple[str, ...] = Field((), description="the problems in which it takes part; all by default")
    label: str = Field("", max_length=200, description="how tables call it; its name by default")
    note: str = Field("", max_length=2000, description="what a reader must know of it")


def _column(value: Any) -> Any:
    return {"of": value} if isinstance(value, str) else {} if value is None else value


class Column(_Part):
    """A number that becomes a column of the tables."""

    of: str = Field(
        "", max_length=200, description="METRIC.NUMBER, elbo, kl, seconds or mapping.NAME; the column's name by default"
    )
    label: str = Field("", max_length=100, description="heading; the column's name by default")
    unit: str = Field("", max_length=60, description="its unit")
    digits: int | None = Field(None, ge=0, le=12, description="decimals that are shown; by default from the spread")
    better: Literal["higher", "lower", "neither"] | None = Field(
        None, description="which direction is better; by default what the metric says"
    )


_ONE_OR_SEVERAL: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]
}


def _of_one_problem(claims: Any) -> Any:
    """A claim that names several problems as one of each."""
    if not isinstance(claims, list | tuple):
        return claims
    found: list[Any] = []
    for claim in claims:
        several = claim.get("problem") if isinstance(claim, dict) else None
        found += [{**claim, "problem": one} for one in several] if several and isinstance(several, list) else [claim]
    return found


class Claim(_Part):
    """A sentence, and the difference of means on which it rests."""

    sentence: str = Field(min_length=1, max_length=1000, description="what is claimed")
    paper: str = Field("", max_length=1000, description="what the paper says, with its numbers and their place")
    number: str = Field(description="the column that it speaks of")
    problem: Annotated[str | None, WithJsonSchema(_ONE_OR_SEVERAL)] = Field(
        None, description="the problem that it speaks of, where there are several; a list makes a claim of each"
    )
    arm: str = Field(description="the arm that it speaks of")
    against: str | float = Field(description="the arm that it is compared with, or a value")
    direction: Literal["above", "below", "same"] = Field(description="above or below the other, or the same")
    margin: float = Field(0.0, ge=0, description="smallest difference that matters, in the number's unit")

    @field_validator("against", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("expected an arm or a number; YAML reads yes and no as true and false")
        return value


class Figure(_Part):
    """A picture."""

    kind: Literal["samples", "numbers", "problems"] = Field(
        description="samples: what each arm generates, with the first seed; numbers: one number against another, a "
        "point for each seed; problems: a number over the problems, a line for each arm"
    )
    title: str = Field("", max_length=200, description="above the picture")
    x: str = Field("", description="of numbers: the column along the x axis")
    y: str = Field("", description="of numbers and problems: the column along the y axis")
    at: dict[str, float] = Field(
        default_factory=dict, description="of problems: where each lies on the x axis; side by side by default"
    )
    xlabel: str = Field("", max_length=100, description="of problems: what the x axis is")
    problems: tuple[str, ...] = Field((), description="only these; all by default")
    arms: tuple[str, ...] = Field((), description="only these; all by default")
    samples: int = Field(1500, ge=1, le=20_000, description="points for each arm; of images at most 64 are shown")


class Full(_Part):
    """What the whole protocol has otherwise: put in by --full, over what the study says."""

    base: Settings = Field(default_factory=dict, description="settings of a run")
    problems: dict[str, Settings] = Field(default_factory=dict, description="settings of single problems, or new ones")
    arms: dict[str, Arm] = Field(default_factory=dict, description="settings of single arms, or new ones")
    seeds: Seeds | None = Field(None, description="the seeds")
    metrics: tuple[str, ...] | dict[str, str] | None = Field(None, description="the metrics")
    stack: int | None = Field(None, ge=1, le=1000, description="how many seeds are trained as one stack")


class Study(_Part):
    """A comparison: what all runs share, what differs, and what is asked of them.

    The settings of a run are those of `base`, then of its problem, of its arm, of its arm for this problem, and its
    seed; what comes later replaces what came before, schedules by their names.

    >>> study = Study(base={"data": "circle"}, arms={"plain": {"settings": {"mapping": "identity"}}}, seeds=2)
    >>> study.seeds, study.arm_names("")
    ((0, 1), ('plain',))
    """

    title: str = Field("", max_length=200, description="heading of its page")
    question: str = Field("", max_length=2000, description="what it is to answer")
    base: Settings = Field(default_factory=dict, description="settings of every run, as a file for --config has them")
    problems: dict[str, Settings] = Field(
        default_factory=dict, description="settings by name, e.g. data sets; arms are compared within a problem"
    )
    arms: dict[str, Arm] = Field(min_length=1, description="what is compared, by name")
    seeds: Seeds = Field((0, 1, 2, 3, 4), validate_default=False)
    metrics: tuple[str, ...] | dict[str, str] = Field(
        (), description="what is measured, as of intel evaluate --metric: a list, or by names of your own"
    )
    numbers: dict[str, Annotated[Column, BeforeValidator(_column, json_schema_input_type=Column | str | None)]] = Field(
        default_factory=dict, description="the columns of the tables; by default the ELBO and whatever was measured"
    )
    reference: str | None = Field(None, description="the arm with which all others are compared")
    level: float = Field(0.05, gt=0, lt=1, description="a difference counts if its adjusted p-value is below this")
    stack: int = Field(1, ge=1, le=1000, description="how many neighbouring seeds are trained as one stack")
    figures: tuple[Figure, ...] = Field((), description="pictures")
    claims: Annotated[tuple[Claim, ...], BeforeValidator(_of_one_problem, json_schema_input_type=tuple[Claim, ...])] = (
        Field((), description="what is confirmed or denied")
    )
    full: Full | None = Field(None, description="the whole protocol, where what is above is a reduced one")
    notes: tuple[str, ...] = Field((), description="what a reader must know, in sentences; below the tables")

    @model_validator(mode="after")
    def _check(self) -> Study:
        named(self.arms, "arm")
        named(self.problems, "problem")
        problems = list(self.problems)
        for name, arm in self.arms.items():
            for problem in (*arm.only, *arm.by_problem):
                _require(problem, problems, f"arms.{name}", "problem")
        if self.reference is not None:
            _require(self.reference, self.arms, "reference", "arm")
        for place, claim in enumerate(self.claims):
            self._check_claim(f"claims.{place}", claim)
        for place, figure in enumerate(self.figures):
            self._check_figure(f"figures.{place}", figure)
        aliases = self.named_metrics()
        for name, column in self.numbers.items():
            _check_number(f"numbers.{name}", column.of or name, aliases)
        return self

    def _check_claim(self, where: str, claim: Claim) -> None:
        _require(claim.arm, self.arms, f"{where}.arm", "arm")
        if isinstance(claim.against, str):
            _require(claim.against, self.arms, f"{where}.against", "arm")
            if claim.against == claim.arm:
                raise ValueError(f"{where}: arm {claim.arm!r} is compared with itself")
        if claim.problem is None and len(self.problems) > 1:
            raise ValueError(f"{where}.problem is required; problems: {', '.join(self.problems)}")
        if claim.problem is not None:
            _require(claim.problem, self.problems, f"{where}.problem", "problem")
        self._require_column(f"{where}.number", claim.number)
        if claim.direction == "same" and not claim.margin:
            raise ValueError(f"{where}.margin is required with direction same: how far apart is still the same?")
        problem = claim.problem or next(iter(self.problems), "")
        for arm in {claim.arm, *([claim.against] if isinstance(claim.against, str) else [])}:
            if arm not in self.arm_names(problem):
                raise ValueError(f"{where}: arm {arm!r} takes no part in problem {problem!r}")

    def _check_figure(self, where: str, figure: Figure) -> None:
        needed = {"samples": (), "numbers": ("x", "y"), "problems": ("y",)}[figure.kind]
        for axis in ("x", "y"):
            column = getattr(figure, axis)
            if axis in needed and not column:
                raise ValueError(f"{where}.{axis} is required: the name of a column")
            if column and axis not in needed:
                raise ValueError(f"{where}.{axis} goes with other kinds than {figure.kind}")
            if column:
                self._require_column(f"{where}.{axis}", column)
        for problem in (*figure.problems, *figure.at):
            _require(problem, self.problems, where, "problem")
        for arm in figure.arms:
            _require(arm, self.arms, where, "arm")

    def _require_column(self, where: str, name: str) -> None:
        if name not in self.numbers:
            _check_number(where, name, self.named_metrics(), self.numbers)

    def named_metrics(self) -> dict[str, str]:
        """The metrics' texts by the names by which numbers refer to them.

        Raises:
            ValueError: if two have one name.
        """
        if isinstance(self.metrics, dict):
            return dict(self.metrics)
        found: dict[str, str] = {}
        for text in self.metrics:
            name = text.partition(":")[0].strip()
            if name in found:
                raise ValueError(
                    f"metrics: two are called {name!r}; give them names, e.g. metrics: {{few: {found[name]!r}, "
                    f"many: {text!r}}}"
                )
            found[name] = text
        return found

    @property
    def problem_names(self) -> tuple[str, ...]:
        """The problems; one without a name if the study names none."""
        return tuple(self.problems) or ("",)

    def arm_names(self, problem: str) -> tuple[str, ...]:
        """The arms that take part in a problem."""
        return tuple(name for name, arm in self.arms.items() if not arm.only or problem in arm.only)

    def label(self, arm: str) -> str:
        """How tables call an arm."""
        return self.arms[arm].label or arm

    def column(self, name: str) -> Column:
        """The column of that name, or of the number of that name if the study describes none."""
        known = self.numbers.get(name, Column())
        return known if known.of else known.model_copy(update={"of": name})

    def in_full(self) -> Study:
        """The whole protocol.

        Raises:
            SpecError: if the study has none beside what it says.
        """
        if self.full is None:
            raise SpecError("this study has no other protocol under full; leave out --full")
        full = self.full
        arms = dict(self.arms)
        for name, arm in full.arms.items():
            arms[name] = _over(arms[name], arm) if name in arms else arm
        problems = {name: layered(self.problems.get(name, {}), new) for name, new in full.problems.items()}
        changed: dict[str, Any] = {
            "base": layered(self.base, full.base),
            "problems": self.problems | problems,
            "arms": arms,
            "full": None,
        }
        changed |= {key: value for key in ("seeds", "metrics", "stack") if (value := getattr(full, key)) is not None}
        return Study.model_validate({**dict(self), **changed})


def _over(arm: Arm, new: Arm) -> Arm:
    by_problem = {
        name: layered(arm.by_problem.get(name, {}), new.by_problem.get(name, {}))
        for name in {**arm.by_problem, **new.by_problem}
    }
    said: dict[str, Any] = {key: getattr(new, key) for key in ("only", "label", "note") if key in new.model_fields_set}
    return arm.model_copy(update={"settings": layered(arm.settings, new.settings), "by_problem": by_problem, **said})


def named(things: dict[str, Any], what: str) -> None:
    """Refuse names that cannot be typed after --only, or be told apart.

    Raises:
        ValueError: naming the first.
    """
    if len(things) > _MOST_NAMES:
        raise ValueError(f"{len(things)} {what}s, expected at most {_MOST_NAMES}")
    for name in things:
        if not name.strip() or name != name.strip() or len(name) > _LONGEST or "@" in name or not name.isprintable():
            raise ValueError(f"{name!r} is no name for {what}s: use up to {_LONGEST} printable characters and no @")


def _require(name: str, known: Iterable[str], where: str, what: str) -> None:
    known = list(known)
    if name not in known:
        raise ValueError(f"{where}: no {what} is called {name!r}{did_you_mean(name, known, say=f'{what}s')}")


def _check_number(where: str, of: str, aliases: dict[str, str], columns: Iterable[str] = ()) -> None:
    """Refuse a number that no run can have: of a metric that is not measured, or of training, misspelt."""
    head, dot, _ = of.partition(".")
    if of in (*TRAINING, "seconds") or (dot and head in (*aliases, "mapping")):
        return
    known: Sequence[str] = [*columns, *TRAINING, "seconds", *(f"{alias}.…" for alias in (*aliases, "mapping"))]
    raise ValueError(f"{where}: no number is called {of!r}{did_you_mean(of, known, say='numbers')}")
