"""Does the top level of a hierarchy tell the class better than lower ones of the same size? Fashion-MNIST, over seeds.

    INTEL_DATA_DIR=... python benchmarks/hierarchy.py [--mapping hierarchy:levels=5] [--latent 50] [--seeds 5]
        [--jobs 2] [--epochs 10] [--runs runs/hierarchy] [--out FILE]

For each level, logistic regression on its dimensions of z (of posterior means, standardised), fitted on 5,000 encoded
training images and tested on the 10,000 test images: accuracy, mean and standard deviation over seeds. y: the same from
the level's own intermediary latents. Chance is 0.1. The row `vanilla` has as many dimensions of a vanilla VAE's latent,
drawn at random five times.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cached import trained
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from intel_core import Levelled, Run, load_mapping

TRAINED_ON = 5000


def train(mapping: str, latent: int, epochs: int, seed: int, runs: Path) -> Run:
    """The run of one mapping, trained unless it is there already."""
    return trained(
        runs,
        mapping=mapping,
        data="fashion_mnist",
        latent=latent,
        epochs=epochs,
        evaluate_every=10**9,
        seed=seed,
    )


def probe(train_x: Any, train_y: Any, test_x: Any, test_y: Any) -> float:
    """Accuracy of a linear probe."""
    scaler = StandardScaler().fit(train_x)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(train_x), train_y)
    return float(model.score(scaler.transform(test_x), test_y))


def one(job: tuple[str, int, int, int, Path, int]) -> dict[str, Any]:
    """Train and probe, in a process of its own."""
    torch.set_num_threads(1)
    return {"seed": job[3], **measure(train(*job[:-1]), job[-1])}


@torch.no_grad()
def measure(run: Run, width: int) -> dict[str, Any]:
    """Probes of one run; of `width` dimensions where there are no levels."""
    data = run.dataset()
    mapping = run.model.mapping
    parts = ((data.train, TRAINED_ON), (data.test, 10_000))
    encoded = [run.encode(split.x[:rows], standardised=True).mean for split, rows in parts]
    labels = [split.labels[:rows].numpy() for split, rows in parts]
    z = [mapping(y).numpy() for y in encoded]
    y = [e.numpy() for e in encoded]

    def score(features: list[Any], dims: list[int]) -> float:
        return probe(features[0][:, dims], labels[0], features[1][:, dims], labels[1])

    found: dict[str, Any] = {"elbo": run.metrics["test"]["elbo"]}
    if isinstance(mapping, Levelled):
        found["z"] = [score(z, list(level)) for level in mapping.levels]
        found["y"] = [score(y, list(level)) for level in mapping.levels]
    else:
        generator = np.random.default_rng(0)
        found["z"] = [score(z, list(generator.choice(mapping.y_dim, width, replace=False))) for _ in range(5)]
        found["y"] = found["z"]
    return found


def shown(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", default="hierarchy:levels=5")
    parser.add_argument("--latent", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=Path, default=Path("runs/hierarchy"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    width = len(load_mapping(arguments.mapping, arguments.latent).levels[0])
    jobs = [
        (mapping, arguments.latent, arguments.epochs, seed, arguments.runs, width)
        for mapping in (arguments.mapping, "identity")
        for seed in range(arguments.seeds)
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        for job, row in zip(jobs, pool.map(one, jobs), strict=True):
            print(row, flush=True)
            found.setdefault(job[0], []).append(row)
    rows = found[arguments.mapping]
    lines = ["| features | accuracy from z | accuracy from y |", "|---|---|---|"]
    for level in range(len(rows[0]["z"])):
        name = "top level" if level == 0 else "lowest level" if level == len(rows[0]["z"]) - 1 else f"level {level}"
        lines.append(f"| {name} | {shown([r['z'][level] for r in rows])} | {shown([r['y'][level] for r in rows])} |")
    vanilla = [statistics.mean(row["z"]) for row in found["identity"]]
    lines.append(f"| vanilla | {shown(vanilla)} | {shown(vanilla)} |")
    lines.append("")
    lines += [f"Test ELBO, `{name}`: {shown([row['elbo'] for row in of])}." for name, of in found.items()]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
