"""What does a trained model look like? Samples, reconstructions and the latent space, as PNG files fit for a paper.

Figures are built without pyplot, so that no global figure, window or backend is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from intel_cli.pictures.images import image_grid, image_pairs
from intel_cli.pictures.latent import Latent, latent_rows
from intel_cli.pictures.style import save
from intel_cli.pictures.vectors import vector_pairs, vector_samples
from intel_core.data.values import to_float
from intel_core.helpers.own_prior import own_prior

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run

__all__ = ["draw_all", "save_latent", "save_latents", "save_reconstructions", "save_samples"]

MOST_POINTS = 2000
"""Points beyond this make a scatter plot darker, not clearer."""


MOST_SEEDS = 10
"""Rows of a picture of several seeds; more do not fit on a page."""


def draw_all(run: Run, dataset: Dataset, kind: str = "png") -> list[Path]:
    """Draw samples, reconstructions and the latent space into the run directory.

    Args:
        run: whose.
        dataset: its data.
        kind: png, pdf or svg, which is the suffix of the files.
    """
    image = len(dataset.x_shape) == 3
    seed = run.spec.seed
    n = 64 if image else MOST_POINTS
    samples = run.sample(n, seed=seed, noise=not image, standardised=True)
    paths = [run.path / f"{name}.{kind}" for name in ("samples", "reconstructions", "latent")]
    save_samples(paths[0], samples, dataset, support=dataset.support)
    save_reconstructions(paths[1], run, dataset)
    save_latent(paths[2], run, dataset)
    return paths


def save_samples(path: Path, x: Tensor, dataset: Dataset | None, *, support: str) -> None:
    """Draw samples: a grid of images, or points beside the training data where there is any."""
    if x.dim() == 4:
        save(image_grid(x, support), path)
        return
    train = None if dataset is None else to_float(dataset.train.read(_rows(len(dataset.train), len(x))))
    save(vector_samples(x.numpy(), None if train is None else train.numpy()), path)


def save_reconstructions(path: Path, run: Run, dataset: Dataset) -> None:
    """Draw test examples and what the model makes of them."""
    image = len(dataset.x_shape) == 3
    part = dataset.test.part(_spread(dataset, 24) if image else _rows(len(dataset.test), 300))
    originals, decoded = to_float(part.x).cpu(), run.reconstruct(part, standardised=True)
    if image:
        save(image_pairs(originals, decoded, dataset.support), path)
    else:
        save(vector_pairs(originals.numpy(), decoded.numpy()), path)


def save_latent(path: Path, run: Run, dataset: Dataset) -> None:
    """Draw the test data in y and in z; classes are called what the data call them."""
    save(latent_rows([_latent("", run, dataset)], dataset.class_names), path)


def save_latents(path: Path, runs: Sequence[Run], dataset: Dataset) -> None:
    """The same of several seeds, one below the other; of more than ten, the first ten."""
    rows = [_latent(f"seed {run.seed}", run, dataset) for run in runs[:MOST_SEEDS]]
    save(latent_rows(rows, dataset.class_names), path)


def _latent(name: str, run: Run, dataset: Dataset) -> Latent:
    test = dataset.test
    rows = _rows(len(test), MOST_POINTS)
    encoding = run.encode(test.part(rows), standardised=True)
    labels = None if test.labels is None else test.labels[rows].cpu()
    return Latent(name, run.model.mapping, encoding.mean, labels, own_prior(run.model))


def _rows(n: int, most: int) -> Tensor:
    """Indices of at most so many of n rows, chosen at random but always the same."""
    if n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]


def _spread(dataset: Dataset, n: int) -> Tensor:
    """Row numbers of `n` test images, the classes in turn where there are labels."""
    test = dataset.test
    if test.labels is None:
        return _rows(len(test), n)
    by_class = [torch.nonzero(test.labels == label)[:, 0].tolist() for label in sorted(set(test.labels.tolist()))]
    rounds = max(len(rows) for rows in by_class)
    chosen = [rows[i] for i in range(rounds) for rows in by_class if i < len(rows)][:n]
    return torch.tensor(chosen)
