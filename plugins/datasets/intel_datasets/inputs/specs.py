"""Which readers can be told what? Their specs; what they read is known by the name of its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from intel_core.reading.inputs import Choose, InputSpec, as_it_comes, frame_of
from intel_core.reading.readers import ColumnsInput, Word, Words

if TYPE_CHECKING:
    from intel_core.reading.capabilities import Examples

__all__ = ["AnnDataInput", "HuggingFaceInput"]


class AnnDataInput(InputSpec):
    """Cells of an AnnData: X or a layer, dense or sparse, and a column of obs as labels."""

    types: ClassVar[tuple[str, ...]] = ("anndata.AnnData",)
    layer: Word | None = Field(None, description="layer to model; X by default")
    label: Word | None = Field(None, description="column of obs that holds labels; none by default")
    columns: Words = Field((), description="variables to model; all if empty")
    conditions: Words = Field((), description="columns of obs that encoder and decoder see beside x and z")

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `intel_datasets.inputs.cells`."""
        from intel_datasets.inputs.cells import conditions_in, read_cells

        found = read_cells(name, given, self.layer, self.label, self.columns, choose)
        return found._replace(conditions=conditions_in(name, given, self.conditions)) if self.conditions else found

    def frame(self, given: Any, columns: Mapping[str, Any]) -> Any:
        """A data frame of pandas, by the names of the cells."""
        return frame_of(columns, given.obs_names)


class HuggingFaceInput(ColumnsInput):
    """Data sets of Hugging Face's `datasets`: columns of numbers, or one of images or arrays; class labels by name."""

    types: ClassVar[tuple[str, ...]] = ("datasets.Dataset", "datasets.IterableDataset")
    examples: int | None = Field(None, ge=1, description="how many to take, the first ones; needed of a stream")

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """See `intel_datasets.inputs.hugging_face`."""
        from intel_datasets.inputs.hugging_face import read_rows

        return read_rows(name, given, self.asked(), self.examples, choose)

    def frame(self, given: Any, columns: Mapping[str, Any]) -> Any:
        """A data frame of pandas, with the column that names the rows, unless it is a stream, which is over."""
        if self.id is None or not hasattr(given, "__len__") or self.id not in given.column_names:
            return frame_of(columns)
        return frame_of({self.id: given[self.id][: self.examples], **columns})
