"""How do examples get from the units of the data to what a model was trained on, and back?

A run keeps how its training data were laid out: shape, support, names of columns and classes, and the mean and standard
deviation of each standardised column. `Units` applies that to examples which come later.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.errors import DataError
from intel_core.reading.capabilities import Examples
from intel_core.reading.codes import warn_of_codes
from intel_core.reading.columns import require_columns
from intel_core.reading.conditions import Conditions
from intel_core.reading.frames import refuse_other_rows
from intel_core.reading.given import examples_of
from intel_core.reading.inputs import options_like, reader_class
from intel_core.reading.labelling import renumbered
from intel_core.reading.missing import Missing, columns_with_gaps, filled
from intel_core.reading.values import read_values

__all__ = ["Units"]

_FAR = 10.0
"""Standard deviations between a column's median and the training data's mean that are worth a warning."""
_USUAL = 3.0
"""Standard deviations from the training data's mean within which values are usual."""
_FILLING = "leave these out, or fill them in; a run that was trained with missing=mean or median does that itself"
_DROPPED = "its training left such rows out (missing=drop): leave them out here, too"
_ROUNDING = 1e-4
"""By how much values of [0, 1] may leave it, as those of resized images do."""
_BRIGHT = 128
"""Whole numbers of images up to at least this are grey values out of 255; smaller ones may be out of 16, or of 100."""


