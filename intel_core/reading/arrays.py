"""How do arrays become a data set? They are checked, converted, and split at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field

from intel_core.data.dataset import Dataset, DatasetSpec, Split, Support
from intel_core.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor
from intel_core.reading.codes import warn_of_codes
from intel_core.reading.conditions import as_column, conditions_beside, learned_conditions
from intel_core.reading.frames import refuse_other_rows
from intel_core.reading.given import drawn, gather
from intel_core.reading.inputs import all_options, reader_class
from intel_core.reading.labelling import refuse_unlabelled
from intel_core.reading.missing import (
    GivenDataset,
    Missing,
    check_missing,
    columns_with_gaps,
    complete_rows,
    fill_of,
    filled,
)
from intel_core.reading.scale import Standardize, in_float32, require_float32, standardized
from intel_core.reading.splitting import shares_of, split_rows
from intel_core.reading.values import read_exactly

__all__ = [
    "MemorySpec",
    "check_examples",
    "make_dataset",
    "support_of",
]

_LEAST_SIDE = 8
"""An array with a last dimension of 1, 3 or 4, and the two before it at least this large, has its channels last."""


class MemorySpec(DatasetSpec):
    """Arrays that were passed from Python: a run directory records them, but they cannot be loaded again."""

    examples: int = Field(ge=0, description="number of examples")
    shape: tuple[int, ...] = Field(description="shape of one example")
    fingerprint: str = Field("", description="SHA-256 of the training data, first 16 digits")
    standardize: bool = Field(False, description="whether the values were scaled to mean 0 and variance 1")

    def load(self, data_dir: Path | None) -> Dataset:
        """Always raises an error, since the arrays are not kept.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"this data ({self.examples} examples of shape {list(self.shape)}) was passed as arrays from Python and "
            "is not kept; give it again, as data=… or dataset=…"
        )


def support_of(x: Tensor) -> Support:
    """The smallest of ``binary``, ``unit`` and ``real`` that holds all values.

    >>> import torch
    >>> support_of(torch.tensor([0.0, 0.5, 1.0]))
    'unit'
    """
    if x.dtype.is_floating_point and (float(x.min()) < 0 or float(x.max()) > 1):
        return "real"
    top = 255 if not x.dtype.is_floating_point else 1
    return "binary" if bool(((x == 0) | (x == top)).all()) else "unit"


