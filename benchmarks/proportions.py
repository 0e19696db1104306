"""Are unequal shares of zeros and ones on MNIST learned, from equal ones? A table over true shares and seeds.

    INTEL_DATA_DIR=... python benchmarks/proportions.py [--mapping MAPPING]
        [--share 0.1] [--seeds 5] [--jobs 2] [--latent 10] [--steps 4000] [--runs runs/proportions] [--out FILE]

The learned share of zeros is that of the cluster with the larger ratio of zeros to ones among test images, clusters
having no order; accuracy is that of the cluster index against the label under the better of the two matchings. All
other settings are the defaults.
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

from intel_core import Run


def train(mapping: str, share: float, latent: int, steps: int, seed: int, runs: Path) -> Run:
    """The run of one share and seed, trained unless it is there already."""
    return trained(
        runs,
        mapping=mapping,
        start="none",
        data=f"mnist:classes=[0,1],shares=[{share},{1 - share}]",
        latent=latent,
        steps=steps,
        evaluate_every=10**9,
        seed=seed,
    )


def one(job: tuple[str, float, int, int, int, Path]) -> dict[str, float]:
    """Train and read what the mapping says of the test images, in a process of its own."""
    torch.set_num_threads(1)
    run = train(*job)
    found = run.metrics["mapping"]
    counts = found["contingency"]
    zeros = max(range(2), key=lambda k: counts[k][0] / max(1, counts[k][1]))
    train_labels = run.dataset().train.labels
    assert train_labels is not None
    return {
        "asked": job[1],
        "true": float((train_labels == 0).double().mean()),
        "learned": found["proportions"][zeros],
        "accuracy": found["accuracy"],
        "elbo": run.metrics["test"]["elbo"],
    }


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", default="cluster:k=2,preset=paper,c2=0.5,learnable=true,split=simplex")
    parser.add_argument("--share", type=float, action="append", help="true share of zeros; may be repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--runs", type=Path, default=Path("runs/proportions"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    jobs = [
        (arguments.mapping, share, arguments.latent, arguments.steps, seed, arguments.runs)
        for share in arguments.share or (0.5, 0.25, 0.1)
        for seed in range(arguments.seeds)
    ]
    rows: list[dict[str, Any]] = []
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        for row in pool.map(one, jobs):
            print(row, flush=True)
            rows.append(row)
    lines = [
        f"`{arguments.mapping}`:",
        "",
        "| true share of zeros | learned, per seed | within 0.05 | mean ± sd | accuracy, per seed |",
        "|---|---|---|---|---|",
    ]
    for asked in dict.fromkeys(row["asked"] for row in rows):
        mine = [row for row in rows if row["asked"] == asked]
        learned = [row["learned"] for row in mine]
        close = sum(abs(row["learned"] - row["true"]) <= 0.05 for row in mine)
        accuracy = " ".join(f"{row['accuracy']:.3f}" for row in mine)
        spread = f" ± {statistics.stdev(learned):.3f}" if len(learned) > 1 else ""
        lines.append(
            f"| {mine[0]['true']:.3f} | {' '.join(f'{value:.3f}' for value in learned)} | {close} of {len(mine)} "
            f"| {statistics.mean(learned):.3f}{spread} | {accuracy} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
