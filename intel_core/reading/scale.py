"""On which scale are numbers, and how do they get onto the one that models are trained on?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from intel_core.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Scaling", "Standardize", "in_float32", "positions_of", "require_float32", "scaled_columns", "standardized"]

Standardize = bool | Literal["auto"] | Sequence[str | int] | None
"""Whether values are standardised; a sequence names the columns that are."""
Scaling = tuple[tuple[float, ...], tuple[float, ...]]

FAR = 10.0
"""Root mean square above which a column is far from the scale of networks, whose outputs begin at about 1."""
NARROW = 0.01
"""Standard deviation of the widest column below which values are far from it as well."""


def standardized(
    name: str, x: Tensor, train: Tensor, standardize: Standardize, *, real: bool, columns: Sequence[str] = ()
) -> tuple[Tensor, Scaling | None]:
    """Numbers on the scale that is asked for, and the means and standard deviations by which they were scaled.

    Vectors ``(n, D)`` are scaled column by column, ``(x - mean) / std``; images by one mean and one deviation for all
    their values. Both are measured on the training rows, in float64, and divided by n. A column that is constant there
    is shifted to 0 only.

    Args:
        name: for messages.
        x: finite numbers ``(n, D)`` or ``(n, C, H, W)``.
        train: row numbers of the training part.
        standardize: columns, by name or position: only these; ``"auto"``: if the numbers are far from the scale that
            models are trained on, with a warning that says so; None: never, but such numbers are warned of; False:
            never.
        real: whether they may be any real numbers; others have a scale of their own.
        columns: names of the columns, if they have some.

    Raises:
        DataError: if a column that is named is not there.

    >>> import torch
    >>> x, scaling = standardized("mine", torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0, 1]), True, real=True)
    >>> x.flatten().tolist(), scaling
    ([-1.0, 1.0, 7.0], ((2.0,), (1.0,)))
    """
    import numpy as np
    import torch

    only = None
    if not isinstance(standardize, bool | None) and standardize != "auto":
        only = positions_of(name, standardize, x, columns)
        standardize = bool(only)
    if standardize is False or (standardize is not True and not real):
        return x, None
    seen = x[train].to(torch.float64)
    if x.dim() == 2:  # by NumPy's sums, so that a table is scaled by the same numbers bit for bit, read from any source
        mean, std = (torch.from_numpy(of(seen.numpy(), axis=0)) for of in (np.mean, np.std))
    else:
        seen = seen.reshape(-1, 1)
        mean, std = seen.mean(0), seen.std(0, correction=0)
    still = seen.amin(0) == seen.amax(0)
    if standardize is not True:
        scale = _far(mean, std, still, columns)
        if not scale:
            return x, None
        far = f"{name}: {scale}, far from the scale of about 1 that models are trained on"
        if standardize is None:
            what = (
                "training may diverge or fit badly; standardize=True scales to mean 0 and variance 1, "
                "standardize=False leaves the values as they are"
            )
        else:
            what = (
                f"{'each column was' if x.dim() == 2 else 'they were'} standardised to mean 0 and variance 1 "
                "(standardize=True says so, standardize=False leaves the values as they are)"
            )
        warnings.warn(f"{far}, so {what}{_grey(x)}", stacklevel=4)
        if standardize is None:
            return x, None
    mean = torch.where(still, seen[0], mean)
    std = torch.where(still | (std == 0), torch.ones_like(std), std)
    if only is not None:
        others = torch.ones(len(mean), dtype=torch.bool)
        others[only] = False
        mean, std = mean.masked_fill(others, 0.0), std.masked_fill(others, 1.0)
    scaled = (x.to(torch.float64) - mean) / std
    return scaled, (tuple(mean.tolist()), tuple(std.tolist()))


def positions_of(name: str, wanted: str | Sequence[str | int], x: Tensor, columns: Sequence[str]) -> list[int]:
    """Where columns are that are named, or given by position.

    Raises:
        DataError: if one is not there, or x holds no vectors.
        SpecError: if these are no columns.

    >>> import torch
    >>> positions_of("mine", ["b", 0], torch.zeros(5, 2), ["a", "b"])
    [1, 0]
    """
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(wanted, Sequence) or not all(isinstance(one, str | int) for one in wanted):
        raise SpecError(f'standardize={wanted!r}: expected True, False, "auto", or a list of columns')
    if x.dim() != 2:
        raise DataError(f"{name}: images are standardised as a whole, by standardize=True, and not by columns")
    found = []
    for column in wanted:
        if isinstance(column, str) and column not in columns:
            hint = did_you_mean(column, list(columns), say="columns") if columns else "; columns have no names"
            raise DataError(f"{name}: there is no column {column!r} (standardize){hint}")
        position = list(columns).index(column) if isinstance(column, str) else column
        if not 0 <= position < x.shape[1]:
            raise DataError(f"{name}: there is no column {position} (standardize); they are 0 to {x.shape[1] - 1}")
        found.append(position)
    return found


def _far(mean: Tensor, std: Tensor, still: Tensor, columns: Sequence[str] = ()) -> str:
    """The scale of the column that is farthest from about 1, in words; empty if all are near it."""
    import torch

    size = torch.sqrt(mean.square() + std.square()).nan_to_num(nan=torch.inf)
    widest = float(std.nan_to_num(nan=torch.inf).max())
    if float(size.max()) <= FAR and (bool(still.all()) or widest >= NARROW):
        return ""
    worst = int(size.argmax() if float(size.max()) > FAR else std.argmax())
    what = "the values are" if len(mean) == 1 else f"column {repr(columns[worst]) if columns else worst} is"
    return f"{what} {float(mean[worst]):.4g} ± {float(std[worst]):.3g}"


def _grey(x: Tensor) -> str:
    """What is said beside it of images whose values could be bytes."""
    if x.dim() != 4 or not (float(x.min()) >= 0 and 1 < float(x.max()) <= 255 and bool((x == x.round()).all())):
        return ""
    return "; grey values are best given as bytes, x.astype('uint8'), which stand for x / 255"


def scaled_columns(scaling: Scaling | None) -> Standardize:
    """How data must be standardised to be on the scale of others again: all, none, or some columns by position.

    >>> scaled_columns(((0.0, 5.0), (1.0, 2.0))), scaled_columns(None), scaled_columns(((1.0,), (1.0,)))
    ([1], False, True)
    """
    if scaling is None:
        return False
    plain = [mean == 0 and std == 1 for mean, std in zip(*scaling, strict=True)]
    return [column for column, is_plain in enumerate(plain) if not is_plain] if any(plain) and not all(plain) else True


def require_float32(name: str, x: Tensor) -> None:
    """Refuse numbers that are beyond float32; standardised ones could not be brought back into their units.

    Raises:
        DataError: with the first row of them.

    >>> import torch
    >>> require_float32("mine", torch.tensor([[1.0], [1e300]], dtype=torch.float64))
    Traceback (most recent call last):
    intel_core.errors.DataError: mine: 1 of 2 examples hold values beyond ±3.4e38, the largest that float32 holds, ...
    """
    import torch

    if x.dtype != torch.float64:
        return
    bad = (x.abs() > torch.finfo(torch.float32).max).flatten(1).any(1)
    if bool(bad.any()):
        raise DataError(
            f"{name}: {int(bad.sum())} of {len(x)} examples hold values beyond ±3.4e38, the largest that float32 "
            f"holds, the first is row {int(bad.nonzero()[0])}; divide them first"
        )


def in_float32(name: str, x: Tensor) -> Tensor:
    """The same numbers in float32; bytes stay bytes.

    Raises:
        DataError: if all are one number in float32 though they differ.

    >>> import torch
    >>> in_float32("mine", torch.tensor([[1e9], [1e9 + 1]], dtype=torch.float64))
    Traceback (most recent call last):
    intel_core.errors.DataError: mine: the values differ (from 1000000000 to 1000000001), but by less than float32 ...
    """
    import torch

    if x.dtype != torch.float64:
        return x
    values = x.to(torch.float32)
    low, high = float(x.min()), float(x.max())
    if low != high and bool((values == values.flatten()[0]).all()):
        raise DataError(
            f"{name}: the values differ (from {low:.12g} to {high:.12g}), but by less than float32 can tell apart; "
            "subtract their mean, or standardise them with standardize=True"
        )
    return values
