"""Which objects are read without a plugin? Arrays, data frames, sparse matrices, data sets of torch, three parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from intel_core.errors import DataError
from intel_core.reading.inputs import Choose, InputSpec, as_it_comes, frame_of
from intel_core.reading.values import can_be_values

if TYPE_CHECKING:
    from intel_core.reading.capabilities import Examples
    from intel_core.reading.columns import Columns

__all__ = ["ArrayInput", "ColumnsInput", "FrameInput", "PartsInput", "SparseInput", "TorchInput", "Word", "Words"]

PARTS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("validation", "val", "valid", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}
"""What the parts of a split are called."""


def _several(value: Any) -> Any:
    """One name stands for a list of one; names of columns may be numbers."""
    value = value if isinstance(value, list | tuple) else (value,)
    return tuple(_text(one) for one in value)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Word = Annotated[str, BeforeValidator(_text)]
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]


class ColumnsInput(InputSpec):
    """Base of the readers of what has named columns."""

    label: Word | None = Field(None, description="column of labels; by default the only one that holds words")
    columns: Words = Field((), description="columns to model; all but the label if empty")
    drop: Words = Field((), description="columns to leave out")
    id: Word | None = Field(None, description="column that names the rows; it is not modelled")
    conditions: Words = Field(
        (), description="columns that encoder and decoder see beside x and z; they are not modelled"
    )

    def asked(self) -> Columns:
        """What is said about columns."""
        from intel_core.reading.columns import Columns

        return Columns(self.label, self.columns, self.drop, self.id, self.conditions)


class ArrayInput(InputSpec):
    """Arrays, tensors, lists of numbers, one column, one row, and whatever else `numpy.asarray` makes numbers of."""

    @classmethod
    def takes(cls, given: object) -> bool:
        """As `intel_core.reading.values.can_be_values`, but for what is sparse, or a list of items with labels."""
        return can_be_values(given) and not SparseInput.takes(given) and not _are_items(given)

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `intel_core.reading.values`."""
        from intel_core.reading.capabilities import Examples
        from intel_core.reading.values import read_exactly

        values = read_exactly(name, given, choose)
        return Examples(values.x, columns=values.names if values.x.dim() == 2 else ())

    def frame(self, given: Any, columns: Mapping[str, Any]) -> Any:
        """As of `InputSpec`; the index of a column of pandas is kept."""
        index = getattr(given, "index", None)
        return frame_of(columns, None if callable(index) else index)


class SparseInput(InputSpec):
    """Sparse matrices of SciPy and sparse tensors of torch, which become dense: a model sees all values."""

    @classmethod
    def takes(cls, given: object) -> bool:
        """Whether it says how many values it holds, and how it becomes dense."""
        if hasattr(given, "toarray") and hasattr(given, "nnz"):
            return True
        return hasattr(given, "to_dense") and getattr(given, "is_sparse", False) is True

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `ArrayInput.read`.

        Raises:
            DataError: also if there is no memory for the dense matrix.
        """
        try:
            dense = given.toarray() if hasattr(given, "toarray") else given.to_dense()
        except (MemoryError, RuntimeError) as error:
            raise DataError(
                f"{name}: a sparse matrix of {' x '.join(f'{size:,}' for size in given.shape)} values has no room as a "
                f"dense one ({type(error).__name__}); leave out columns that are almost always 0"
            ) from None
        return ArrayInput().read(name, dense, choose)


class FrameInput(ColumnsInput):
    """Data frames of pandas, polars, pyarrow and other libraries, lazy ones included; words are labels."""

    types: ClassVar[tuple[str, ...]] = (
        *("pandas.DataFrame", "polars.DataFrame", "polars.LazyFrame", "pyarrow.Table", "modin.DataFrame"),
        *("cudf.DataFrame", "dask.DataFrame", "dask_expr.DataFrame", "duckdb.DuckDBPyRelation", "ibis.Table"),
        *("pyspark.DataFrame", "sqlframe.DataFrame", "narwhals.DataFrame", "narwhals.LazyFrame"),
    )

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `intel_core.reading.frames`."""
        from intel_core.reading.frames import read_frame

        return read_frame(name, given, self.asked(), choose)

    def frame(self, given: Any, columns: Mapping[str, Any]) -> Any:
        """A frame of the same library, with the same index and the column that names the rows."""
        from intel_core.reading.frames import frame_like

        return frame_like(given, columns, self.id)


class TorchInput(ColumnsInput):
    """Data sets and data loaders of torch, whose items are x, (x, label) or a dictionary; and lists of such items."""

    types: ClassVar[tuple[str, ...]] = ("torch.Dataset", "torch.IterableDataset", "torch.DataLoader")
    examples: int | None = Field(
        None, ge=1, description="how many to take, the first ones; needed where there is no length"
    )

    @classmethod
    def takes(cls, given: object) -> bool:
        """Whether it has items by number, as a data set of torch does, without being one or anything else."""
        if _are_items(given):
            return True
        by_number = hasattr(given, "__getitem__") and hasattr(given, "__len__")
        known = isinstance(given, str | bytes | list | tuple | dict) or can_be_values(given) or SparseInput.takes(given)
        return by_number and not known and not hasattr(given, "keys")

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `intel_core.reading.torch_data`."""
        from intel_core.reading.torch_data import read_items

        return read_items(name, given, self.asked(), self.examples, choose)


def _are_items(given: object) -> bool:
    """Whether a list holds dictionaries, or pairs of an array and a label, and not rows of numbers."""
    if not isinstance(given, list) or not given:
        return False
    first = given[0]
    return isinstance(first, dict) or (isinstance(first, tuple) and len(first) == 2 and bool(_shape(first[0])))


def _shape(value: object) -> Any:
    return getattr(value, "shape", ())


class PartsInput(InputSpec):
    """What is split already: (train, validation, test), or a dictionary of parts by these names."""

    types: ClassVar[tuple[str, ...]] = ("builtins.tuple", "builtins.dict")

    def parts(self, given: Any) -> tuple[Any, Any, Any]:
        """The three; of a dictionary, validation or test may be missing.

        Raises:
            DataError: if they are no parts, with what is meant instead.
        """
        kind = type(given).__name__
        if isinstance(given, tuple):
            if len(given) == 3:
                return given
            beside = "; labels go beside the examples: data=x, labels=y" if len(given) == 2 else ""
            raise DataError(f"data: a {kind} of {len(given)}; expected (train, validation, test){beside}")
        parts = {PARTS[key.lower()]: key for key in given if isinstance(key, str) and key.lower() in PARTS}
        names = ", ".join(repr(str(key)) for key in list(given)[:5]) or "nothing in it"
        if len(parts) == len(given) and 0 in parts:
            return given[parts[0]], given[parts[1]] if 1 in parts else None, given[parts[2]] if 2 in parts else None
        if parts:
            raise DataError(
                f"data: a {kind} with {names}; expected the parts train, validation and test, and no others, or one of "
                "them: data=parts['train']"
            )
        raise DataError(
            f"data: a {kind} with {names}; expected its parts train, validation and test; of columns "
            "pandas.DataFrame(data) makes a data frame"
        )
