"""What is being checked if it is a data set? The data, loaded once or again, and parts of them to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from intel_conformance.component import Component
from intel_core.data.dataset import Dataset, DatasetSpec, Split
from intel_core.errors import PluginError
from intel_core.reading.data_dir import data_dir_or_default

__all__ = ["PARTS", "DatasetCandidate"]

PARTS = ("train", "validation", "test")
_ROWS = 4096
"""So many examples are read at once."""


class DatasetCandidate(Component):
    """A data set; files that its spec does not name lie in ``INTEL_DATA_DIR``.

    Attributes:
        dataset: the data.

    Raises:
        DataError: if the data are missing or malformed.
        SpecError: if there is no such data set, or an argument is not one of its choices.
        PluginError: if what is loaded is no data set.
    """

    kind = "dataset"
    base = DatasetSpec

    def _begin(self, y_dim: int | None) -> None:
        self.dataset = self.load()

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`."""
        return isinstance(what, Dataset)

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        sizes = " + ".join(f"{len(part):,}" for _, part in self.parts())
        return f"{sizes} examples of shape {tuple(self.dataset.x_shape)}"

    def plainly(self, spec: Any = None) -> Any:
        """What is loaded, with nothing around it, and not looked at."""
        if self.factory is not None:
            return self.factory()
        spec = spec or (self.specs[0] if self.specs else None)
        return self.given if spec is None else spec.load(data_dir_or_default(None))

    def load(self, spec: Any = None, *, state: int = 0) -> Dataset:
        """The data, loaded anew, or those of another spec, with another random state of torch; an object is itself."""
        said = f"data set {spec or self.specs[0]}" if self.specs else f"{self.label}()"
        made = self.made(lambda: self.plainly(spec), said, self.seed + state)
        if not isinstance(made, Dataset) or not all(isinstance(getattr(made, name), Split) for name in PARTS):
            raise PluginError(f"{said} gave a {type(made).__name__}, expected an intel_core.Dataset of three parts")
        return made

    def parts(self) -> Iterator[tuple[str, Split]]:
        """The three parts by their names."""
        return ((name, getattr(self.dataset, name)) for name in PARTS)

    def chunks(self, part: Split) -> Iterator[tuple[int, Tensor]]:
        """The examples of a part as they are stored, or of one on disk some of them, and the number of the first."""
        n = len(part)
        if "x" not in vars(part):
            n = min(n, self.size(256, 1024, 16_384))
        for first in range(0, n, _ROWS):
            yield first, part.read(torch.arange(first, min(first + _ROWS, n)))
