"""How are the cells of an AnnData read?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from intel_core.errors import DataError, did_you_mean
from intel_core.reading.capabilities import Examples
from intel_core.reading.given import examples_of
from intel_core.reading.inputs import Choose
from intel_core.reading.labelling import encode_labels

__all__ = ["conditions_in", "read_cells"]


def read_cells(
    name: str, cells: Any, layer: str | None, label: str | None, columns: tuple[str, ...], choose: Choose
) -> Examples:
    """The values of all cells, by the names of their variables.

    Args:
        name: of the data, for messages.
        cells: an AnnData.
        layer: its layer; X if None.
        label: column of obs that holds labels, if any; it need not be there where a trained run is asked.
        columns: variables to model; all if empty.
        choose: as of `InputSpec.read`.

    Raises:
        DataError: if there is no such layer, column or variable, or labels are missing.
    """
    values = _values(name, cells, layer)
    variables = [str(variable) for variable in cells.var_names]
    distinct = len(set(variables)) == len(variables)
    positions = choose(variables) if distinct else None
    known = positions is not None
    if positions is None and columns:
        if not distinct:
            raise DataError(f"{name}: variables have the same name; var_names_make_unique() renames them")
        for column in columns:
            if column not in variables:
                raise DataError(
                    f"{name}: there is no variable {column!r}{did_you_mean(column, variables, say='variables')}"
                )
        positions = [variables.index(column) for column in columns]
    if positions is not None:
        values, variables = values[:, positions], [variables[position] for position in positions]
    x = examples_of(name, values).x
    labels: torch.Tensor | None = None
    classes: tuple[str, ...] = ()
    if label is not None and not (known and label not in cells.obs.columns):
        labels, classes = _labels(name, cells.obs, label)
    return Examples(x, labels, classes, tuple(variables) if distinct else (), tuple(map(str, cells.obs_names)))


def _values(name: str, cells: Any, layer: str | None) -> Any:
    if layer is not None:
        if layer not in cells.layers:
            raise DataError(
                f"{name}: there is no layer {layer!r}{did_you_mean(layer, list(cells.layers), say='layers')}"
            )
        return cells.layers[layer]
    if cells.X is None:
        raise DataError(f"{name}: an AnnData without X; layer=… names one of its layers: {', '.join(cells.layers)}")
    # Of a file that is not in memory, all is read.
    return cells.to_memory().X if getattr(cells, "isbacked", False) else cells.X


def conditions_in(name: str, cells: Any, columns: tuple[str, ...]) -> dict[str, Any]:
    """The values of columns of obs, by name.

    Raises:
        DataError: if there is no such column.
    """
    for column in columns:
        if column not in cells.obs.columns:
            hint = did_you_mean(column, [str(one) for one in cells.obs.columns], say="columns of obs")
            raise DataError(f"{name}: there is no column {column!r} in obs{hint}")
    return {column: cells.obs[column].to_numpy() for column in columns}


def _labels(name: str, obs: Any, label: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    if label not in obs.columns:
        hint = did_you_mean(label, [str(column) for column in obs.columns], say="columns of obs")
        raise DataError(f"{name}: there is no column {label!r} in obs{hint}")
    column = obs[label]
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"{name}: the labels in obs[{label!r}] are missing in {len(missing)} of {len(column)} rows, the first is "
            f"row {missing[0]}; remove these cells, or fill them in"
        )
    values = column.to_numpy()
    values = values if values.dtype.kind in "buif" else np.array([str(value) for value in values], dtype=np.str_)
    numbers, names = encode_labels(f"{name}: obs[{label!r}]", values, len(column))
    return torch.from_numpy(numbers), names
