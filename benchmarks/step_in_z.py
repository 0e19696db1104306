"""How much longer is a training step with the KL term in z than one with the KL term in y? Ratios, measured in one run.

    python benchmarks/step_in_z.py [--case circle] [--rounds 101] [--json]

Nets, data and batches are the same: 64-64 MLPs, the smallest in use, batches of 100, one thread, the settings of
`benchmarks/bounds.py`. Blocks of steps alternate, so that whatever else the machine does falls on both. Each step is
timed alone, by the processor's time, and the ratio is that of the medians: on a shared machine steps wait for others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch

from intel_core import make_dataset
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

CASES = {
    "circle": ("circle", 2, 2, 1),
    "circle in 10 dimensions": ("circle", 2, 10, 1),
    "circle, 10 latent dimensions": ("circle", 10, 10, 1),
    "sphere": ("sphere", 3, 6, 1),
    "torus": ("torus", 4, 5, 1),
    "holes": ("holes:h=2", 2, 2, 1),
    "circle, 8 particles": ("circle", 2, 2, 8),
}
"""Mapping, latent dimensions, dimensions of the data, particles."""
BLOCK = 50


def trainer_of(name: str, kl: str) -> Trainer:
    """The framework's trainer with its default logging."""
    mapping, latent, width, particles = CASES[name]
    x = torch.randn(3000, width, generator=torch.Generator().manual_seed(0))
    dataset = make_dataset("noise", x / x.norm(dim=1, keepdim=True))
    spec = make_run_spec(
        data="memory:examples=1,shape=[1]",
        mapping=mapping,
        latent=latent,
        kl=kl,
        objective="elbo" if particles == 1 else f"iwae:particles={particles}",
        encoder="mlp:hidden=[64,64]",
        likelihood="gaussian",
        batch_size=100,
        steps=10**9,
        evaluate_every=10**9,
    )
    return make_trainer(resolve(spec, dataset), dataset, hook_manager())


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Median times per step, and the median ratio with its quartiles."""
    trainers = [trainer_of(name, kl) for kl in ("y", "z")]
    blocks: tuple[list[float], list[float]] = ([], [])
    for turn in range(-2, rounds):  # the first two are not counted
        for which in (0, 1) if turn % 2 else (1, 0):
            median = statistics.median(timed(trainers[which]) for _ in range(BLOCK))
            if turn >= 0:
                blocks[which].append(median * 1e3)
    in_y, in_z = (statistics.median(medians) for medians in blocks)
    ratios = sorted(z / y for y, z in zip(*blocks, strict=True))
    return {
        "case": name,
        "ms in y": in_y,
        "ms in z": in_z,
        "ratio": in_z / in_y,
        "quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
    }


def timed(trainer: Trainer) -> float:
    """Seconds of one step, of this thread alone."""
    start = time.thread_time()
    trainer.advance(trainer.step + 1)
    return time.thread_time() - start


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES, help="may be repeated; all by default")
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(name, asked.rounds) for name in asked.case or CASES]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'step of':30s} {'in y':>10s} {'in z':>10s} {'ratio':>7s} {'quartiles':>13s}")
    for row in rows:
        low, high = row["quartiles"]
        print(
            f"{row['case']:30s} {row['ms in y']:7.3f} ms {row['ms in z']:7.3f} ms {row['ratio']:7.3f} "
            f"{low:6.3f}-{high:.3f}"
        )


if __name__ == "__main__":
    main()
