"""How do arrays become a data set? They are checked, converted, and split at random."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from intel_core.data.dataset import Dataset, DatasetSpec, Split, Support
from intel_core.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
from intel_core.reading.codes import warn_of_codes
from intel_core.reading.scale import Standardize, in_float32, require_float32, standardized
from intel_core.reading.splitting import split_rows
from intel_core.reading.values import as_array, names_of, read_values

__all__ = [
    "MemorySpec",
    "check_examples",
    "check_labels",
    "make_dataset",
    "support_of",
]

_EXACT = {"bool", "int8", "int16", "uint16", "float16", "bfloat16", "float32"}
"""Types of numbers that float32 holds as they are."""
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
) -> Dataset:
    """A data set from arrays, checked and split at random.

    Args:
        name: for messages.
        x: array, tensor or data frame ``(n, D)``, ``(n, C, H, W)``, or ``(n, H, W)`` for grey images. A data frame's
            columns keep their names. Real numbers are taken as they are; uint8 stands for ``x / 255``, or for a mask if
            it holds only 0 and 1.
        labels: integers ``(n,)``, or None.
        validation: share of the examples held out for validation.
        test: share of the examples held out for testing.
        split_seed: seed of the split, independent of the run's seed so that all runs see the same split.
        support: which values x takes; read off the data if None.
        class_names: names of the labels.
        standardize: scale each column of vectors, or all values of images alike, to mean 0 and variance 1, measured on
            the training rows; `Dataset.scaling` keeps how. ``"auto"``: only where the values are far from the scale
            that models are trained on, with a warning. If None such values are only warned of.

    Raises:
        DataError: for values that are masked, missing or not finite, constant data, a wrong shape, too few examples, or
            shares that are not in [0, 1).

    >>> import numpy as np
    >>> data = make_dataset("noise", np.random.default_rng(0).normal(size=(100, 3)))
    >>> len(data.train), len(data.validation), len(data.test), data.support
    (80, 10, 10, 'real')
    """
    import torch

    columns = names_of(x)
    x = _checked(name, x)
    labels = check_labels(name, labels, len(x))
    if x.dtype != torch.uint8:
        warn_of_codes(name, x, columns if x.dim() == 2 and len(columns) == x.shape[1] else ())
    rows = split_rows(name, len(x), validation, test, split_seed)
    real = x.dtype != torch.uint8 and (support or support_of(x.float())) == "real"
    x, scaling = standardized(name, x, rows[0], standardize, real=real)
    x = in_float32(name, x)
    train, held_out, last = (Split(x[r], None if labels is None else labels[r], numbers=r) for r in rows)
    columns = columns if x.dim() == 2 and len(columns) == x.shape[1] else ()
    return Dataset(name, train, held_out, last, support or support_of(x), class_names, scaling, columns)


def check_examples(name: str, x: Any) -> Tensor:
    """Examples, checked and converted to a float32 or uint8 tensor ``(n, D)`` or ``(n, C, H, W)``.

    Raises:
        DataError: for values or shapes that cannot be used; the message tells what is wrong, and in which row.
    """
    return in_float32(name, _checked(name, x))


def _checked(name: str, x: Any) -> Tensor:
    """As `check_examples`, but numbers that float32 would change are in float64."""
    import torch

    exact = str(getattr(x, "dtype", "")).removeprefix("torch.") in _EXACT
    values = read_values(name, x, torch.float32 if exact else torch.float64).x
    return _check_values(name, values.unsqueeze(1) if values.dim() in (1, 3) else values)


def _check_values(name: str, x: Tensor) -> Tensor:
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
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            raise DataError(
                f"{name}: {int(bad.sum())} of {len(x)} examples hold NaN or infinity, the first is row {first}"
            )
        require_float32(name, x)
    if bool((x == x.flatten()[0]).all()):
        raise DataError(f"{name}: every value is {x.flatten()[0].item():g}; constant data cannot be modelled")
    # Bytes stand for x / 255, but bytes of only 0 and 1 are a mask, not an almost black image.
    return x * 255 if x.dtype == torch.uint8 and int(x.max()) == 1 else x


def check_labels(name: str, labels: Any, n: int) -> torch.Tensor | None:
    """Labels as an integer tensor ``(n,)``, or None if there are none.

    Raises:
        DataError: if there are not `n` of them, or they are not integers.
    """
    import numpy as np
    import torch

    if labels is None:
        return None
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu()
        array = (labels.double() if labels.is_floating_point() else labels).numpy()
    else:
        array = as_array(name, labels)
    if array.shape != (n,):
        raise DataError(f"{name}: labels of shape {array.shape} for {n} examples; expected ({n},)")
    if array.dtype.kind not in "bui":
        words = "; numpy.unique(labels, return_inverse=True)[1] makes them" if array.dtype.kind in "US" else ""
        raise DataError(f"{name}: labels are of type {array.dtype}, expected integers{words}")
    return torch.from_numpy(array.astype(np.int64))
