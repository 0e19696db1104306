"""How does whatever a user holds become examples? By the reader for such objects; three parts become one.

This is the one door for `fit`, `make_dataset` and what a trained run is asked about.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from intel_core.errors import DataError, SpecError, did_you_mean
from intel_core.reading.capabilities import Examples
from intel_core.reading.frames import refuse_other_rows
from intel_core.reading.inputs import Choose, InputSpec, as_it_comes, reader_class, reader_of
from intel_core.reading.labelling import labels_beside, renumbered

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Given", "drawn", "examples_of", "gather", "is_readable", "no_data"]

_PART = ("training", "validation", "test")


class Given(NamedTuple):
    """What a user holds, read.

    Attributes:
        examples: all of them.
        rows: row numbers of the training, validation and test part, if they were given apart.
        reader: who read them, as text; empty where its defaults say everything.
    """

    examples: Examples
    rows: tuple[Tensor, Tensor, Tensor] | None
    reader: str


def is_readable(given: object) -> bool:
    """Whether some reader knows such objects.

    >>> is_readable([[1.0, 2.0]]), is_readable("digits"), is_readable(5)
    (True, False, False)
    """
    return reader_class(given) is not None


def examples_of(
    name: str, given: Any, choose: Choose = as_it_comes, options: Mapping[str, Any] | None = None
) -> Examples:
    """The examples that an object holds, in their own order and units.

    Args:
        name: of the data, for messages.
        given: the object.
        choose: as of `InputSpec.read`.
        options: fields of the reader's spec.

    Raises:
        DataError: if nothing reads it, with the way that works; or as its reader says.

    >>> examples_of("x", [[1, 2], [3, 4]]).x.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    reader = reader_of(given, options)
    if reader is None:
        raise DataError(no_data(name, given, whole=False))
    try:
        parts = reader.parts(given)
    except DataError:
        raise DataError(no_data(name, given, whole=False)) from None
    if parts is not None:
        raise DataError(f"{name}: a {type(given).__name__} of several parts; give one of them")
    return reader.read(name, given, choose)


def gather(name: str, given: Any, labels: Any = None, options: Mapping[str, Any] | None = None) -> Given:
    """All examples that an object holds, with their labels and the parts, if it is split.

    Args:
        name: of the data, for messages.
        given: the object.
        labels: ``(n,)`` beside the examples; the name of a column; or for three parts three of these.
        options: fields of the reader's spec.

    Raises:
        DataError: if nothing reads it, with the way that works; or as its reader says.
        SpecError: if its reader knows no such option.
    """
    options = dict(options or {})
    if isinstance(given, type):
        raise DataError(f"{name}: {given.__name__} is a class; give an object of it")
    if isinstance(labels, str):
        if options.get("label", labels) != labels:
            raise SpecError(f"labels={labels!r} and label={options['label']!r} say two things; give one of them")
        options["label"], labels = labels, None
    reader = reader_of(given)
    if reader is None:
        raise DataError(no_data(name, given))
    parts = reader.parts(given)
    if parts is not None:
        return _of_parts(name, parts, labels, options)
    _refuse_unknown(name, given, options)
    reader = reader_of(given, options)
    assert reader is not None
    found = _read(name, reader, given, labels)
    return Given(found, None, "" if type(reader)() == reader else str(reader))


def _refuse_unknown(name: str, given: Any, options: Mapping[str, Any]) -> None:
    """Refuse the name of a column where there are none."""
    spec_class = reader_class(given)
    assert spec_class is not None
    if "label" in options and "label" not in spec_class.model_fields:
        raise DataError(
            f"{name}: labels={options['label']!r} names a column, but a {type(given).__name__} has no named columns; "
            "give the labels themselves, labels=y"
        )
    if "conditions" in options and "conditions" not in spec_class.model_fields:
        raise DataError(
            f"{name}: conditions={list(options['conditions'])!r} name columns, but a {type(given).__name__} has no "
            "named columns; give their values, conditions={'name': values}"
        )


def _read(name: str, reader: InputSpec, given: Any, labels: Any, choose: Choose = as_it_comes) -> Examples:
    """The examples, with the labels that are given beside them."""
    refuse_other_rows(name, "labels", given, labels)
    found = reader.read(name, given, choose)
    if labels is None:
        return found
    numbers, names = labels_beside(name, labels, len(found.x))
    return found._replace(labels=numbers, class_names=names, unlabelled=())


# --- parts that are given apart ----------------------------------------------------------------------------------


def _of_parts(name: str, parts: Sequence[Any], labels: Any, options: dict[str, Any]) -> Given:
    import torch

    if labels is not None and not (isinstance(labels, tuple | list) and len(labels) == 3):
        raise DataError(f"{name}: three parts have three arrays of labels: labels=(train, validation, test)")
    beside = labels if labels is not None else (None, None, None)
    found: list[Examples | None] = []
    reader = ""
    for which, part, of_part in zip(_PART, parts, beside, strict=True):
        if part is None:
            found.append(None)
            continue
        where = f"{name}: {which} part"
        if reader_class(part) is None:
            raise DataError(no_data(where, part))
        _refuse_unknown(where, part, options)
        one = reader_of(part, options)
        assert one is not None
        if one.parts(part) is not None:
            raise DataError(f"{where}: a {type(part).__name__} of several parts")
        first = found[0] if found else None
        choose = _columns_of(where, first.columns) if first is not None and first.columns else as_it_comes
        found.append(_read(where, one, part, of_part, choose))
        reader = reader or ("" if type(one)() == one else str(one))
    if found[0] is None:
        raise DataError(f"{name}: there is no training part")
    there = [part for part in found if part is not None]
    joined = _joined(name, there)
    numbers = iter(torch.split(torch.arange(len(joined.x)), [len(part.x) for part in there]))
    empty = torch.zeros(0, dtype=torch.int64)
    rows = [empty if part is None else next(numbers) for part in found]
    return Given(joined, (rows[0], rows[1], rows[2]), reader)


