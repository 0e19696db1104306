"""Which conditions do examples have, and as which numbers do encoder and decoder see them?

A condition is known of each example beside its values, such as a batch, a donor's age or a class: the model describes
p(x|z, c) and q(y|x, c) instead of p(x|z) and q(y|x) (a conditional VAE, Sohn et al., 2015), and y need not tell what c
tells. p(y) and the mapping do not depend on c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from intel_core.errors import DataError, did_you_mean
from intel_core.reading.values import is_missing

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

__all__ = ["Condition", "Conditions", "as_column", "conditions_beside", "learned_conditions"]

_MOST_LEVELS = 1000
_MOST_SEEN = 1000
"""Training examples whose conditions a run keeps, to draw from where a sample is asked for without any."""


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        name: of the column, or ``label``.
        levels: its words, each of which is a number that is 1 where the condition is this word, and else 0; empty for
            a condition that is a number.
        mean: of the training examples.
        std: the deviation by which it is divided.

    >>> Condition("batch", ("a", "b")).encode(["b", "a"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    >>> Condition("age", (), 40.0, 10.0).encode([50, 30]).tolist()
    [[1.0], [-1.0]]
    """

    name: str
    levels: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return len(self.levels) or 1

    def encode(self, values: Any) -> Tensor:
        """What the networks see of values ``(n,)``: ``(n, width)``.

        Raises:
            DataError: if one is missing, no number, or a word that no training example has.
        """
        import numpy as np
        import torch

        raw = as_column(self.name, values)
        if self.levels:
            words = _as_words(raw)
            places = {level: place for place, level in enumerate(self.levels)}
            unknown = next((word for word in words if word not in places), None)
            if unknown is not None:
                hint = did_you_mean(unknown, list(self.levels), say="values")
                raise DataError(f"condition {self.name}: no training example has {unknown!r}{hint}")
            found = torch.tensor([places[word] for word in words], dtype=torch.int64)
            return torch.nn.functional.one_hot(found, len(self.levels)).float()
        if raw.dtype.kind == "O":
            raise DataError(f"condition {self.name}: {raw[0]!r} is no number")
        return torch.from_numpy((raw.astype(np.float64) - self.mean) / self.std).float().unsqueeze(1)

    def decode(self, seen: Tensor) -> list[str] | list[float]:
        """The values that the networks see as ``seen``, ``(n, width)``; the inverse of `encode`.

        >>> import torch
        >>> Condition("batch", ("a", "b")).decode(torch.tensor([[0.0, 1.0]]))
        ['b']
        >>> Condition("age", (), 40.0, 10.0).decode(torch.tensor([[1.0]]))
        [50.0]
        """
        if self.levels:
            return [self.levels[place] for place in seen.argmax(1).tolist()]
        found: list[float] = (seen[:, 0].double() * self.std + self.mean).tolist()
        return found


