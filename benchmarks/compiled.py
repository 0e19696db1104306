"""Do compiled networks train faster? Ratios of medians, measured in one run; and how long compiling takes.

    python benchmarks/compiled.py [--device cuda] [--rounds 15]

Both sides are the framework's trainer on the same model, data and device; blocks of steps alternate. What is compiled
are the networks, by `compile=true`.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time

import torch
from step_overhead import CASES, Case, make_trainer, timed

from intel_core.data import Dataset, Split
from intel_core.trainer import Trainer


def trainer_of(case: Case, dataset: Dataset, device: str, *, compiled: bool) -> Trainer:
    """A trainer on a device, with compiled or plain networks."""
    settings = {**case.settings, "device": device, "compile": compiled}
    return make_trainer(dataclasses.replace(case, settings=settings), dataset)


def measure(case: Case, device: str, rounds: int) -> str:
    """One line of the table."""
    x = torch.rand(10_000, *case.shape, generator=torch.Generator().manual_seed(0))
    if len(case.shape) == 3:
        x = (x * 255).to(torch.uint8)
    split = Split(x)
    dataset = Dataset("noise", split, split, split, "unit" if len(case.shape) == 3 else "real")
    trainers = [trainer_of(case, dataset, device, compiled=compiled) for compiled in (False, True)]

    def steps(trainer: Trainer, n: int) -> None:
        trainer.advance(trainer.step + n)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()

    for trainer in trainers:
        trainer.model.train()
        start = time.perf_counter()
        steps(trainer, 1)
        compiling = time.perf_counter() - start
    times: list[list[float]] = [[], []]
    for turn in range(rounds):
        for which in (turn % 2, 1 - turn % 2):
            times[which].append(timed(lambda n, t=trainers[which]: steps(t, n), case.block))  # type: ignore[misc]
    plain, compiled = (statistics.median(column) * 1e3 for column in times)
    return f"{case.name:32s} {plain:9.3f} {compiled:9.3f} {compiled / plain:7.3f} {compiling:12.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    name = torch.cuda.get_device_name(arguments.device) if arguments.device.startswith("cuda") else "CPU"
    print(f"{name}; {torch.get_num_threads()} threads")
    print(f"{'':32s} {'plain, ms':>9s} {'compiled':>9s} {'ratio':>7s} {'compiling, s':>12s}")
    for case in CASES:
        print(measure(case, arguments.device, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
