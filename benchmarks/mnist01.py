"""Do the clusters of z find zeros and ones on MNIST, and is their proportion learned? A table over seeds.

    INTEL_DATA_DIR=... python benchmarks/mnist01.py [--seeds 5] [--network mlp] [--epochs 20] [--out FILE]

Accuracy is that of the cluster index against the label on the test images, under the better of the two matchings.
The learned share of zeros is that of the cluster with the larger ratio of zeros to ones.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from intel_core import fit

ROWS: dict[str, dict[str, Any]] = {
    "identity": {"mapping": "identity"},
    "cluster:k=2,preset=paper": {"mapping": "cluster:k=2,preset=paper"},
    "cluster:k=2,preset=paper, strength=constant": {
        "mapping": "cluster:k=2,preset=paper",
        "schedules": {"strength": "constant"},
    },
    "cluster:k=2,preset=paper,c2=0.5,learnable=true": {"mapping": "cluster:k=2,preset=paper,c2=0.5,learnable=true"},
}


def one(settings: dict[str, Any], data: str, network: str, epochs: int, seed: int, folder: str) -> dict[str, float]:
    """Train once and return its test ELBO and, where there are clusters, accuracy and shares."""
    run = fit(
        **settings,
        start="none",
        data=data,
        latent=2,
        encoder=network,
        epochs=epochs,
        seed=seed,
        evaluate_every=10**6,
        run_dir=f"{folder}/{len(list(Path(folder).iterdir()))}",
    )
    found = run.metrics["mapping"]
    numbers = {"elbo": run.metrics["test"]["elbo"]}
    if found:
        counts = found["contingency"]
        zeros = max(range(2), key=lambda k: counts[k][0] / max(1, counts[k][1]))
        numbers |= {"accuracy": found["accuracy"], "learned": found["proportions"][zeros]}
        numbers["data"] = found["data_shares"][zeros]
    return numbers


def main() -> None:
    """Print a Markdown table, a row per mapping and true share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--network", default="mlp")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| mapping | zeros, true | accuracy per seed | median | zeros' cluster: learned/data share | test ELBO |",
        "|---|---|---|---|---|---|",
    ]
    data, true = "mnist:classes=[0,1]", 5923 / 12665
    for name, settings in ROWS.items():
        if arguments.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = [one(settings, data, arguments.network, arguments.epochs, s, folder) for s in range(arguments.seeds)]
        accuracy = [row["accuracy"] for row in rows if "accuracy" in row]
        shares = ", ".join(f"{row['learned']:.2f}/{row['data']:.2f}" for row in rows if "learned" in row)
        elbo = statistics.mean(row["elbo"] for row in rows)
        spread = statistics.stdev(row["elbo"] for row in rows) if len(rows) > 1 else 0.0
        shown = " ".join(f"{a:.3f}" for a in accuracy) or "–"
        middle = f"{statistics.median(accuracy):.3f}" if accuracy else "–"
        lines.append(f"| `{name}` | {true:.3f} | {shown} | {middle} | {shares or '–'} | {elbo:.1f} ± {spread:.1f} |")
        print(lines[-1], flush=True)
    table = "\n".join(lines)
    if arguments.out is not None:
        arguments.out.write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