@dataclass(frozen=True)
class Conditions:
    """All conditions of a data set.

    Attributes:
        columns: each.
        seen: those of up to 1,000 training examples as the networks see them, ``(m, C)`` as rows of numbers.
    """

    columns: tuple[Condition, ...]
    seen: tuple[tuple[float, ...], ...] = ()

    def having_seen(self, train: Tensor) -> Conditions:
        """These, with rows spread evenly over those of the training examples ``(n, C)``."""
        import torch

        rows = torch.linspace(0, len(train) - 1, min(len(train), _MOST_SEEN)).round().long()
        return replace(self, seen=tuple(tuple(row) for row in train[rows].tolist()))

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Conditions | None:
        """Those of the description of data that a run keeps; None if it has none.

        Raises:
            DataError: if they are not written as `summary` writes them.
        """
        written = data.get("conditions")
        if not written:
            return None
        try:
            columns = tuple(
                Condition(str(one["name"]), tuple(map(str, one["levels"])), float(one["mean"]), float(one["std"]))
                for one in written["columns"]
            )
            seen = tuple(tuple(map(float, row)) for row in written["seen"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the conditions of the run cannot be understood: {error!r}"[:300]) from None
        found = cls(columns, seen)
        if any(len(row) != found.width for row in seen):
            raise DataError("the conditions of the run cannot be understood: rows of other lengths")
        return found

    def summary(self) -> dict[str, Any]:
        """As a run keeps them."""
        columns = [{**asdict(one), "levels": list(one.levels)} for one in self.columns]
        return {"columns": columns, "seen": [list(row) for row in self.seen]}

    @property
    def names(self) -> tuple[str, ...]:
        """Of each."""
        return tuple(one.name for one in self.columns)

    @property
    def width(self) -> int:
        """How many numbers the networks see, C."""
        return sum(one.width for one in self.columns)

    def encode(self, raw: Mapping[str, Any]) -> Tensor:
        """What the networks see of values ``(n,)`` by name: ``(n, C)``.

        Raises:
            DataError: if one is missing, or its values are wrong.
        """
        import torch

        for name in self.names:
            if name not in raw:
                others = [one for one in raw if one not in self.names]
                hint = did_you_mean(name, others, say="conditions") if others else ""
                raise DataError(f"condition {name!r} is missing{hint}; the run was trained with {self.said}")
        return torch.cat([one.encode(raw[one.name]) for one in self.columns], 1)

    @property
    def said(self) -> str:
        """Their names in words, with the values of those that are words."""
        return ", ".join(
            one.name + (f" ({', '.join(one.levels[:5])}{', …' if len(one.levels) > 5 else ''})" if one.levels else "")
            for one in self.columns
        )

    def read(self, given: Any, n: int) -> Tensor:
        """What a user says of n examples as the networks see it, ``(n, C)``.

        Args:
            given: values by name, ``{"batch": "a", "age": ages}``, or a data frame; of a single condition also its
                values alone. A single value holds for all examples.
            n: how many examples there are.

        Raises:
            DataError: if a condition is missing or unknown, its values are wrong, or there are more or fewer than n.
        """
        raw = _by_name(given, self.names)
        for name in raw:
            if name not in self.names:
                hint = did_you_mean(name, list(self.names), say="conditions")
                raise DataError(f"the run was not trained with a condition {name!r}{hint}; it has {self.said}")
        columns = {name: as_column(name, values) for name, values in raw.items()}
        for name, values in columns.items():
            if len(values) not in (1, n):
                raise DataError(
                    f"condition {name}: {len(values)} values for {n} examples; expected one for each, or one"
                )
        return self.encode({name: v if len(v) == n else v.repeat(n) for name, v in columns.items()})

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Conditions of n training examples, drawn from those that were kept, ``(n, C)``."""
        import torch

        seen = torch.tensor(self.seen, dtype=torch.float32).reshape(-1, self.width)
        return seen[torch.randint(len(seen), (n,), generator=generator, device=generator.device).cpu()]


def learned_conditions(raw: Mapping[str, Any], train: Tensor) -> tuple[Conditions | None, Tensor | None]:
    """The conditions that the training rows say, and what the networks see of all rows ``(n, C)``; None without any.

    Words get a number each, numbers are standardised.

    Args:
        raw: values ``(n,)`` by name.
        train: row numbers of the training examples.

    Raises:
        DataError: if a value is missing, or there are more than 1,000 words.

    >>> import torch
    >>> raw = {"batch": ["a", "b", "a"], "age": [30, 50, 40]}
    >>> found, seen = learned_conditions(raw, torch.tensor([0, 1]))
    >>> found.width, found.encode({"batch": ["b"], "age": [60]}).tolist(), seen.shape
    (3, [[0.0, 1.0, 2.0]], torch.Size([3, 3]))
    """
    if not raw:
        return None, None
    found = Conditions(tuple(_learned(name, as_column(name, values), train) for name, values in raw.items()))
    seen = found.encode(raw)
    return found.having_seen(seen[train]), seen


def as_column(name: str, values: Any) -> np.ndarray[Any, Any]:
    """Values of one condition ``(n,)``: numbers, or words as objects; a single one is a column of one.

    Raises:
        DataError: if they are more than one for each example, or one is missing.
    """
    import numpy as np

    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    try:
        raw = np.atleast_1d(np.asarray(values))
    except ValueError:
        raw = np.empty((0, 0))
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.ndim != 1:
        raise DataError(f"condition {name}: expected one value for each example, not values of shape {raw.shape}")
    if raw.dtype.kind not in "biufOUS":
        raise DataError(f"condition {name}: expected numbers or words, not {raw.dtype}")
    if raw.dtype.kind == "O":
        there = [value for value in raw.tolist() if not is_missing(value)]
        numbers = len(there) == len(raw) and all(isinstance(value, int | float | np.number) for value in there)
        raw = raw.astype(np.float64) if numbers and not any(isinstance(value, bool) for value in there) else raw
    gaps = [is_missing(value) for value in raw.tolist()]
    if any(gaps):
        raise DataError(
            f"condition {name}: missing in {sum(gaps)} of {len(raw)} examples, the first is row {gaps.index(True)}; "
            "leave these out, or fill them in"
        )
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise DataError(f"condition {name}: a value is infinite")
    return raw.astype(object) if raw.dtype.kind in "US" else raw


def _as_words(raw: np.ndarray[Any, Any]) -> list[str]:
    """Values as words; whole numbers are written as such, 3.0 as 3."""
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in raw.tolist()]


def _learned(name: str, raw: np.ndarray[Any, Any], train: Tensor) -> Condition:
    import numpy as np

    if raw.dtype.kind in "Ob":
        levels = tuple(sorted(set(_as_words(raw))))
        if len(levels) > _MOST_LEVELS:
            raise DataError(f"condition {name}: {len(levels):,} different words; expected at most {_MOST_LEVELS:,}")
        return Condition(name, levels)
    numbers = raw.astype(np.float64)[train.numpy()]
    std = float(numbers.std())
    return Condition(name, (), float(numbers.mean()), std if std > 0 else 1.0)


def _by_name(given: Any, names: Sequence[str]) -> dict[str, Any]:
    """Values by the names of conditions.

    Raises:
        DataError: if they have no names, and there are several conditions.
    """
    if isinstance(given, Mapping):
        return dict(given)
    if _has_names(given):
        from intel_core.reading.frames import columns_of_frame

        return {column.name: column.values() for column in columns_of_frame("conditions", given)}
    if len(names) == 1:
        return {names[0]: given}
    raise DataError(f"conditions: expected values by name, such as {{{names[0]!r}: …}}, for {', '.join(names)}")


def _has_names(given: Any) -> bool:
    """Whether values come by name: in a dictionary, or in a data frame."""
    return isinstance(given, Mapping) or (hasattr(given, "columns") and not hasattr(given, "ravel"))


def conditions_beside(name: str, given: Any, n: int) -> dict[str, Any]:
    """Conditions that are given beside n examples: values by name, a data frame, or an array ``(n,)`` or ``(n, k)``.

    The columns of an array are called ``condition``, or ``condition 0``, ``condition 1``, ….

    Raises:
        DataError: if there are more or fewer than examples.
    """
    import numpy as np

    if _has_names(given):
        raw = _by_name(given, ())
    else:
        array = np.asarray(given.detach().cpu().numpy() if hasattr(given, "detach") else given)
        several = array.ndim == 2 and array.shape[1] > 1
        raw = {f"condition {i}": array[:, i] for i in range(array.shape[1])} if several else {"condition": array}
    columns = {str(key): as_column(str(key), values) for key, values in raw.items()}
    if not columns:
        raise DataError(f"{name}: conditions are empty; leave conditions= out")
    for key, values in columns.items():
        if len(values) != n:
            raise DataError(f"{name}: condition {key} has {len(values)} values for {n} examples")
    return columns
