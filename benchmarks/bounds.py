"""What does it bring to take the KL term in z, where a mapping forgets something? Both bounds, several seeds.

    python benchmarks/bounds.py [--data circle10 --arm z] [--seeds 5] [--first-seed 0] [--jobs 2] [--runs runs/bounds]
        [--rows docs/results/bounds.json] [--out docs/results/bounds.md]

`circle10`, `sphere6` and `torus5` are 3,000 points of a circle, a sphere and a flat torus, each carried into 10, 6 and
5 dimensions by a random matrix, with noise of deviation 0.05, and standardised. Every setting is the default, but for
the latent dimensions: what the mapping needs, with identity too. The sphere has 4 restarts in all arms.

ELBO and the two KL terms: of the test part, nats per example. log p(x): by importance sampling, 500 draws, in z or in y
as in training; of `truth`, the density that `circle10` is drawn from, by quadrature. Over identity: by seed. Least: the
smallest of these differences of the ELBO. Draws: how many of them count. The paper's sets: `intel study fig4`.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

import torch
from cached import trained
from rows import added, kept, put_into, shown
from torch import Tensor

from intel_core import Dataset, Subject, make_dataset, measure, parse_spec

PLACES = {"circle10": ("circle", 2, 10), "sphere6": ("sphere", 3, 6), "torus5": ("torus", 4, 5)}
"""Mapping, latent dimensions, dimensions of the data."""
DATA = tuple(PLACES)
ARMS = ("identity", "y", "z", "truth")
"""The vanilla VAE, the mapping with the KL term in y and in z, and the density that `circle10` is drawn from."""
ROWS, NOISE = 3000, 0.05


def drawn(name: str, seed: int) -> tuple[Tensor, Tensor]:
    """Points of a circle, a sphere or a torus in more dimensions, not yet standardised, and the matrix."""
    mapping, width, dims = PLACES[name]
    generator = torch.Generator().manual_seed(seed)
    blocks = [width] if mapping != "torus" else [2, 2]
    parts = [torch.randn(ROWS, block, generator=generator) for block in blocks]
    points = torch.cat([part / part.norm(dim=1, keepdim=True) for part in parts], dim=1)
    matrix = torch.randn(width, dims, generator=generator)
    return points @ matrix + NOISE * torch.randn(ROWS, dims, generator=generator), matrix


def place(name: str, seed: int) -> Dataset:
    """The data of `drawn`, standardised."""
    x, _ = drawn(name, seed)
    return make_dataset(name, (x - x.mean(0)) / x.std(0))


def truth(name: str, seed: int) -> float:
    """Mean log density of the test part of a circle under what it is drawn from, by quadrature over angles."""
    x, matrix = drawn(name, seed)
    angles = torch.arange(2000) * (2 * math.pi / 2000)
    points = torch.stack([angles.cos(), angles.sin()], 1) @ matrix
    means, stds = ((points - x.mean(0)) / x.std(0)).double(), (NOISE / x.std(0)).double()
    errors = (place(name, seed).test.x.double().unsqueeze(1) - means) / stds
    each = -0.5 * errors.square().sum(-1) - (stds * math.sqrt(2 * math.pi)).log().sum()
    return float((torch.logsumexp(each, 1) - math.log(len(angles))).mean())


def cell(job: tuple[str, str, int, Path]) -> dict[str, Any]:
    """One data set, one arm, one seed, in a process of its own."""
    torch.set_num_threads(1)
    data, arm, seed, runs = job
    kl: Any = "z" if arm == "z" else "y"
    row: dict[str, Any] = {"data": data, "arm": arm, "seed": seed}
    if arm == "truth":
        log_p = truth(data, seed)
        return row | {"elbo": log_p, "log_p": log_p}
    mapping, width, _ = PLACES[data]
    dataset = place(data, seed)
    run = trained(
        runs, as_data=data, data=dataset, mapping="identity" if arm == "identity" else mapping, kl=kl, latent=width,
        seed=seed, restarts=4 if data.startswith("sphere") else 1,
    )  # fmt: skip
    test = run.metrics["test"]
    row |= {
        "elbo": test["elbo"],
        "kl": test["kl"],
        "kl_y": test.get("kl_y", test["kl"]),
        "seconds": run.metrics["seconds"],
    }
    metric = parse_spec("metrics", "likelihood:particles=500,limit=1000")
    for measured in measure(Subject(run, dataset=dataset), [metric]):
        if measured.measurement is not None:
            numbers = measured.measurement.numbers
            row |= {"log_p": numbers["log p"].value, "draws": numbers["effective sample size"].value}
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """A row for each data set and arm: means and standard deviations over seeds."""
    lines = [
        "| data | KL term | seeds | ELBO | over identity | least | KL in z | KL in y | log p(x) | over identity "
        "| draws |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for data in DATA:
        plain = {row["seed"]: row for row in rows if (row["data"], row["arm"]) == (data, "identity")}
        for arm in ARMS:
            here = [row for row in rows if (row["data"], row["arm"]) == (data, arm)]
            if not here:
                continue
            pairs = [(row, plain[row["seed"]]) for row in here if row["seed"] in plain and arm != "identity"]
            over = [{key: row[key] - other[key] for key in ("elbo", "log_p")} for row, other in pairs]
            cells = [
                arm if arm in ("identity", "truth") else f"in {arm}", str(len(here)),
                shown(here, "elbo", 2), shown(over, "elbo", 2),
                f"{min(gap['elbo'] for gap in over):.2f}" if over else "",
                shown(here, "kl", 2) if arm == "z" else "", shown(here, "kl_y", 2),
                shown(here, "log_p", 2), shown(over, "log_p", 2), shown(here, "draws", 0),
            ]  # fmt: skip
            lines.append(f"| {data} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compute what is missing, print the table, put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", choices=DATA, help="may be repeated; all by default")
    parser.add_argument("--arm", action="append", choices=ARMS, help="may be repeated; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--runs", type=Path, default=Path("runs/bounds"))
    parser.add_argument("--rows", type=Path, default=Path("docs/results/bounds.json"))
    parser.add_argument("--out", type=Path, help="file for the table, between its lines of text")
    asked = parser.parse_args()
    rows = kept(asked.rows)
    there = {(row["data"], row["arm"], row["seed"]) for row in rows}
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    jobs = [
        (data, arm, seed, asked.runs)
        for data in asked.data or DATA
        for seed in seeds
        for arm in asked.arm or ARMS
        if (data, arm, seed) not in there and (arm != "truth" or data == "circle10")
    ]
    added(
        rows,
        asked.rows,
        jobs,
        cell,
        lambda row: (DATA.index(row["data"]), ARMS.index(row["arm"]), row["seed"]),
        asked.jobs,
    )
    print(table(rows))
    if asked.out is not None:
        put_into(asked.out, "table", table(rows))


if __name__ == "__main__":
    main()
