"""The mapping, or another prior, or another posterior? MNIST, latent 50, the same dense nets: ELBO, log p(x), Fréchet.

    INTEL_DATA_DIR=... python benchmarks/rivals.py [--arm identity --arm vamp] [--seeds 3] [--first-seed 0] [--jobs 2]
        [--epochs 20] [--runs runs/rivals] [--rows docs/results/rivals.json] [--out docs/results/rivals.md]

Every arm has the same encoder and decoder (dense, 256-256), batch, optimiser and number of steps. ELBO: of the whole
test part, in nats per example, with the arm's own prior. log p(x): by importance sampling with 500 draws of q(y|x), of
2,000 test images, ± its own error. Fréchet: between 5,000 samples of the arm's own prior and as many test images, in
the last hidden layer of a LeNet; two real sets have about 1.3. ± is the standard deviation over seeds.

Cells (arm and seed) that are in the file of rows already are not trained again; what is missing is, two at a time, so
that the table can be continued after it was interrupted.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from cached import trained
from rows import added, kept, put_into, shown

from intel_core import Subject, measure, parse_spec

ARMS: dict[str, dict[str, Any]] = {
    "identity": {"mapping": "identity"},
    "mog, as coded": {"mapping": "identity", "prior": "mog:preset=as_coded"},
    "mog, sharp": {"mapping": "identity", "prior": "mog:preset=sharp"},
    "mog, learned": {"mapping": "identity", "prior": "mog:preset=learned"},
    "vamp": {"mapping": "identity", "prior": "vamp:components=500"},
    "gmvae": {"mapping": "first:keep=50", "prior": "gmvae:k=10,w=10", "latent": 60},
    "flow prior": {"mapping": "identity", "prior": "flow"},
    "sylvester": {"mapping": "identity", "posterior": "sylvester:flows=4,rank=8"},
    "flow posterior": {"mapping": "identity", "posterior": "flow"},
    "full": {"mapping": "identity", "posterior": "full"},
    "cluster": {"mapping": "cluster:k=10,preset=paper", "start": "none"},
}
"""What differs between the rows of the table; everything else is the same."""
METRICS = ("likelihood:particles=500,limit=2000", "frechet:n=5000")


def cell(job: tuple[str, int, int, Path]) -> dict[str, Any]:
    """Train and measure one arm with one seed, in a process of its own."""
    arm, seed, epochs, runs = job
    torch.set_num_threads(1)
    same = {"data": "mnist", "latent": 50, "network": "mlp", "evaluate_every": 10**9}
    run = trained(runs, **{**same, "epochs": epochs, "seed": seed, **ARMS[arm]})
    found = {"elbo": run.metrics["test"]["elbo"], "kl": run.metrics["test"]["kl"], "seconds": run.metrics["seconds"]}
    for metric in METRICS:
        for measured in measure(Subject(run), [parse_spec("metrics", metric)]):
            if measured.status != "measured" or measured.measurement is None:
                raise SystemExit(f"{arm}, seed {seed}: {metric} is {measured.status}: {measured.reason}")
            for name, number in measured.measurement.numbers.items():
                found[f"{metric.partition(':')[0]} {name}"] = number.value
    return {"arm": arm, "seed": seed, "epochs": epochs, **found}


def table(rows: list[dict[str, Any]], columns: dict[str, tuple[str, int]]) -> str:
    """Markdown, a row per arm in the order of `ARMS`."""
    lines = [f"| arm | settings | seeds | {' | '.join(columns)} |", "|---|---|---|" + "---|" * len(columns)]
    for arm, settings in ARMS.items():
        mine = [row for row in rows if row["arm"] == arm]
        if mine:
            said = ", ".join(f"`{key}={value}`" for key, value in settings.items() if value != "identity")
            cells = " | ".join(shown(mine, key, digits) for key, digits in columns.values())
            lines.append(f"| {arm} | {said or '`mapping=identity`'} | {len(mine)} | {cells} |")
    return "\n".join(lines) + "\n"


COLUMNS = {
    "test ELBO": ("elbo", 1),
    "KL": ("kl", 1),
    "log p(x)": ("likelihood log p", 1),
    "Fréchet": ("frechet frechet distance", 1),
    "s per run": ("seconds", 0),
}


def _order(row: dict[str, Any]) -> tuple[int, int, int]:
    return list(ARMS).index(row["arm"]), row["seed"], row["epochs"]


def main() -> None:
    """Train and measure what is missing, write the rows as they come, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="may be repeated; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--runs", type=Path, default=Path("runs/rivals"))
    parser.add_argument("--rows", type=Path, default=Path("docs/results/rivals.json"))
    parser.add_argument("--out", type=Path, help="file for the table, between its lines of text")
    arguments = parser.parse_args()
    rows = kept(arguments.rows)
    done = {(row["arm"], row["seed"], row["epochs"]) for row in rows}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    cells = [(arm, seed, arguments.epochs) for seed in seeds for arm in arguments.arm or ARMS]
    jobs = [(*wanted, arguments.runs) for wanted in cells if wanted not in done]
    added(rows, arguments.rows, jobs, cell, _order, arguments.jobs)
    text = table([row for row in rows if row["epochs"] == arguments.epochs], COLUMNS)
    print(text)
    if arguments.out is not None:
        put_into(arguments.out, "table", text)


if __name__ == "__main__":
    main()