class Units:
    """The units of the data a run was trained on.

    Args:
        data: the description in ``run.json``, as `Dataset.summary` gives it; everything but the shape may be missing.

    >>> units = Units({"shape": [2], "scaling": {"mean": [10.0, 0.0], "std": [2.0, 1.0]}})
    >>> units.standardise(torch.tensor([[14.0, 1.0]]))
    tensor([[2., 1.]])
    >>> units.original(torch.tensor([[2.0, 1.0]]))
    tensor([[14.,  1.]])
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.shape: tuple[int, ...] = tuple(data["shape"])
        self.scaling: dict[str, list[float]] | None = data.get("scaling")
        self._data = data

    @functools.cached_property
    def conditions(self) -> Conditions | None:
        """What encoder and decoder see beside x and z, if anything."""
        return Conditions.of(self._data)

    def conditions_of(self, said: Any, n: int, found: Tensor | Mapping[str, Any] | None = None) -> Tensor | None:
        """The conditions of n examples as the networks see them, ``(n, C)``; None if the run has none.

        Args:
            said: what is said of them beside, if anything: see `Conditions.read`.
            n: how many there are.
            found: what the examples themselves tell: values by name, or those of a `Split` ``(n, C)``.

        Raises:
            DataError: if the run has conditions and nothing says them, or the other way round.
        """
        conditions = self.conditions
        if conditions is None:
            if said is not None:
                raise DataError("conditions= is given, but the run was trained without any")
            return None
        if said is not None:
            return conditions.read(said, n)
        if isinstance(found, Tensor):
            if found.shape[1] == conditions.width:
                return found
            raise DataError(f"this part of a data set does not have the run's conditions: {conditions.said}")
        if not found:
            raise DataError(
                f"the run was trained with conditions, {conditions.said}; give those of the examples, conditions=…"
            )
        return conditions.read(found, n)

    def _options(self, given: Any) -> dict[str, Any]:
        """What the reader of these objects is told, as that of the training data was."""
        options = options_like(given, self.reader)
        if self.conditions is not None:
            spec_class = reader_class(given)
            if spec_class is not None and "conditions" in spec_class.model_fields:
                options["conditions"] = self.conditions.names
        return options

    @property
    def reader(self) -> str:
        """Who read the objects that were trained on, as text; empty if its defaults said everything."""
        return str(self._data.get("reader", ""))

    @property
    def missing(self) -> Missing:
        """What became of rows in which values were missing."""
        by: Missing = (self._data.get("missing") or {}).get("by", "refuse")
        return by

    def standardise(self, raw: Tensor) -> Tensor:
        """Values in their original units, standardised as the training data were; unchanged if those were not."""
        if self.scaling is None:
            return raw
        # In float64, or a large offset would cost the digits that matter.
        mean, std = (torch.tensor(self.scaling[key], dtype=torch.float64) for key in ("mean", "std"))
        scaled = (raw.double() - mean) / std
        return scaled if raw.dtype == torch.float64 else scaled.float()

    def original(self, x: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        if self.scaling is None:
            return x
        kind = x.dtype if x.is_floating_point() else torch.float32
        mean, std = (torch.tensor(self.scaling[key], dtype=kind, device=x.device) for key in ("mean", "std"))
        return x * std + mean

    def read(self, given: Any, *, standardised: bool = False) -> Tensor:
        """Examples that a user holds, as the model knows them: ``(n, *shape)``, float32, or bytes for x / 255.

        Images of a model that knows [0, 1] may also hold whole numbers from 0 to 255 of another type, if one of them
        is 128 or more: these are bytes as well.

        Args:
            given: whatever `fit` takes as data, in the units of the data: several examples or one. It is read as the
                training data were (the same layer, the same column of images), and columns are found by their names.
                Missing values are filled in where those of the training data were. A `Split` of a data set is taken
                as the data set holds it.
            standardised: whether the values are standardised already, as those of a data set are.

        Raises:
            DataError: if they are no numbers, a column is missing, or the shape or the values do not fit the model.

        >>> units = Units({"shape": [2], "scaling": {"mean": [10.0, 0.0], "std": [2.0, 1.0]}})
        >>> units.read([14.0, 1.0]).tolist(), units.read([[2.0, 1.0]], standardised=True).tolist()
        ([[2.0, 1.0]], [[2.0, 1.0]])
        """
        return self._read(given, standardised)[0]

    def part(self, given: Any, said: Any = None, *, standardised: bool = False) -> Split:
        """Examples that a user holds, as of `read`, with their conditions, as of `conditions_of`; read once.

        Raises:
            DataError: as these.
        """
        refuse_other_rows("examples", "conditions", given, said)
        x, found = self._read(given, standardised)
        return Split(x, conditions=self.conditions_of(said, len(x), found))

    def _read(self, given: Any, standardised: bool) -> tuple[Tensor, Tensor | Mapping[str, Any]]:
        """The examples as the model knows them, and what they tell of their conditions."""
        if isinstance(given, Split):
            known = given.conditions
            x = self.check(given.read(torch.arange(len(given))))
            return x, torch.empty(len(x), 0) if known is None else known
        examples = examples_of("examples", given, self._positions, self._options(given))
        x = self._shaped(examples.x)
        if standardised:
            return self.check(x), examples.conditions
        x = self._without_gaps(x)
        has_codes = self._warn_of_codes("examples", x, stacklevel=5)
        if self.scaling is not None:
            x = self.standardise(x.double()).float()
            if not has_codes:
                self._warn_if_far(x)
        elif x.dtype == torch.uint8 and self._data.get("support") == "real":
            raise DataError("examples are bytes, which stand for x / 255, but the run was trained on real numbers")
        return self._of_support(self.check(x)), examples.conditions

    def adapt(self, examples: Examples, name: str = "examples") -> Examples:
        """Examples in their own units, converted to those of the training data.

        Columns are found by their names, if both have names. Values are standardised as the training data were. Labels
        get the numbers that their names have in the training data, and new names get the next numbers.

        Args:
            examples: as they were read.
            name: of the data, for messages; without one, values that look like codes for missing ones are not told.

        Raises:
            DataError: if a column is missing, or the shape or the values do not fit.
        """
        x = examples.x.unsqueeze(1) if examples.x.dim() == 1 else examples.x
        positions = self._positions(examples.columns)
        x = x if positions is None else x[:, positions]
        x = self._without_gaps(x)
        if name and x.shape[1:] == self.shape:
            self._warn_of_codes(name, x, stacklevel=3)
        if self.scaling is not None and x.shape[1:] == self.shape:
            x = self.standardise(x).float()
        classes, labels = list(self._data.get("classes", ())), examples.labels
        if labels is not None and classes and examples.class_names:
            classes += [name for name in examples.class_names if name not in classes]
            labels = renumbered(labels, [classes.index(name) for name in examples.class_names], examples.unlabelled)
        x = self._of_support(self.check(x))
        classes_now = tuple(classes) or examples.class_names
        return examples._replace(x=x, labels=labels, class_names=classes_now, columns=self._columns)

    def check(self, x: Any) -> Tensor:
        """Examples in the model's units as a tensor ``(n, *shape)``: bytes stay bytes, and all else becomes float32.

        Raises:
            DataError: if the shape or the values do not fit.
        """
        values = self._shaped(read_values("examples", x).x)
        if values.dtype == torch.uint8 and self._data.get("support") == "binary" and not bool((values > 1).any()):
            values = values * 255  # a mask, as in the training data
        if values.dtype != torch.uint8:
            bad = ~torch.isfinite(values).flatten(1).all(1)
            if bool(bad.any()):
                which = columns_with_gaps(values, self._columns)
                advice = f"; missing in {which}: {_DROPPED if self.missing == 'drop' else _FILLING}" if which else ""
                raise DataError(
                    f"examples hold NaN or infinity, or numbers too large for float32, in {int(bad.sum())} of "
                    f"{len(bad)} rows, first in row {int(bad.nonzero()[0])}{advice}"
                )
        return values

    def _without_gaps(self, x: Tensor) -> Tensor:
        """Missing values are what they were in the training data, if they were filled in there."""
        values = (self._data.get("missing") or {}).get("values")
        gaps = bool(values) and x.is_floating_point() and x.shape[1:] == self.shape and bool(x.isnan().any())
        return filled(x, values) if values and gaps else x

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(self._data.get("columns", ()))

    def _positions(self, names: Sequence[str]) -> list[int] | None:
        """Where the columns of the training data are among those of some examples; None to take them as they come.

        Raises:
            DataError: if one is missing.
        """
        known = self._columns
        missing = [name for name in known if name not in names]
        if not known or not names or (missing and (_are_numbers(known) or _are_numbers(names))):
            return None
        if missing:
            require_columns("", known, names)
        return [list(names).index(name) for name in known]

    def _shaped(self, x: Tensor) -> Tensor:
        """Examples, or one of them, as ``(n, *shape)``; images of one channel may come without it.

        Raises:
            DataError: if the shape is another.
        """
        if x.dim() == len(self.shape) and self.shape[0] == 1:
            x = x.unsqueeze(1)
        if x.shape == self.shape:
            x = x.unsqueeze(0)
        elif self.shape[0] == 1 and x.shape == self.shape[1:]:
            x = x[None, None]
        if x.dim() == 0 or x.shape[1:] != self.shape:
            given = tuple(x.shape[1:]) if x.dim() > 1 else tuple(x.shape)
            hint = ""
            if len(self.shape) == 3 and given == (*self.shape[1:], self.shape[0]):
                hint = "; numpy.moveaxis(x, -1, 1) puts the channels first"
            raise DataError(f"examples have shape {given}, the run was trained on {self.shape}{hint}")
        return x

    def _of_support(self, x: Tensor) -> Tensor:
        """Values that the training data can have had; images of whole numbers up to 255 as bytes, if these are [0, 1].

        Raises:
            DataError: if the model knows [0, 1] and there are others.
        """
        if x.dtype == torch.uint8 or self._data.get("support") not in ("unit", "binary") or x.numel() == 0:
            return x
        low, high = (float(bound) for bound in torch.aminmax(x))
        if len(self.shape) == 3 and low >= 0 and _BRIGHT <= high <= 255 and bool((x == x.round()).all()):
            return x.to(torch.uint8)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise DataError(
                f"examples have values from {low:g} to {high:g}, but the run was trained on values in [0, 1]; scale "
                "them alike, e.g. x / 255, or give bytes (uint8), which are divided by 255"
            )
        return x

    def _warn_of_codes(self, name: str, raw: Tensor, *, stacklevel: int) -> bool:
        """Tell of values such as -999, as is done for training data; whether there are any."""
        if raw.dtype == torch.uint8 or len(raw) == 0 or not bool(torch.isfinite(raw).all()):  # which is told as such
            return False
        usual = None
        if self.scaling is not None and raw.dim() == 2:
            mean, std = (torch.tensor(self.scaling[key], dtype=torch.float64) for key in ("mean", "std"))
            usual = mean + torch.linspace(-_USUAL, _USUAL, 5, dtype=torch.float64).unsqueeze(1) * std
        return warn_of_codes(name, raw, self._columns, usual=usual, stacklevel=stacklevel + 1)

    def _warn_if_far(self, x: Tensor) -> None:
        """Standardised values that are taken for raw ones lie far from the training data, as a rule."""
        if len(x) == 0:
            return
        apart = x.flatten(1).median(0).values.abs()
        worst = int(apart.argmax())
        if float(apart[worst]) > _FAR:
            column = f"column {self._columns[worst]!r}" if self._columns else f"value {worst} of each example"
            warnings.warn(
                f"{column} lies {float(apart[worst]):.3g} standard deviations from the mean of the training data; "
                "values that are standardised already need standardised=True",
                stacklevel=5,
            )

    def differs_from(self, now: dict[str, Any]) -> str:
        """What shows that another data set's summary is not that of the training data, in words; empty if nothing does.

        Means and deviations may differ by the rounding of another machine.

        >>> Units({"shape": [2], "fingerprint": "a"}).differs_from({"fingerprint": "b", "scaling": None, "columns": []})
        'fingerprint'
        """
        if str(self._data.get("fingerprint")) != now["fingerprint"]:
            return "fingerprint"
        if _scaled_otherwise(self.scaling, now["scaling"]):
            return "mean or spread"
        known, columns = self._columns, tuple(now["columns"])
        return "columns" if known and columns and known != columns else ""  # the same arrays may come without names


def _scaled_otherwise(then: dict[str, list[float]] | None, now: dict[str, Any] | None) -> bool:
    """Whether columns were standardised with other numbers, up to the rounding of another machine."""
    if then is None or now is None:
        return then is not now
    (mean, std), (other_mean, other_std) = (
        [torch.tensor(one[key], dtype=torch.float64) for key in ("mean", "std")] for one in (then, now)
    )
    if mean.shape != other_mean.shape:
        return True
    return bool((((mean - other_mean).abs() > 1e-6 * std) | ((std - other_std).abs() > 1e-6 * std)).any())


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether names of columns, or of the rows of one, only number them, as those of a data frame without any do."""
    return list(names) == [str(i) for i in range(len(names))]
