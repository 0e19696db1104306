"""What does a trained model look like? Samples, reconstructions and the latent space, as PNG files fit for a paper.

Figures are built without pyplot, so that no global figure, window or backend is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from intel_cli.pictures.images import image_grid, image_pairs
from intel_cli.pictures.latent import latent_panels
from intel_cli.pictures.style import save
from intel_cli.pictures.vectors import vector_pairs, vector_samples
from intel_core.data.values import to_float
from intel_core.helpers.own_prior import own_prior

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run

__all__ = ["draw_all", "save_latent", "save_reconstructions", "save_samples"]

MOST_POINTS = 2000
"""Points beyond this make a scatter plot darker, not clearer."""


def draw_all(run: Run, dataset: Dataset) -> list[Path]:
    """Draw ``samples.png``, ``reconstructions.png`` and ``latent.png`` into the run directory."""
    image = len(dataset.x_shape) == 3
    seed = run.spec.seed
    n = 64 if image else MOST_POINTS
    samples = run.sample(n, seed=seed, noise=not image, standardised=True)
    paths = [run.path / f"{name}.png" for name in ("samples", "reconstructions", "latent")]
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
    x = _spread(dataset, 24) if image else _some(dataset.test.x, 300)
    originals, decoded = to_float(x).cpu(), run.reconstruct(x, standardised=True)
    if image:
        save(image_pairs(originals, decoded, dataset.support), path)
    else:
        save(vector_pairs(originals.numpy(), decoded.numpy()), path)


def save_latent(path: Path, run: Run, dataset: Dataset) -> None:
    """Draw the test data in y and in z."""
    test = dataset.test
    rows = _rows(len(test), MOST_POINTS)
    encoding = run.encode(test.x[rows], standardised=True)
    labels = None if test.labels is None else test.labels[rows].cpu()
    save(latent_panels(run.model.mapping, encoding.mean, labels, dataset.class_names, own_prior(run.model)), path)


def _rows(n: int, most: int) -> Tensor:
    """Indices of at most so many of n rows, chosen at random but always the same."""
    if n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]


def _some(x: Tensor, most: int) -> Tensor:
    return x[_rows(len(x), most)]


def _spread(dataset: Dataset, n: int) -> Tensor:
    """`n` test images, the classes in turn where there are labels."""
    test = dataset.test
    if test.labels is None:
        return _some(test.x, n)
    by_class = [torch.nonzero(test.labels == label)[:, 0].tolist() for label in sorted(set(test.labels.tolist()))]
    rounds = max(len(rows) for rows in by_class)
    chosen = [rows[i] for i in range(rounds) for rows in by_class if i < len(rows)][:n]
    return test.x[torch.tensor(chosen)]
