"""Which cluster of one run is which of another? Numbers of things without an order, matched before they are averaged.

Cluster 2 of one seed is not cluster 2 of another: their numbering says nothing. Such numbers are told by their names,
or by `Number.unordered` where a metric says so, and are numbered anew: by the labels that lie in each thing, or else by
size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from intel_core.errors import EnvironmentProblem
from intel_core.evaluation.measurement import Measurement, Number

__all__ = ["Matched", "Place", "match", "question_of", "unordered_names"]

_THINGS = {
    "cluster",
    "clusters",
    "component",
    "components",
    "mode",
    "modes",
    "expert",
    "sector",
    "centroid",
    "prototype",
}
"""What has no order, whichever indices there are."""
_KEPT = {
    *("at", "of", "top", "order", "degree", "betti", "step", "epoch", "layer", "level", "levels", "scale", "depth"),
    *("class", "classes", "label", "digit", "quantile", "percentile", "within", "than", "first", "last", "seed"),
}
"""Words after which a number has a meaning of its own: level 0 is the top one in every run, class 3 the data's."""
_INDEX = re.compile(r"(?:(?P<word>[A-Za-z]+)[ _]*)?(?<![\d.])(?P<index>\d+)(?![A-Za-z\d]|\.\d)")
_GLUED = re.compile(r"[A-Za-z]\d")
_MANY = 3
"""So many names with one beginning are answers to one question."""


class Place(NamedTuple):
    """Where the name of a number has an index: the name around it, the word before it, and the index itself."""

    head: str
    tail: str
    word: str
    number: int

    @property
    def stem(self) -> str:
        """The name with an ellipsis in the place of the index."""
        return f"{self.head}…{self.tail}"

    def at(self, index: int) -> str:
        """The name with another index."""
        return f"{self.head}{index}{self.tail}"


class Matched(NamedTuple):
    """The numbers of one metric of several runs, with those of unordered things numbered alike.

    Attributes:
        numbers: by run.
        unordered: names of numbers of things that have no order.
        how: a sentence about them; empty where there are none, or one run alone.
    """

    numbers: list[dict[str, Number]]
    unordered: frozenset[str]
    how: str = ""


def _place(name: str) -> Place | None:
    """The index in a name, if it has one that stands by itself, or after a word of three letters, y or z.

    >>> _place("data in cluster 3").stem, _place("cluster_3_share").number, _place("b1 of z"), _place("sliced W2")
    ('data in cluster …', 3, None, None)
    """
    for found in _INDEX.finditer(name):
        word = (found["word"] or "").lower()
        glued = found.start("index") > 0 and _GLUED.match(name, found.start("index") - 1) is not None
        if not glued or len(word) > 2 or word in ("y", "z"):
            return Place(name[: found.start("index")], name[found.end("index") :], word, int(found["index"]))
    return None


def unordered_names(numbers: Mapping[str, Number]) -> dict[str, Place]:
    """Which of a metric's numbers belong to one of several things that have no order of their own.

    A metric may say so by `Number.unordered`. Otherwise the name tells: what follows "cluster" or a word like it has
    no order, what follows "level", "class" or "at" has a meaning of its own, and of other names those have none that
    count 0, 1, 2 … or 1, 2, 3 ….

    >>> names = ("data in cluster 0", "data in cluster 1", "level 0 change", "level 1 change", "accuracy at 10", "nmi")
    >>> list(unordered_names({name: Number(value=0.5) for name in names}))
    ['data in cluster 0', 'data in cluster 1']
    """
    places = {name: place for name in numbers if (place := _place(name)) is not None}
    indices: dict[str, set[int]] = {}
    for place in places.values():
        indices.setdefault(place.stem, set()).add(place.number)

    def is_unordered(name: str, place: Place) -> bool:
        said, seen = numbers[name].unordered, sorted(indices[place.stem])
        if said is not None or len(seen) < 2:
            return bool(said)
        counted = seen == list(range(seen[0], seen[0] + len(seen))) and seen[0] in (0, 1)
        return place.word in _THINGS or (counted and place.word not in _KEPT)

    return {name: place for name, place in places.items() if is_unordered(name, place)}


def question_of(name: str, names: Sequence[str]) -> str:
    """Which of a metric's questions a number answers: one for each row of numbers with an index or a class's name.

    Args:
        name: one of the names.
        names: all names of the metric's numbers.

    Returns:
        What the names of the row have in common; empty for the numbers that stand by themselves.

    >>> names = ["uncertain", "accuracy at 10", "accuracy at 20", "share of cat", "share of dog", "share of 7"]
    >>> [question_of(name, names) for name in names]
    ['', 'accuracy at …', 'accuracy at …', 'share of …', 'share of …', 'share of …']
    """
    head, of, _ = name.partition(" of ")
    if of and sum(other.startswith(f"{head} of ") for other in names) >= _MANY:
        return f"{head} of …"
    place = _place(name)
    if place is None:
        return ""
    stems = [found.stem for other in names if (found := _place(other)) is not None]
    return place.stem if stems.count(place.stem) > 1 else ""


