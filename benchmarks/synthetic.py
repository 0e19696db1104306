"""Do samples stay on the manifolds of the paper's synthetic sets? The vanilla VAE against the fitting mapping, by seed.

    python benchmarks/synthetic.py [--data infinity] [--objective elbo] [--arm z] [--first-seed 10] [--seeds 10]
        [--jobs 2] [--runs runs/synthetic] [--rows docs/results/synthetic.json] [--out docs/results/synthetic.md]
        [--picture docs/images/synthetic.png]

The mapping is trained with the KL term in y, the paper's, and in z; the clusters of `mixture` are a bijection, whose KL
is the same in both. Every row has the same schedule: latent 2, two hidden layers of 64, batches of 100, 20,000 Adam
steps from 1e-3 with cosine decay to 0.1 %, KL warm-up over the first half, gradient norm clipped at 50, Gaussian
likelihood of learned variance with a floor of 1e-4. infinity and three_loops are standardised. The seeds of a row are
trained as one stack, with one start each; but for three_loops, whose mapping has 24 starts, each tried for half a run,
and which is tried with the multi-sample bound alone. Finished runs are read, not repeated.

off: share of 10,000 samples (noise included) further than 0.3 from the manifold; for the mixture, share with |x_1| < 1
(of the true distribution 0.0004). coverage: share of 2,000 true draws with a sample nearer than 0.1. log p(x): mean
over 2,000 test points of the importance-weighted bound with 500 particles, nats per example, in the data's units.
ELBO, KL: of the test part, with one draw for each example.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from pathlib import Path
from typing import Any

import torch
from cached import trained_together
from intel_datasets.synthetic import distance_to_manifold, sample
from matplotlib.figure import Figure
from rows import added, kept, put_into, shown
from scipy.spatial import cKDTree

from intel_core import Run
from intel_core.data.values import to_float
from intel_core.model.objectives import log_importance_weights

STEPS = 20_000
PARTICLES = 500
MAPPINGS = {
    "circle": "circle:eps=1e-3,form=smooth",
    "square": "circle:eps=1e-3,form=smooth",
    "star": "circle:eps=1e-3,form=smooth",
    "infinity": "holes:h=2,scale=2,eps=1e-3,form=smooth",
    "three_loops": "holes:h=3,scale=2,eps=1e-3,form=smooth,size=equal",
    "mixture": "cluster:k=2,preset=paper",
}
ARMS = ("identity", "y", "z")
"""The vanilla VAE, and the mapping with the KL term in y and in z."""
OBJECTIVES = {"elbo": "ELBO", "iwae:particles=8": "IWAE-8"}
LOOPS = ("infinity", "three_loops")
"""Sets that are standardised, being wider than high."""
STARTS = {"three_loops": (24, 0.5)}
"""How many starts the mapping of a set has, and for which share of a run each is tried."""
Job = tuple[str, str, str, tuple[int, ...], Path]
"""Data, objective, arm, consecutive seeds, and the folder of all runs."""


def train(job: Job) -> list[Run]:
    """The runs of these seeds, trained unless they are there already; a stack that was cut short begins again."""
    data, objective, arm, seeds, runs = job
    count, trial = STARTS.get(data, (1, 0.2)) if arm != "identity" else (1, 0.2)
    return trained_together(
        runs,
        len(seeds),
        mapping="identity" if arm == "identity" else MAPPINGS[data],
        start="none",
        kl="z" if arm == "z" else "y",
        data=f"{data}:n=20000" + (",standardize=true" if data in LOOPS else ""),
        restarts=count,
        trial=trial,
        latent=2,
        objective=objective,
        encoder="mlp:hidden=[64,64]",
        decoder="mlp:hidden=[64,64]",
        likelihood="gaussian:floor=1e-4",
        batch_size=100,
        steps=STEPS,
        learning_rate=1e-3,
        clip_norm=50.0,
        schedules={"kl": f"linear:steps={STEPS // 2}", "lr": f"cosine:start=1,end=0.001,steps={STEPS}"},
        evaluate_every=10**9,
        seed=seeds[0],
    )


@torch.no_grad()
def measure(run: Run, data: str) -> dict[str, float]:
    """The numbers of one run."""
    generator = torch.Generator().manual_seed(1)
    true = sample(data, 2000, generator)
    drawn = run.sample(10_000, seed=1, noise=True).double()
    off = (
        (drawn[:, 0].abs() < 1).double().mean()
        if data == "mixture"
        else (distance_to_manifold(data, drawn) > 0.3).mean()
    )
    near, _ = cKDTree(drawn.numpy()).query(true.numpy())
    test = run.dataset().test
    x = to_float(test.x)[:2000]
    bounds = []
    for rows in torch.split(x, 200):
        noise = torch.randn(PARTICLES, len(rows), run.model.y_dim, generator=generator)
        weights = log_importance_weights(run.model, rows, noise)
        bounds.append(torch.logsumexp(weights.double(), 0) - math.log(PARTICLES))
    scaling = run.dataset().scaling
    units = 0.0 if scaling is None else sum(math.log(std) for std in scaling[1])
    judged = run.metrics["test"]
    return {
        "off": float(off),
        "coverage": float((near < 0.1).mean()),
        "log_p": float(torch.cat(bounds).mean()) - units,
        "elbo": judged["elbo"] - units,
        "kl": judged["kl"],
        "kl_y": judged.get("kl_y", judged["kl"]),
    }


def cells(job: Job) -> list[dict[str, Any]]:
    """Train and measure, in a process of its own."""
    torch.set_num_threads(1)
    data, objective, arm, seeds, _ = job
    named = {"data": data, "objective": OBJECTIVES[objective], "arm": arm}
    return [named | {"seed": seed} | measure(run, data) for seed, run in zip(seeds, train(job), strict=True)]


def table(found: list[dict[str, Any]]) -> str:
    """A row for each data set, objective and arm: means and standard deviations over seeds."""
    lines = [
        "| data | objective | KL term | seeds | off the manifold | worst | coverage | log p(x) | over identity | least "
        "| ELBO | KL in z | KL in y |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for data, objective in dict.fromkeys((row["data"], row["objective"]) for row in found):
        here = [row for row in found if (row["data"], row["objective"]) == (data, objective)]
        plain = {row["seed"]: row["log_p"] for row in here if row["arm"] == "identity"}
        for arm in dict.fromkeys(row["arm"] for row in here):
            rows = [row for row in here if row["arm"] == arm]
            over = [{"gap": row["log_p"] - plain[row["seed"]]} for row in rows if row["seed"] in plain]
            compared = over and arm != "identity"
            cells = [
                data, objective, arm if arm == "identity" else "in y, z" if data == "mixture" else f"in {arm}",
                str(len(rows)), shown(rows, "off", 3), f"{max(row['off'] for row in rows):.3f}",
                f"{statistics.mean(row['coverage'] for row in rows):.3f}", shown(rows, "log_p", 2),
                shown(over, "gap", 2) if compared else "",
                f"{min(row['gap'] for row in over):.2f}" if compared else "",
                shown(rows, "elbo", 1), shown(rows, "kl", 2) if arm == "z" else "", shown(rows, "kl_y", 2),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(names: list[str], seeds: tuple[int, ...], runs: Path, path: Path) -> None:
    """A row per data set: true draws, then samples of each model of the first seed, noise included."""
    columns = [(arm, objective) for arm in ARMS for objective in OBJECTIVES]
    figure = Figure(figsize=(12.4, 1.75 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 1 + len(columns), squeeze=False)
    for row, data in zip(grid, names, strict=True):
        true = sample(data, 1500, torch.Generator().manual_seed(0))
        low, high = true.min(0).values, true.max(0).values
        middle, half = (low + high) / 2, float((high - low).max()) * 0.6
        drawn = [true]
        for arm, objective in columns:
            shared = "y" if data == "mixture" and arm == "z" else arm
            drawn.append(train((data, objective, shared, seeds, runs))[0].sample(1500, seed=0, noise=True))
        for axes, points in zip(row, drawn, strict=True):
            axes.scatter(points[:, 0], points[:, 1], s=0.6, linewidths=0, color="#0072B2", rasterized=True)
            axes.set(xlim=(float(middle[0]) - half, float(middle[0]) + half), xticks=[], yticks=[])
            axes.set_ylim(float(middle[1]) - half, float(middle[1]) + half)
            axes.set_aspect("equal")
        row[0].set_ylabel(data.replace("_", " "), fontsize=9)
    called = {"identity": "VAE", "y": "InteL-VAE, KL in y", "z": "InteL-VAE, KL in z"}
    titles = ["data", *(f"{called[arm]},\n{OBJECTIVES[objective]}" for arm, objective in columns)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train what is missing, print the table, put it into the page, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", choices=list(MAPPINGS), help="only this set; may be repeated")
    parser.add_argument("--objective", action="append", choices=list(OBJECTIVES), help="only this; may be repeated")
    parser.add_argument("--arm", action="append", choices=ARMS, help="only this; may be repeated")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--runs", type=Path, default=Path("runs/synthetic"))
    parser.add_argument("--rows", type=Path, default=Path("docs/results/synthetic.json"))
    parser.add_argument("--out", type=Path, help="file for the table, between its lines of text")
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    rows = kept(asked.rows)
    there = {(row["data"], row["objective"], row["arm"], row["seed"]) for row in rows}
    seeds = tuple(range(asked.first_seed, asked.first_seed + asked.seeds))
    jobs: list[Job] = [
        (data, objective, arm, seeds, asked.runs)
        for data in asked.data or MAPPINGS
        for objective in asked.objective or OBJECTIVES
        for arm in asked.arm or ARMS
        if (data, objective) != ("three_loops", "elbo")
        and (data, arm) != ("mixture", "z")
        and any((data, OBJECTIVES[objective], arm, seed) not in there for seed in seeds)
    ]
    places = [*MAPPINGS], [*OBJECTIVES.values()]
    added(
        rows,
        asked.rows,
        jobs,
        cells,
        lambda row: (
            places[0].index(row["data"]),
            places[1].index(row["objective"]),
            ARMS.index(row["arm"]),
            row["seed"],
        ),
        asked.jobs,
    )
    print(table(rows))
    if asked.out is not None:
        put_into(asked.out, "table", table(rows))
    if asked.picture is not None:
        draw([data for data in asked.data or MAPPINGS if data != "three_loops"], seeds, asked.runs, asked.picture)


if __name__ == "__main__":
    main()
