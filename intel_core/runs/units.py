"""How do examples get from the units of a data file to what a model was trained on, and back?

A run keeps how its training data were laid out: shape, support, names of columns and classes, and the mean and standard
deviation of each standardised column. `Units` applies that to examples which come later.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intel_core.data.dataset import Examples
from intel_core.errors import DataError, did_you_mean

__all__ = ["Units", "as_tensor"]


class Units:
    """The units of the data a run was trained on.

    Args:
        data: what ``run.json`` keeps of the data, as `Dataset.summary` gives it; all but the shape may be missing.

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

    def standardise(self, raw: Tensor) -> Tensor:
        """Values in their original units as the model knows them; unchanged where the data was not standardised."""
        if self.scaling is None:
            return raw
        # In float64, or large offsets would cost the digits that matter.
        mean, std = (torch.tensor(self.scaling[key], dtype=torch.float64) for key in ("mean", "std"))
        scaled = (raw.double() - mean) / std
        return scaled if raw.dtype == torch.float64 else scaled.float()

    def original(self, x: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return x if self.scaling is None else x * torch.tensor(self.scaling["std"]) + torch.tensor(self.scaling["mean"])

    def adapt(self, examples: Examples) -> Examples:
        """Examples in their own units as the model knows its data.

        Columns are found by their names, where both have names; values are standardised as the training data was;
        labels get the numbers that their names have in the training data, and names that are new there the next ones.

        Raises:
            DataError: if a column is missing, or the shape or the values do not fit.
        """
        x, known = examples.x, tuple(self._data.get("columns", ()))
        x = x.unsqueeze(1) if x.dim() == 1 else x
        if known and examples.columns:
            missing = [name for name in known if name not in examples.columns]
            if missing:
                raise DataError(
                    f"there is no column {missing[0]!r}{did_you_mean(missing[0], examples.columns, say='columns')}; "
                    f"the run was trained on {', '.join(known)}"
                )
            x = x[:, [examples.columns.index(name) for name in known]]
        if self.scaling is not None and x.shape[1:] == self.shape:
            x = self.standardise(x).float()
        classes, labels = list(self._data.get("classes", ())), examples.labels
        if labels is not None and classes and examples.class_names:
            classes += [name for name in examples.class_names if name not in classes]
            labels = torch.tensor([classes.index(name) for name in examples.class_names])[labels.long()]
        return Examples(self.check(x), labels, tuple(classes) or examples.class_names, known)

    def check(self, x: Any) -> Tensor:
        """Examples as a tensor ``(n, *shape)``: bytes stay bytes, and all else becomes float32.

        Raises:
            DataError: if the shape or the values do not fit.
        """
        values = as_tensor("examples", x)
        if values.dim() == len(self.shape) and self.shape[0] == 1:
            values = values.unsqueeze(1)
        if values.shape[1:] != self.shape:
            raise DataError(f"examples have shape {tuple(values.shape[1:])}, the run was trained on {self.shape}")
        if values.dtype == torch.uint8 and self._data.get("support") == "binary" and not bool((values > 1).any()):
            values = values * 255  # a mask, as in the data it was trained on
        if values.dtype != torch.uint8:
            values = values.to(torch.float32)
            if not bool(torch.isfinite(values).all()):
                raise DataError("examples hold NaN or infinity")
        return values

    def differs_from(self, now: dict[str, Any]) -> str:
        """What of another data set's summary shows that it is not the training data, in words; empty if nothing does.

        Means and deviations may differ by how another machine rounds.

        >>> Units({"shape": [2], "fingerprint": "a"}).differs_from({"fingerprint": "b", "scaling": None, "columns": []})
        'fingerprint'
        """
        if str(self._data.get("fingerprint")) != now["fingerprint"]:
            return "fingerprint"
        if _scaled_otherwise(self.scaling, now["scaling"]):
            return "mean or spread"
        return "columns" if self._data.get("columns", now["columns"]) != now["columns"] else ""


def _scaled_otherwise(then: dict[str, list[float]] | None, now: dict[str, Any] | None) -> bool:
    """Whether columns were standardised by other numbers, up to how another machine rounds."""
    if then is None or now is None:
        return then is not now
    (mean, std), (other_mean, other_std) = (
        [torch.tensor(one[key], dtype=torch.float64) for key in ("mean", "std")] for one in (then, now)
    )
    if mean.shape != other_mean.shape:
        return True
    return bool((((mean - other_mean).abs() > 1e-6 * std) | ((std - other_std).abs() > 1e-6 * std)).any())


def as_tensor(what: str, values: Any) -> Tensor:
    """Values as a dense tensor of real numbers.

    Raises:
        DataError: if they are none; `what` says in the message what they were to be.
    """
    try:
        tensor = values if isinstance(values, Tensor) else torch.tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{what} must be an array of numbers, not {type(values).__name__}") from None
    if tensor.is_complex() or tensor.layout != torch.strided:
        raise DataError(f"{what} must be dense real numbers, not {tensor.dtype} of layout {tensor.layout}")
    return tensor
