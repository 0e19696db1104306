"""What is a data set? Three splits of examples, and the spec that loads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from intel_core.data.batches import Batches, RowsOf
from intel_core.data.values import fingerprint

__all__ = ["Dataset", "DatasetSpec", "Split", "Support"]

Support = Literal["binary", "unit", "real"]
"""Which values x takes: {0, 1}, the interval [0, 1], or any real number."""


@dataclass(frozen=True)
class Split:
    """Examples `x` of shape ``(n, D)`` or ``(n, C, H, W)`` and, where known, integer labels ``(n,)``.

    `x` is float32, or uint8 that stands for ``x / 255`` and is converted batch by batch (see `to_float`). The
    fingerprint is `digest`, or made from the bytes. `numbers` are row numbers in the whole data, where they are known,
    and `conditions` ``(n, C)`` what encoder and decoder see beside x and z, if anything.
    """

    x: Tensor
    labels: Tensor | None = None
    digest: str = ""
    numbers: Tensor | None = None
    conditions: Tensor | None = None

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

    def part(self, rows: Tensor) -> Split:
        """Some of the examples, read, with what is known of them; errors as of `read`."""
        known = [None if one is None else one[rows] for one in (self.labels, self.numbers, self.conditions)]
        return Split(self.read(rows), known[0], "", *known[1:])

    def batches(self, rows: RowsOf, steps: int, device: torch.device) -> Batches:
        """The examples of each step of a training.

        Args:
            rows: row numbers of each step.
            steps: how many steps there are, so that nothing is read ahead of the last one.
            device: where the examples are wanted.

        Raises:
            SpecError: if ``INTEL_WORKERS`` is not a number of workers.

        >>> import torch
        >>> rows = (torch.tensor([0, 5]), torch.tensor([1, 4])).__getitem__
        >>> Split(torch.arange(6.0)[:, None]).batches(rows, 2, torch.device("cpu")).at(1).tolist()
        [[1.0], [4.0]]
        """
        from intel_core.data.batches import Resident

        return Resident(self.x.to(device), rows)

    def bytes_ahead(self, batch_size: int) -> float:
        """Bytes of the batches that wait in memory while training; 0 if all examples are in memory anyway."""
        return 0.0

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of a SHA-256, by which a run recognises its data."""
        return self.digest or fingerprint(self.x)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test data of one shape.

    Attributes:
        name: for people to read.
        train: the data that the model is fitted to; a `StreamedSplit` if they are not in memory.
        validation: used by early stopping and for the reported curve.
        test: evaluated once, at the end.
        support: which values x takes; decides the default likelihood.
        class_names: names of the labels, if any.
        scaling: mean and standard deviation of each column if values were standardised (one for images), else None.
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
            data_dir: the folder of files that the spec does not name itself, if the user gave one.

        Raises:
            DataError: if the data are missing or malformed.
        """
        raise PluginError(f"{type(self).__name__} does not define load(data_dir)")