def _columns_of(name: str, known: Sequence[str]) -> Choose:
    """Finds the columns of the training part."""

    def choose(names: Sequence[str]) -> list[int] | None:
        missing = [column for column in known if column not in names]
        if missing:
            raise DataError(
                f"{name}: there is no column {missing[0]!r}, as the training part has"
                f"{did_you_mean(missing[0], names, say='columns')}"
            )
        return [list(names).index(column) for column in known]

    return choose


def _joined(name: str, parts: Sequence[Examples]) -> Examples:
    """Parts one below the other; classes of the same name are the same class.

    Raises:
        DataError: if they are of different shapes or types, or only some have labels.
    """
    import torch

    shapes = {tuple(part.x.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise DataError(f"{name}: the parts have examples of shapes {' and '.join(map(str, sorted(shapes)))}")
    if len({part.x.dtype == torch.uint8 for part in parts}) > 1:
        raise DataError(f"{name}: one part holds bytes, which stand for x / 255, and another one other numbers")
    has = [part.labels is not None for part in parts]
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    if all(has):
        classes = tuple(dict.fromkeys(one for part in parts for one in part.class_names))
        if any(set(part.class_names) != set(classes) for part in parts):
            classes = tuple(sorted(classes))
        labels = torch.cat([_renumbered(name, part, classes) for part in parts])
    elif any(has):
        raise DataError(f"{name}: some parts have labels and others have none")
    dtype = torch.promote_types(parts[0].x.dtype, parts[-1].x.dtype)
    x = torch.cat([part.x.to(torch.promote_types(dtype, part.x.dtype)) for part in parts])
    names = tuple(one for part in parts for one in part.names)
    begins = itertools.accumulate((len(part.x) for part in parts), initial=0)
    unlabelled = tuple(begin + row for begin, part in zip(begins, parts, strict=False) for row in part.unlabelled)
    return Examples(x, labels, classes, parts[0].columns, names, _conditions_of(parts), unlabelled=unlabelled)


def _conditions_of(parts: Sequence[Examples]) -> dict[str, Any]:
    """Conditions of all parts, one below the other."""
    import numpy as np

    return {key: np.concatenate([np.asarray(part.conditions[key]) for part in parts]) for key in parts[0].conditions}


def _renumbered(name: str, part: Examples, classes: tuple[str, ...]) -> Tensor:
    assert part.labels is not None
    if part.class_names == classes:
        return part.labels
    if not part.class_names:
        raise DataError(f"{name}: the labels of one part are numbers, and those of another one words")
    return renumbered(part.labels, [classes.index(one) for one in part.class_names], part.unlabelled)


def drawn(rows: Sequence[Tensor], shares: Sequence[float], seed: int, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Parts that were not given, drawn from the training rows by their shares, which a warning says.

    Raises:
        DataError: if too few training rows are left.
    """
    import torch

    parts = list(rows)
    n = len(parts[0])
    for part in (1, 2):
        if len(parts[part]):
            continue
        count = max(1, round(shares[part - 1] * n))
        order = torch.randperm(len(parts[0]), generator=torch.Generator().manual_seed((seed + part) % 2**32))
        parts[part], parts[0] = parts[0][order[:count]].sort().values, parts[0][order[count:]].sort().values
        warnings.warn(
            f"{name}: {count:,} of the {n:,} training rows are held out as the {_PART[part]} part, which is not given",
            stacklevel=4,
        )
    if len(parts[0]) < 2:
        raise DataError(f"{name}: {len(parts[0])} training rows are too few to train on")
    return parts[0], parts[1], parts[2]


# --- what is none ------------------------------------------------------------------------------------------------


def no_data(name: str, given: object, *, whole: bool = True) -> str:
    """What is said of something that nothing reads, with what would make data of it.

    Args:
        name: of the data.
        given: the object.
        whole: whether a data set is asked for, which may be split and have a name, and not only examples.
    """
    advice = ""
    if hasattr(given, "__next__") or (hasattr(given, "__iter__") and not hasattr(given, "__len__")):
        advice = "; it has no length: list(data) makes a list of it, if it ends"
    elif hasattr(given, "train") and hasattr(given, "test"):
        advice = "; give one of its parts, such as .test"
    elif hasattr(given, "__iter__") and not isinstance(given, str | bytes | dict):
        advice = "; list(data) makes a list of it"
    more = ', (train, validation, test), a Dataset, or a text such as "digits"' if whole else ""
    return (
        f"{name}: a {type(given).__name__}; expected an array, a tensor, a data frame, a list of rows, a data set or "
        f"data loader of torch{more}{advice}"
    )