def make_dataset(
    name: str,
    x: Any,
    labels: Any = None,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
    support: Support | None = None,
    class_names: tuple[str, ...] = (),
    standardize: Standardize = None,
    missing: Missing = "refuse",
    conditions: Any = None,
    **reading: Any,
) -> Dataset:
    """A data set from whatever holds examples, checked and split at random.

    Args:
        name: for messages.
        x: array, tensor or data frame ``(n, D)``, ``(n, C, H, W)``, or ``(n, H, W)`` for grey images, a sparse matrix,
            a data set or a data loader of torch, or what else an installed reader knows; or three of them, which are
            the training, validation and test part. A data frame's columns keep their names. Real numbers are taken as
            they are; uint8 stands for ``x / 255``, or for a mask if it holds only 0 and 1.
        labels: whole numbers or words ``(n,)``; the name of a column; or None, and then the only column of words.
        validation: share of the examples held out for validation.
        test: share of the examples held out for testing.
        split_seed: seed of the split, independent of the run's seed so that all runs see the same split.
        support: which values x takes; read off the data if None.
        class_names: names of the labels.
        standardize: scale each column of vectors, or all values of images alike, to mean 0 and variance 1, measured on
            the training rows; `Dataset.scaling` keeps how. ``"auto"``: only where the values are far from the scale
            that models are trained on, with a warning. If None such values are only warned of. A list of columns, by
            name or position: only these, so that counts and categories beside them stay what they are.
        missing: what becomes of rows in which values are missing (NaN, or empty cells): ``"refuse"`` them, ``"drop"``
            these rows, or fill them in by the ``"mean"`` or the ``"median"`` of the training rows.
        conditions: what encoder and decoder see beside x and z: names of columns, which are then not modelled; or
            values beside the examples, ``(n,)``, ``(n, k)`` or ``{"batch": batches, "age": ages}``. Words become a
            number for each word, numbers are standardised (`intel_core.reading.conditions`).
        **reading: what the reader of such objects is told: ``drop=``, ``columns=`` and ``id=`` of a data frame,
            ``layer=`` of an AnnData; see ``intel plugins list inputs``.

    Raises:
        DataError: for values that are masked, missing or not finite, constant data, a wrong shape, too few examples, or
            shares that are not in [0, 1).
        SpecError: for an option that the reader does not know, or another word for `support`.

    >>> import numpy as np
    >>> data = make_dataset("noise", np.random.default_rng(0).normal(size=(100, 3)))
    >>> len(data.train), len(data.validation), len(data.test), data.support
    (80, 10, 10, 'real')
    """
    import torch

    check_missing(missing)
    validation, test = shares_of(name, validation, test)
    _check_words(name, x, support, reading)
    if isinstance(reading.get("columns"), list | tuple) and not reading["columns"]:
        raise SpecError(f"{name}: columns=[] names no column to model; leave it out to model all but the label")
    beside = None if conditions is None or _are_names(conditions) else conditions
    if conditions is not None and beside is None:
        reading["conditions"] = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    given = gather(name, x, labels, reading)
    found, parts = given.examples, given.rows
    if beside is not None:
        if parts is not None:
            raise DataError(f"{name}: conditions of three parts are named columns of theirs, not values beside them")
        refuse_other_rows(name, "conditions", x, beside)
        found = found._replace(conditions=conditions_beside(name, beside, len(found.x)))
    if not found.x.dim():
        _check_values(name, found.x)
    if missing != "drop":
        refuse_unlabelled(name, found.unlabelled, len(found.x))
    numbers = torch.arange(len(found.x))
    if missing == "drop" and (found.unlabelled or found.x.is_floating_point()):
        numbers = complete_rows(name, found.x, found.unlabelled)
        parts = None if parts is None else tuple(_places(numbers, part) for part in parts)  # type: ignore[assignment]
    x = found.x[numbers] if len(numbers) < len(found.x) else found.x
    gaps = x.is_floating_point() and bool(x.isnan().any())
    fills = missing in ("mean", "median") and x.is_floating_point() and (gaps or x.dim() < 3)
    x = _check_values(name, x.unsqueeze(1) if x.dim() in (1, 3) else x, found.columns, gaps=gaps and fills)
    columns = found.columns if x.dim() == 2 and len(found.columns) == x.shape[1] else ()
    if parts is None:
        rows = split_rows(name, len(x), validation, test, split_seed)
    else:
        rows = drawn(parts, (validation, test), split_seed, name)
    fill = fill_of(name, x, rows[0], missing, columns) if fills else ()
    x = filled(x, fill) if gaps else x
    if x.dtype != torch.uint8:
        warn_of_codes(name, x, columns)
    real = x.dtype != torch.uint8 and (support or support_of(x.float())) == "real"
    x, scaling = standardized(name, x, rows[0], standardize, real=real, columns=columns)
    x = in_float32(name, x)
    classes = class_names or found.class_names
    of = None if found.labels is None else found.labels[numbers]
    raw = {key: as_column(key, values)[numbers.numpy()] for key, values in found.conditions.items()}
    learned, seen = learned_conditions(raw, rows[0])
    everything = Split(x, of, "", numbers, seen)
    train, held_out, last = (everything.part(part) for part in rows)
    kind = support or support_of(x)
    dataset = Dataset(name, train, held_out, last, kind, classes, scaling, columns)
    if not given.reader and missing == "refuse" and learned is None:
        return dataset
    return GivenDataset(**vars(dataset), reader=given.reader, missing=missing, fill=fill, conditions=learned)


