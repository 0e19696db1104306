"""How much faster is a large dense net on all threads than on one? A ratio of medians, measured in one run.

    python benchmarks/threads.py [--threads N] [--rounds N] [--json]

The same training steps on one thread, the default for dense networks, and on as many as ``INTEL_THREADS`` would give
them. Blocks of steps alternate, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics

import torch
from step_overhead import timed

from intel_core.compute.threads import on_threads
from intel_core.data.dataset import Dataset, Split
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

BATCHES = (100, 1000)
_BLOCK = 400
"""Examples of a block of steps, at least."""


def trainer_of(batch: int) -> Trainer:
    """784-1024-1024 MLPs on bytes of noise in the shape of MNIST."""
    x = torch.randint(0, 256, (10_000, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    split = Split(x)
    dataset = Dataset("noise", split, split, split, "unit")
    spec = make_run_spec(
        mapping="identity",
        data="memory:examples=1,shape=[1]",
        encoder="mlp:hidden=[1024,1024]",
        likelihood="bernoulli",
        latent=10,
        batch_size=batch,
        steps=10**9,
        evaluate_every=10**9,
        device="cpu",
    )
    return make_trainer(resolve(spec, dataset), dataset, hook_manager())


def measure(batch: int, threads: int, rounds: int) -> dict[str, object]:
    """Median times per step on one thread and on several, and their ratio over rounds."""
    trainer, block = trainer_of(batch), max(1, _BLOCK // batch)
    times: dict[int, list[float]] = {1: [], threads: []}
    for turn in range(-1, rounds):  # the first one is not counted
        for number in (1, threads) if turn % 2 else (threads, 1):
            with on_threads(number):
                seconds = timed(lambda n: trainer.advance(trainer.step + n), block)
            if turn >= 0:
                times[number].append(seconds)
    ratios = sorted(several / one for one, several in zip(times[1], times[threads], strict=True))
    return {
        "batch": batch,
        "one thread, ms": statistics.median(times[1]) * 1e3,
        "all threads, ms": statistics.median(times[threads]) * 1e3,
        "ratio": statistics.median(ratios),
        "low": ratios[len(ratios) // 4],
        "high": ratios[3 * len(ratios) // 4],
    }


def main() -> None:
    """Print one line per batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads < 2:
        parser.error("one thread has nothing to be compared with")
    before = os.getloadavg()[0]
    rows = [measure(batch, arguments.threads, arguments.rounds) for batch in BATCHES]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    after = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores; {arguments.threads} threads against 1; load average {before:.1f} to {after:.1f}")
    several = f"{arguments.threads} threads"
    print(f"{'784-1024-1024 MLP':20s} {'1 thread':>12s} {several:>12s} {'ratio':>7s} {'quartiles':>13s}")
    for row in rows:
        low, high = row["low"], row["high"]
        print(
            f"{'batches of ' + str(row['batch']):20s} {row['one thread, ms']:9.1f} ms {row['all threads, ms']:9.1f} ms "
            f"{row['ratio']:7.2f} {f'{low:.2f}-{high:.2f}':>13s}"
        )


if __name__ == "__main__":
    main()
