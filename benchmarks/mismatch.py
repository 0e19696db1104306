"""A sparse prior or a sparse mapping: does what is encoded look like what is drawn? Figure 3 of the paper, on our runs.

    python benchmarks/mismatch.py [--steps 6000] [--seeds 3] [--runs runs/mismatch] [--picture docs/images/mismatch.png]

Data: points of the plane of which one coordinate, either, is 0 but for noise of deviation 0.05, and the other N(0, 1).
Models of two latent dimensions, the same dense nets: N(0, I) and no bias; the sparse mixture (0.8 N(0, 0.05²) +
0.2 N(0, 1) in each dimension) as the prior; the `sparse` mapping with γ = 10, its loss on the gates or on z. γ was
chosen by a seed that is not shown.

The table: share of z for which the smaller coordinate is below a tenth of the larger one, of draws of the prior, of
the aggregate posterior q(z), and of the posteriors of single points (q(z|x)); ± is the deviation over seeds. The
picture shows draws of the prior (blue), of q(z) (red) and of q(z|x) of eight points (green), for the first seed.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from intel_core import Run, fit, load_run

ARMS: dict[str, dict[str, Any]] = {
    "no bias": {"mapping": "identity"},
    "sparse prior": {"mapping": "identity", "prior": "sparse_mixture:gamma=0.8,scale=0.05"},
    "sparse mapping": {"mapping": "sparse:gamma=10"},
    "sparse mapping, loss on z": {"mapping": "sparse:gamma=10,target=latent"},
}


def points(n: int, seed: int) -> Tensor:
    """Points on two axes."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.05 * torch.randn(n, 2, generator=generator)
    axis = torch.randint(2, (n,), generator=generator)
    x[torch.arange(n), axis] = torch.randn(n, generator=generator)
    return x


def trained(arm: str, seed: int, steps: int, runs: Path) -> Run:
    """The run of an arm, trained unless it is there already."""
    folder = runs / f"{''.join(c if c.isalnum() else '-' for c in arm)}-{steps}-seed{seed}"
    if (folder / "model.safetensors").exists():
        return load_run(folder)
    shared = {"latent": 2, "likelihood": "gaussian:variance=fixed,scale=0.05", "steps": steps, "seed": seed}
    return fit(data=points(10_000, 0), run_dir=folder, **shared, **ARMS[arm])


def near_an_axis(z: Tensor) -> float:
    """Share of points whose smaller coordinate is below a tenth of the larger one."""
    small, large = z.abs().sort(-1).values.unbind(-1)
    return float((small < 0.1 * large).float().mean())


@torch.no_grad()
def clouds(run: Run) -> dict[str, Tensor]:
    """Draws of z: of the prior, of q(z) and of q(z|x) of eight points."""
    x = points(4000, 1)
    prior = run.model.mapping(run.model.sample_prior(4000, torch.Generator().manual_seed(2)))
    few = x[:8].repeat_interleave(500, 0)
    return {"prior": prior, "q(z)": run.encode(x).z, "q(z|x)": run.encode(few).z}


def main() -> None:
    """Train, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/mismatch"))
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    axes = figure.subplots(1, len(ARMS), sharex=True, sharey=True)
    print("| model | prior | q(z) | q(z\\|x) | test ELBO |\n|---|---|---|---|---|")
    for axis, arm in zip(axes, ARMS, strict=True):
        every = [trained(arm, seed, arguments.steps, arguments.runs) for seed in range(arguments.seeds)]
        drawn = [clouds(run) for run in every]
        columns = [[near_an_axis(one[name]) for one in drawn] for name in drawn[0]]
        columns.append([run.metrics["test"]["elbo"] for run in every])
        cells = [f"{statistics.mean(c):.2f} ± {statistics.stdev(c) if len(c) > 1 else 0:.2f}" for c in columns]
        print(f"| {arm} | {' | '.join(cells)} |", flush=True)
        for (name, z), colour in zip(drawn[0].items(), ("tab:blue", "tab:red", "tab:green"), strict=True):
            scaled = z / drawn[0]["prior"].std(0)
            axis.scatter(*scaled.T, s=2, alpha=0.25, color=colour, linewidths=0, label=name)
        axis.set(title=arm, xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xlabel="z₁ / deviation of the prior's")
    axes[0].set_ylabel("z₂ / deviation of the prior's")
    legend = axes[0].legend(markerscale=5, fontsize=8)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    if arguments.picture is not None:
        figure.savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
