"""How do rows become a run? Scaled, if they are to be, and trained on in a folder that is removed again."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import config_context

from intel_core.components.spec import parse_spec
from intel_core.data.dataset import Dataset, Split, Support
from intel_core.errors import DataError, SpecError
from intel_core.fitting.fit import fit
from intel_core.helpers.advice import ChecksData
from intel_core.model.contract import LikelihoodSpec
from intel_core.reading.arrays import support_of
from intel_core.reading.scale import in_float32, require_float32, standardized
from intel_sklearn.fitted import FittedRun

__all__ = ["dataset_of", "trained"]

_NAME = "X"


def dataset_of(
    rows: np.ndarray,
    labels: np.ndarray | None,
    *,
    shape: tuple[int, ...] | None,
    likelihood: Any,
    standardize: bool | str,
    validation: float,
    seed: int,
    columns: tuple[str, ...],
) -> Dataset:
    """A data set of rows.

    Args:
        rows: finite numbers ``(n, D)``.
        labels: whole numbers ``(n,)``, or None.
        shape: of one example, if the rows are images.
        likelihood: that of the run, if it is said.
        standardize: as of the estimators.
        validation: the share of the rows that is held out; with 0 all are trained on, and evaluated on as well.
        seed: of what is held out.
        columns: their names, if they have some.

    Raises:
        DataError: if the rows do not have the shape, are beyond float32, or are too few to hold some out.
    """
    if standardize not in (True, False, "auto"):
        raise SpecError(f"standardize={standardize!r}: expected True, False or 'auto'")
    x = torch.tensor(rows, dtype=torch.float64)
    if shape is not None:
        if int(np.prod(shape)) != x.shape[1]:
            raise DataError(f"shape={tuple(shape)} has {int(np.prod(shape))} values, but X has {x.shape[1]} features")
        x = x.reshape(len(x), *shape)
    require_float32(_NAME, x)
    spec = parse_spec("likelihoods", likelihood) if isinstance(likelihood, str) else likelihood
    real = isinstance(spec, LikelihoodSpec) and "real" in spec.supports
    support: Support = "real" if real else support_of(x.float())
    if standardize == "auto":
        standardize = support == "real" and not isinstance(spec, ChecksData)
    n_validation = round(len(x) * validation) if validation else 0
    if not 0 <= validation < 1 or (validation and not 1 <= n_validation <= len(x) - 2):
        raise DataError(f"validation_fraction={validation:g} of {len(x)} rows leaves too few of them")
    order = (
        torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)) if validation else torch.arange(len(x))
    )
    held_out, train = order[:n_validation], order[n_validation:].sort().values
    x, scaling = standardized(_NAME, x, train, bool(standardize), real=True)
    x = in_float32(_NAME, x)
    numbers = None if labels is None else torch.tensor(labels, dtype=torch.int64)
    splits = [
        Split(x[part], None if numbers is None else numbers[part], numbers=part)
        for part in (train, held_out if validation else train)
    ]
    support = "real" if scaling is not None else support
    return Dataset(_NAME, splits[0], splits[1], splits[1], support, (), scaling, columns if x.dim() == 2 else ())


def trained(
    dataset: Dataset, run_dir: str | Path | None, settings: dict[str, Any], hooks: Iterable[object] = ()
) -> tuple[FittedRun, Path | None]:
    """A run on a data set, and the directory in which it is kept, if it is.

    Args:
        dataset: its data.
        run_dir: a folder in which the run gets a new one that is kept; None for one that is removed.
        settings: of the run.
        hooks: as of `intel_core.fit`.

    Raises:
        KeyboardInterrupt: if it was interrupted.
        IntelError: as `intel_core.fit`.
    """
    # Starts use estimators of scikit-learn that take arrays of NumPy only.
    with _folder(run_dir) as folder, config_context(array_api_dispatch=False):
        run = fit(data=dataset, run_dir=folder, hooks=hooks, progress=False, **settings)
        if run.status == "interrupted":
            raise KeyboardInterrupt(run.metrics.get("stop_reason"))
        # As it was asked for: auto may be another device where the estimator is unpickled.
        return FittedRun(run, str(settings["device"])), None if run_dir is None else folder


@contextlib.contextmanager
def _folder(run_dir: str | Path | None) -> Iterator[Path]:
    if run_dir is None:
        with tempfile.TemporaryDirectory(prefix="intelvae-") as folder:
            yield Path(folder) / "run"
        return
    root = Path(run_dir)
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / f"fit-{number}"
        try:
            path.mkdir()  # fails if it is there, also where several processes fit at once
        except FileExistsError:
            number += 1
            continue
        yield path
        return