def _check_words(name: str, x: Any, support: object, reading: Mapping[str, Any]) -> None:
    """Refuse another word for the support, and an argument that neither `make_dataset` nor any reader has.

    Raises:
        SpecError: with the nearest one.
    """
    if support is not None and not (isinstance(support, str) and support in get_args(Support)):
        raise SpecError(f"{name}: support={support!r:.60}{did_you_mean(str(support), get_args(Support))}")
    of_readers = all_options()  # one of another reader is refused by the reader of x, which says what it knows
    for word in reading:
        if word not in of_readers:
            reader = reader_class(x)
            own = {"labels", *(make_dataset.__kwdefaults__ or {}), *(reader.model_fields if reader else ())}
            raise SpecError(f"{name}: make_dataset has no argument {word!r}{did_you_mean(word, own, say='arguments')}")


def _are_names(conditions: Any) -> bool:
    """Whether conditions are names of columns, and no values."""
    if isinstance(conditions, str):
        return True
    return isinstance(conditions, list | tuple) and all(isinstance(one, str) for one in conditions)


def _places(kept: Tensor, part: Tensor) -> Tensor:
    """Where the rows of a part are among those that are kept."""
    import torch

    return torch.isin(kept, part).nonzero().flatten()


def check_examples(name: str, x: Any) -> Tensor:
    """Examples, checked and converted to a float32 or uint8 tensor ``(n, D)`` or ``(n, C, H, W)``.

    Raises:
        DataError: for values or shapes that cannot be used; the message tells what is wrong, and in which row.
    """
    values = read_exactly(name, x).x
    return in_float32(name, _check_values(name, values.unsqueeze(1) if values.dim() in (1, 3) else values))


def _check_values(name: str, x: Tensor, columns: Sequence[str] = (), *, gaps: bool = False) -> Tensor:
    """Examples, checked; with `gaps` values may be missing."""
    import torch

    if x.dim() not in (2, 4):
        raise DataError(f"{name}: shape {tuple(x.shape)}; expected (n, D) for vectors or (n, C, H, W) for images")
    if x.dim() == 4 and x.shape[3] in (1, 3, 4) and min(x.shape[1:3]) >= _LEAST_SIDE:
        n, height, width, channels = x.shape
        raise DataError(
            f"{name}: shape {tuple(x.shape)} has its channels last; expected (n, C, H, W), "
            f"here {(n, channels, height, width)}: numpy.moveaxis(x, 3, 1) makes it"
        )
    if x.shape[0] < 4:
        raise DataError(f"{name}: {x.shape[0]} examples are too few to train on; at least 4 are needed")
    if x[0].numel() == 0:
        raise DataError(f"{name}: examples of shape {tuple(x.shape[1:])} are empty")
    if x.dtype != torch.uint8:
        bad = (x.isinf() if gaps else ~torch.isfinite(x)).flatten(1).any(1)
        if bool(bad.any()):
            first, which = int(bad.nonzero()[0]), columns_with_gaps(x, columns)
            raise DataError(
                f"{name}: {int(bad.sum())} of {len(x)} examples hold {'infinity' if gaps else 'NaN or infinity'}, the "
                f"first is row {first}{_advice(x, which)}"
            )
        require_float32(name, x)
    if not gaps and bool((x == x.flatten()[0]).all()):
        raise DataError(f"{name}: every value is {x.flatten()[0].item():g}; constant data cannot be modelled")
    # Bytes stand for x / 255, but bytes of only 0 and 1 are a mask, not an almost black image.
    return x * 255 if x.dtype == torch.uint8 and int(x.max()) == 1 else x


def _advice(x: Tensor, which: str) -> str:
    """What can be done where values are missing."""
    if x.dim() != 2 or not bool(x.isnan().any()):
        return ""
    where = f"; missing in {which}" if which else ""
    return f"{where}; missing='drop' leaves these rows out, 'mean' or 'median' fills them in"
