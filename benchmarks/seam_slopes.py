"""What does the slope of a mapping at a seam do to training? The ELBO of digits behind identity's, by slope.

    python benchmarks/seam_slopes.py [--seeds 2] [--steps 4000] [--runs runs/seams] [--rows docs/results/seams.json]
        [--picture docs/images/seam-slopes.png]

scikit-learn's digits, dense nets, 2 latent dimensions, ten sectors without a start and with fixed shares, c1 = 5. Every
mapping is a bijection, so that with ideal networks none would have a lower bound than identity: what is lost is lost in
training. Slope: c1 eps^(c2 - 1), the largest of the displacement.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from cached import trained

CONSTANTS = [(0.2, 1e-3), (0.2, 1e-2), (0.2, 0.1), (0.2, 0.3), (0.5, 1e-3), (0.5, 0.1)]
C1 = 5.0


def slope(c2: float, eps: float) -> float:
    """The largest slope of the displacement."""
    return C1 * eps ** (c2 - 1)


def elbo(runs: Path, mapping: str, seed: int, steps: int) -> float:
    """Of the test part, nats per example."""
    run = trained(runs, data="digits", mapping=mapping, start="none", latent=2, seed=seed, steps=steps)
    return float(run.metrics["test"]["elbo"])


def main() -> None:
    """Train what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--runs", type=Path, default=Path("runs/seams"))
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        plain = elbo(arguments.runs, "identity", seed, arguments.steps)
        for c2, eps in CONSTANTS:
            mapping = f"cluster:k=10,split=sectors,learnable=false,c1={C1:g},c2={c2:g},eps={eps:g}"
            gap = elbo(arguments.runs, mapping, seed, arguments.steps) - plain
            rows.append({"c2": c2, "eps": eps, "slope": slope(c2, eps), "seed": seed, "gap": gap})
            print(rows[-1], flush=True)
    if arguments.rows is not None:
        arguments.rows.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print("| c2 | eps | slope | ELBO − identity's |\n|---|---|---|---|")
    means = []
    for c2, eps in sorted(CONSTANTS, key=lambda pair: slope(*pair)):
        gaps = [row["gap"] for row in rows if (row["c2"], row["eps"]) == (c2, eps)]
        means.append((slope(c2, eps), statistics.mean(gaps)))
        print(f"| {c2:g} | {eps:g} | {means[-1][0]:.0f} | {means[-1][1]:+.2f} |")
    if arguments.picture is not None:
        draw(rows, arguments.picture)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The loss of each run by slope, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    for c2, marker in ((0.2, "o"), (0.5, "s")):
        mine = [row for row in rows if row["c2"] == c2]
        axes.plot([row["slope"] for row in mine], [row["gap"] for row in mine], marker, label=f"c2 = {c2:g}", alpha=0.8)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("largest slope at a seam, c1 eps^(c2 - 1)")
    axes.set_ylabel("ELBO − identity's, nats")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
