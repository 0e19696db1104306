"""How are data read that a trained model is asked about? As its training data were, wherever nothing else is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from intel_core.data.dataset import DatasetSpec

__all__ = ["LikeTrained", "read_like"]


@runtime_checkable
class LikeTrained(Protocol):
    """A data set that can be read as other data were: what is not said of it is taken from them."""

    def like(self, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None) -> DatasetSpec:
        """The same data set with the settings that are needed to be like other data.

        Args:
            trained: the data set that a run was trained on.
            summary: what the run keeps of it, see `Dataset.summary`.
            data_dir: as in `DatasetSpec.load`.
        """
        ...


def read_like(spec: DatasetSpec, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None) -> DatasetSpec:
    """How a data set is to be read for a model that was trained on another one: as it is where it cannot tell.

    Args:
        spec: the data set.
        trained: as in `LikeTrained.like`.
        summary: as in `LikeTrained.like`.
        data_dir: as in `DatasetSpec.load`.

    Raises:
        IntelError: if it cannot be read.
    """
    return spec.like(trained, summary, data_dir) if isinstance(spec, LikeTrained) else spec