def match(measured: Sequence[Measurement]) -> Matched:
    """The numbers of a metric of several runs, so that those of unordered things can be averaged by name.

    Where every run has counts of labels in each thing (``details["contingency"]``, a row each, a column for each of
    ``details["classes"]``), things are matched to those of the first run so that they share as many labelled examples
    as possible, as shares of all. Elsewhere they are numbered by size: by the first of their numbers, largest first.

    Raises:
        EnvironmentProblem: if scipy is not installed.

    >>> def run(*shares):
    ...     return Measurement(numbers={f"cluster {i}": Number(value=v) for i, v in enumerate(shares)}, protocol={})
    >>> [[one.value for one in numbers.values()] for numbers in match([run(0.2, 0.8), run(0.7, 0.3)]).numbers]
    [[0.8, 0.2], [0.7, 0.3]]
    """
    kinds = [_kinds(unordered_names(one.numbers)) for one in measured]
    names = frozenset(name for one in kinds for places in one.values() for name in places)
    renamed: list[dict[str, str]] = [{} for _ in measured]
    how = []
    for kind in dict.fromkeys(stem for one in kinds for stem in one) if len(measured) > 1 else ():
        having = [i for i, one in enumerate(kinds) if kind in one]
        new, told = _numbered([measured[i] for i in having], [kinds[i][kind] for i in having])
        for i, names_of_run in zip(having, new, strict=True):
            renamed[i] |= names_of_run
        how.append(told)
    numbers = [_in_order(one, names_of_run) for one, names_of_run in zip(measured, renamed, strict=True)]
    return Matched(numbers, names | {new for one in renamed for new in one.values()}, "; ".join(dict.fromkeys(how)))


def _kinds(places: Mapping[str, Place]) -> dict[str, dict[str, Place]]:
    """Names by the things that they are about, those with the same indices together, by the first of their stems."""
    indices: dict[str, set[int]] = {}
    for place in places.values():
        indices.setdefault(place.stem, set()).add(place.number)
    first = {stem: next(s for s, others in indices.items() if others == own) for stem, own in indices.items()}
    found: dict[str, dict[str, Place]] = {}
    for name, place in places.items():
        found.setdefault(first[place.stem], {})[name] = place
    return found


def _numbered(measured: Sequence[Measurement], places: Sequence[dict[str, Place]]) -> tuple[list[dict[str, str]], str]:
    """New names of the numbers of one kind of things in each run, and how they were found, in a sentence."""
    indices = [sorted({place.number for place in one.values()}) for one in places]
    tables = [_table(one, len(kept)) for one, kept in zip(measured, indices, strict=True)]
    if all(
        table is not None and _classes(one) == _classes(measured[0])
        for one, table in zip(measured, tables, strict=True)
    ):
        new = [_by_labels(tables[0], indices[0], table, own) for table, own in zip(tables, indices, strict=True)]
        how = "by the labels that lie in them"
    else:
        new = [
            dict(zip(_by_size(one, named, own), own, strict=True))
            for one, named, own in zip(measured, places, indices, strict=True)
        ]
        how = f"by size ({next(iter(places[0].values())).stem.replace('_', ' ')}, largest first)"
    names = [
        {name: place.at(numbers[place.number]) for name, place in one.items()}
        for one, numbers in zip(places, new, strict=True)
    ]
    return names, f"{_in_words(places[0])} have no order; matched {how}, not tested"


def _in_order(one: Measurement, new: Mapping[str, str]) -> dict[str, Number]:
    """The numbers under their new names, in the order of those."""
    found = {new.get(name, name): number for name, number in one.numbers.items()}
    return {name: found[name] for name in dict.fromkeys([*(name for name in one.numbers if name in found), *found])}


def _in_words(places: Mapping[str, Place]) -> str:
    """What has no order, in a word or two."""
    words = [place.word for place in places.values() if place.word in _THINGS]
    kept = words[0].removesuffix("s") + "s" if words else ", ".join(dict.fromkeys(p.stem for p in places.values()))
    return kept.replace("_", " ")


def _by_size(one: Measurement, places: Mapping[str, Place], indices: Sequence[int]) -> list[int]:
    """Indices by the first row of numbers that all of them have, the largest first."""
    rows: dict[str, dict[int, float]] = {}
    for name, place in places.items():
        rows.setdefault(place.stem, {})[place.number] = one.numbers[name].value
    sizes = next((row for row in rows.values() if len(row) == len(indices)), next(iter(rows.values())))
    return sorted(indices, key=lambda index: -sizes.get(index, float("-inf")))


def _table(one: Measurement, things: int) -> list[list[float]] | None:
    """How the labelled examples lie in each thing, as shares of all; None where it is not stored."""
    stored: Any = one.details.get("contingency")
    if not isinstance(stored, list) or len(stored) != things or _classes(one) is None:
        return None
    widths = {len(row) if isinstance(row, list) else 0 for row in stored}
    if widths != {len(_classes(one) or ())} or not all(_is_count(value) for row in stored for value in row):
        return None
    total = sum(map(sum, stored))
    return [[value / total for value in row] for row in stored] if total > 0 else None


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _classes(one: Measurement) -> list[Any] | None:
    stored = one.details.get("classes")
    return stored if isinstance(stored, list) and stored else None


def _by_labels(
    reference: list[list[float]] | None, kept: Sequence[int], table: list[list[float]] | None, own: Sequence[int]
) -> dict[int, int]:
    """The index in the reference of each own index, by the largest overlap of labelled examples (Kuhn 1955)."""
    assert reference is not None
    assert table is not None
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise EnvironmentProblem("clusters are matched by scipy: pip install 'intelvae-core[comparing]'") from None
    overlap = [[sum(map(min, mine, theirs)) for theirs in reference] for mine in table]
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    new = {own[int(i)]: kept[int(j)] for i, j in zip(rows, columns, strict=True)}
    # More things than in the reference: what is left over keeps numbers that the reference does not have.
    free = iter(sorted({*own, *range(max(kept) + 1, max(kept) + 1 + len(own))} - set(kept)))
    return new | {index: next(free) for index in own if index not in new}
