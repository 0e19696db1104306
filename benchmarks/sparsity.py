"""Does z get sparse as γ grows, and do classes use different dimensions? Fashion-MNIST, latent 50, a table over γ.

    INTEL_DATA_DIR=... python benchmarks/sparsity.py [--gamma 0 --gamma 30] [--seeds 1] [--jobs 2] [--epochs 20]
        [--options floor=0.2] [--runs runs/sparsity] [--out FILE] [--picture FILE]

Hoyer: mean over test images of the score of z with each dimension divided by its standard deviation; of samples of
q(z|x), as in the paper, and of posterior means. A dense Gaussian of 50 dimensions scores 0.2307. distance: mean over
pairs of classes of how different their mean gates are (1 - weighted Jaccard). Error: mean squared error per pixel of
the reconstruction of test images. The picture shows the mean of |z_d| / std_d by class, and reconstructions.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import statistics
from pathlib import Path
from typing import Any

import torch
from cached import trained
from matplotlib.figure import Figure

from intel_core import Run
from intel_core.data.values import to_float
from intel_core.helpers.hoyer import gaussian_floor, hoyer_score

NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")


def train(gamma: float | None, options: str, epochs: int, seed: int, runs: Path) -> Run:
    """The run of one γ (None: the vanilla VAE), trained unless it is there already."""
    mapping = "identity" if gamma is None else f"sparse:gamma={gamma:g}" + (f",{options}" if options else "")
    return trained(
        runs,
        mapping=mapping,
        data="fashion_mnist",
        latent=50,
        epochs=epochs,
        evaluate_every=10**9,
        seed=seed,
    )


def one(job: tuple[float | None, str, int, int, Path]) -> dict[str, Any]:
    """Train and measure, in a process of its own."""
    torch.set_num_threads(1)
    return measure(train(*job), job[0])


@torch.no_grad()
def measure(run: Run, gamma: float | None) -> dict[str, Any]:
    """The numbers of one run."""
    test = run.dataset().test
    encoding = run.encode(test.x, standardised=True)
    error = (run.reconstruct(test.x, standardised=True) - to_float(test.x)).square().mean()
    found = run.metrics["mapping"]
    return {
        "gamma": gamma,
        "samples": float(hoyer_score(encoding.z)),
        "means": float(hoyer_score(run.model.mapping(encoding.mean))),
        "active": found.get("active_share", 1.0),
        "distance": found.get("class_gate_distance", 0.0),
        "error": float(error),
        "elbo": run.metrics["test"]["elbo"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a row per γ."""
    lines = [
        "| mapping | Hoyer, samples | Hoyer, means | gates above 1/2 | distance of classes | error | test ELBO |",
        "|---|---|---|---|---|---|---|",
    ]
    for gamma in dict.fromkeys(row["gamma"] for row in rows):
        mine = [row for row in rows if row["gamma"] == gamma]

        def shown(key: str, digits: int, mine: list[dict[str, Any]] = mine) -> str:
            values = [row[key] for row in mine]
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            return f"{statistics.mean(values):.{digits}f}{spread}"

        name = "`identity`" if gamma is None else f"`sparse:gamma={gamma:g}`"
        lines.append(
            f"| {name} | {shown('samples', 3)} | {shown('means', 3)} | {shown('active', 2)} | {shown('distance', 2)} "
            f"| {shown('error', 4)} | {shown('elbo', 1)} |"
        )
    return "\n".join(lines) + f"\n\nA dense Gaussian of 50 dimensions: {gaussian_floor(50):.4f}.\n"


@torch.no_grad()
def draw(run: Run, path: Path) -> None:
    """|z| by class, a column per dimension, and test images above their reconstructions."""
    test = run.dataset().test
    z = run.encode(test.x, standardised=True).z
    scaled = z.abs() / z.std(0).clamp(min=1e-8)
    by_class = torch.stack([scaled[test.labels == label].mean(0) for label in range(10)])
    # Dimensions in the order of the class that uses them most, so that blocks can be seen.
    by_class = by_class[:, by_class.argmax(0).argsort(stable=True)]
    figure = Figure(figsize=(6.5, 4.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2, 1))
    image = top.imshow(by_class, aspect="auto", cmap="magma", vmin=0)
    top.set_yticks(range(10), NAMES, fontsize=7)
    top.set_xlabel("dimension of z, sorted by the class that uses it most")
    figure.colorbar(image, ax=top, label="mean of |z| / std")
    chosen = torch.cat([torch.nonzero(test.labels == label)[:1, 0] for label in range(10)])
    pairs = [to_float(test.x[chosen]), run.reconstruct(test.x[chosen], standardised=True)]
    bottom.imshow(torch.cat([torch.cat(list(row[:, 0]), dim=1) for row in pairs]), cmap="gray_r", vmin=0, vmax=1)
    bottom.set_yticks([14, 42], ["original", "reconstruction"], fontsize=7)
    bottom.set_xticks([])
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gamma", type=float, action="append", help="may be repeated")
    parser.add_argument("--options", default="", help="further options of the mapping")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=Path, default=Path("runs/sparsity"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--pictured", type=float, default=30.0, help="γ of the picture, seed 0")
    arguments = parser.parse_args()
    gammas: list[float | None] = [None, *(arguments.gamma or [0.0, 3.0, 10.0, 30.0, 100.0])]
    jobs = [(g, arguments.options, arguments.epochs, s, arguments.runs) for g in gammas for s in range(arguments.seeds)]
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        rows = []
        for row in pool.map(one, jobs):
            print(row, flush=True)
            rows.append(row)
    text = table(rows)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")
    if arguments.picture is not None:
        draw(train(arguments.pictured, arguments.options, arguments.epochs, 0, arguments.runs), arguments.picture)


if __name__ == "__main__":
    main()
