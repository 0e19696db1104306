"""How are examples read that a trained model is asked about? All of them, in their order, one or more."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from intel_core.data.dataset import DatasetSpec, Examples, Unsplit

__all__ = ["LikeTrained", "examples_for"]


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


def examples_for(
    spec: DatasetSpec, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None
) -> tuple[DatasetSpec, Examples | None]:
    """Examples of a data set for a model that was trained on another one, and how they were read.

    None where the data set can only be loaded in parts (see `Unsplit`).

    Args:
        spec: the data set; settings that it does not say are those of `trained`, where it can tell (`LikeTrained`).
        trained: as in `LikeTrained.like`.
        summary: as in `LikeTrained.like`.
        data_dir: as in `DatasetSpec.load`.

    Raises:
        IntelError: if they cannot be read.
    """
    if isinstance(spec, LikeTrained):
        spec = spec.like(trained, summary, data_dir)
    return spec, spec.examples(data_dir) if isinstance(spec, Unsplit) else None
