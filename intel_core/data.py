"""What is a data set? Three splits of examples, in memory or (to train on) on disk, and the spec that loads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from intel_core.errors import DataError, PluginError
from intel_core.spec import ComponentSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

__all__ = [
    "Dataset",
    "DatasetSpec",
    "Examples",
    "MemorySpec",
    "Rows",
    "Shaped",
    "Split",
    "StreamedSplit",
    "Supported",
    "Unsplit",
    "check_examples",
    "check_labels",
    "make_dataset",
    "split_rows",
    "support_of",
    "to_float",
]

Support = Literal["binary", "unit", "real"]
"""Which values x takes: {0, 1}, the interval [0, 1], or any real number."""
_LEAST_SIDE = 8
"""Height and width from which images with 1, 3 or 4 last are taken for images with their channels last."""


@dataclass(frozen=True)
class Split:
    """Examples `x` of shape ``(n, D)`` or ``(n, C, H, W)`` and, where known, integer labels ``(n,)``.

    `x` is float32, or uint8 that stands for ``x / 255`` and is converted batch by batch (see `to_float`). Where
    `digest` is given it is the fingerprint of the examples, else their bytes are.
    """

    x: Tensor
    labels: Tensor | None = None
    digest: str = ""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of examples, then the shape of one."""
        return tuple(self.x.shape)

    def read(self, rows: Tensor) -> Tensor:
        """The examples at row numbers ``(m,)`` as they are stored, ``(m, *x_shape)``.

        Raises:
            DataError: if they lie on disk and one cannot be read.
        """
        return self.x[rows]

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of a SHA-256 by which a run knows its data again."""
        return self.digest or fingerprint(self.x)


class Rows(Protocol):
    """Examples that lie on disk and are read by row number, in several processes at once.

    An object of this kind is pickled where processes are not forked, so it holds paths, not open files.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of examples, then the shape of one."""
        ...

    @property
    def itemsize(self) -> int:
        """Bytes of one value: 1 for uint8, 4 for float32."""
        ...

    def read(self, rows: Sequence[int]) -> Tensor:
        """The examples at some rows as they are stored, uint8 or float32, ``(len(rows), *x_shape)``.

        Raises:
            DataError: naming the file that cannot be read, or does not fit the others.
        """
        ...

    def fingerprint(self) -> str:
        """As `Split.fingerprint`: the same on every machine, and found without reading all examples."""
        ...


class StreamedSplit(Split):
    """Examples to train on that stay on disk; whoever wants `x` as one tensor is told so.

    Args:
        rows: the examples.
        labels: integers ``(n,)``, in memory.

    >>> import torch
    >>> class Counting:
    ...     shape, itemsize = (1000, 2), 4
    ...     read = staticmethod(lambda rows: torch.tensor([[row, -row] for row in rows], dtype=torch.float32))
    ...     fingerprint = staticmethod(lambda: "0123456789abcdef")
    >>> split = StreamedSplit(Counting())
    >>> len(split), split.read(torch.tensor([7, 3])).tolist()
    (1000, [[7.0, -7.0], [3.0, -3.0]])
    >>> split.x
    Traceback (most recent call last):
    intel_core.errors.DataError: these 1,000 examples are streamed from disk and are no tensor in memory; ...
    """

    rows: Rows

    def __init__(self, rows: Rows, labels: Tensor | None = None) -> None:
        for name, value in (("rows", rows), ("labels", labels), ("digest", "")):
            object.__setattr__(self, name, value)  # frozen, as every split

    def __repr__(self) -> str:
        return f"StreamedSplit({self.rows!r})"

    @property
    def x(self) -> Tensor:
        """Refused.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"these {len(self):,} examples are streamed from disk and are no tensor in memory; "
            "take some by read(rows), or load the data with stream=false"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Split.shape`."""
        return tuple(self.rows.shape)

    def read(self, rows: Tensor) -> Tensor:
        """As `Split.read`."""
        return self.rows.read(rows.tolist())

    def fingerprint(self) -> str:
        """As `Split.fingerprint`."""
        return self.rows.fingerprint()


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test data of one shape.

    Attributes:
        name: for people to read.
        train: what is fitted; a `StreamedSplit` where it does not lie in memory.
        validation: what early stopping and the reported curve look at.
        test: looked at once, at the end.
        support: which values x takes; decides the default likelihood.
        class_names: names of the labels, if any.
        scaling: mean and standard deviation of each column where vectors were standardised, else None.
        columns: names of the values of vectors, if they have names.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    support: Support
    class_names: tuple[str, ...] = ()
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    columns: tuple[str, ...] = ()

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(D,)`` or ``(C, H, W)``."""
        return self.train.shape[1:]

    def summary(self) -> dict[str, Any]:
        """What a run directory keeps of a data set: sizes, shape and a fingerprint of the training data."""
        return {
            "name": self.name,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "shape": list(self.x_shape),
            "support": self.support,
            "classes": list(self.class_names),
            "scaling": None if self.scaling is None else {"mean": self.scaling[0], "std": self.scaling[1]},
            "columns": list(self.columns),
            "fingerprint": self.train.fingerprint(),
        }


class DatasetSpec(ComponentSpec):
    """Base of every data set's spec, registered under the entry-point group ``intelvae.datasets``."""

    kind: ClassVar[str] = "datasets"

    def load(self, data_dir: Path | None) -> Dataset:
        """The data.

        Args:
            data_dir: where files lie that the spec does not name itself, if the user said so.

        Raises:
            DataError: if it is missing or malformed.
        """
        raise PluginError(f"{type(self).__name__} does not define load(data_dir)")


# --- optional capabilities of a data set's spec -------------------------------------------------------------------


@runtime_checkable
class Supported(Protocol):
    """A data set whose examples lie on a known curve or surface, from which distances can be measured.

    Found by ``isinstance`` on a data set's spec, as the capabilities of mappings are. Points are in the units of the
    data before any standardisation (`intel_core.Run.original_units`).
    """

    def distance_to_support(self, points: Tensor) -> Tensor:
        """Euclidean distance of each point ``(n, D)`` to the curve or surface, ``(n,)``."""
        ...

    def along_support(self, n: int) -> Tensor:
        """`n` points spread evenly over the curve's length or the surface's area, ``(n, D)``; no random number."""
        ...


@runtime_checkable
class Shaped(Protocol):
    """A data set of known topology."""

    @property
    def betti(self) -> tuple[int, ...]:
        """Betti numbers (b0, b1, …) of the set near which the examples lie; higher ones are 0."""
        ...


class Examples(NamedTuple):
    """Examples that a trained model is asked about, in their own order and units.

    Attributes:
        x: ``(n, D)`` or ``(n, C, H, W)``.
        labels: integers ``(n,)``, where they are known.
        class_names: names of the labels, if any.
        columns: names of the D values, if they have names.
    """

    x: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@runtime_checkable
class Unsplit(Protocol):
    """A data set whose examples can be had as they lie in a file: all of them, in order, neither split nor scaled."""

    def examples(self, data_dir: Path | None) -> Examples:
        """One example or more.

        Raises:
            DataError: if they cannot be read.
        """
        ...


class MemorySpec(DatasetSpec):
    """Arrays that were passed from Python: named for the record, cannot be loaded again."""

    examples: int = Field(ge=0, description="number of examples")
    shape: tuple[int, ...] = Field(description="shape of one example")
    fingerprint: str = Field("", description="SHA-256 of the training data, first 16 digits")

    def load(self, data_dir: Path | None) -> Dataset:
        """Always refused: the arrays are not kept."""
        raise DataError(
            f"this data ({self.examples} examples of shape {list(self.shape)}) was passed as arrays from Python and "
            "is not kept; pass data=… again"
        )


def to_float(x: Tensor) -> Tensor:
    """Float values of stored examples: uint8 stands for ``x / 255``, float32 for itself.

    >>> import torch
    >>> to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """
    import torch

    return x.to(torch.float32).div_(255.0) if x.dtype == torch.uint8 else x


def fingerprint(x: Tensor) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a tensor's type, shape and bytes."""
    found = hashlib.sha256(f"{x.dtype} {tuple(x.shape)}".encode())
    found.update(x.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()[:16]


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
) -> Dataset:
    """A data set from arrays, checked and split at random.

    Args:
        name: for messages.
        x: array or tensor ``(n, D)``, ``(n, C, H, W)``, or ``(n, H, W)`` for grey images; real, or uint8 that stands
            for ``x / 255`` (where it holds 0 and 1 alone, for a mask).
        labels: integers ``(n,)``, or None.
        validation: share of the examples held out to watch training.
        test: share held out for the final numbers.
        split_seed: seed of the split, independent of the run's seed so that all runs see the same split.
        support: which values x takes; found from the data if None.
        class_names: names of the labels.

    Raises:
        DataError: for values that are not finite, constant data, a wrong shape, too few examples or shares that
            are none.

    >>> import numpy as np
    >>> data = make_dataset("noise", np.random.default_rng(0).normal(size=(100, 3)))
    >>> len(data.train), len(data.validation), len(data.test), data.support
    (80, 10, 10, 'real')
    """
    x = check_examples(name, x)
    labels = check_labels(name, labels, len(x))
    rows = split_rows(name, len(x), validation, test, split_seed)
    train, held_out, last = (Split(x[r], None if labels is None else labels[r]) for r in rows)
    return Dataset(name, train, held_out, last, support or support_of(x), class_names)


def split_rows(name: str, n: int, validation: float, test: float, split_seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers of the training, validation and test part, as `make_dataset` splits `n` examples.

    Raises:
        DataError: for too few examples or shares that are none.

    >>> [len(rows) for rows in split_rows("x", 100, validation=0.1, test=0.2, split_seed=0)]
    [70, 10, 20]
    """
    import torch

    if not (0 <= validation < 1 and 0 <= test < 1):
        raise DataError(f"{name}: shares validation={validation:g} and test={test:g} are not in [0, 1)")
    n_test, n_validation = max(1, round(n * test)), max(1, round(n * validation))
    if n - n_test - n_validation < 2:
        raise DataError(f"{name}: {n} examples are too few to train on; at least 4 are needed, hundreds make sense")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    train, held_out, last = torch.split(order, [n - n_test - n_validation, n_validation, n_test])
    return train, held_out, last


def check_examples(name: str, x: Any) -> Tensor:
    """Examples as a float32 or uint8 tensor of 2 or 4 dimensions, checked.

    Raises:
        DataError: naming what is wrong and where.
    """
    import numpy as np
    import torch

    values: Tensor
    if isinstance(x, torch.Tensor):
        values = x.detach()
    else:
        array = _as_array(name, x)
        if array.dtype.kind not in "buif":
            raise DataError(f"{name}: values are of type {array.dtype}, expected numbers")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is checked below
            array = (
                np.require(array, requirements=["C", "W"]) if array.dtype == np.uint8 else array.astype(np.float32, "C")
            )
        values = torch.from_numpy(array)
    return _check_values(name, values.unsqueeze(1) if values.dim() in (1, 3) else values)


def _as_array(name: str, x: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        return np.asarray(x)
    except (TypeError, ValueError):
        raise DataError(f"{name}: no array of numbers; are the rows of different lengths?") from None


def _check_values(name: str, x: Tensor) -> Tensor:
    import torch

    if x.is_complex() or x.layout != torch.strided:
        raise DataError(f"{name}: a {x.dtype} tensor of layout {x.layout}; expected dense real numbers")
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
        x = x.to(torch.float32)
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            raise DataError(
                f"{name}: {int(bad.sum())} of {len(x)} examples hold NaN or infinity, the first is row {first}"
            )
    if bool((x == x.flatten()[0]).all()):
        raise DataError(f"{name}: every value is {x.flatten()[0].item():g}; constant data cannot be modelled")
    # Bytes stand for x / 255; bytes of 0 and 1 alone are a mask, not an almost black image.
    return x * 255 if x.dtype == torch.uint8 and int(x.max()) == 1 else x


def check_labels(name: str, labels: Any, n: int) -> torch.Tensor | None:
    """Labels as an integer tensor ``(n,)``, or None.

    Raises:
        DataError: if their number or type does not fit.
    """
    import numpy as np
    import torch

    if labels is None:
        return None
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu()
        array = (labels.double() if labels.is_floating_point() else labels).numpy()
    else:
        array = _as_array(name, labels)
    if array.shape != (n,):
        raise DataError(f"{name}: labels of shape {array.shape} for {n} examples; expected ({n},)")
    if array.dtype.kind not in "bui":
        words = "; numpy.unique(labels, return_inverse=True)[1] makes them" if array.dtype.kind in "US" else ""
        raise DataError(f"{name}: labels are of type {array.dtype}, expected integers{words}")
    return torch.from_numpy(array.astype(np.int64))
