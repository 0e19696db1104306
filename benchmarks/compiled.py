"""Do compiled networks train faster? Ratios of medians, measured in one run; and how long compiling takes.

    python benchmarks/compiled.py [--device cuda] [--rounds 15]

Both sides are the framework's trainer on the same model, data and device; blocks of steps alternate. What is compiled
are the networks, by `compile=true`.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics

import torch
from step_overhead import CASES, Case, noise, timed
from throughput import alternate

from intel_core.data.dataset import Dataset
from intel_core.training.trainer import Trainer


def trainer_of(case: Case, dataset: Dataset, device: str, *, compiled: bool) -> Trainer:
    """A trainer on a device, with compiled or plain networks."""
    settings = {**case.settings, "device": device, "compile": compiled}
    return trainer_of(dataclasses.replace(case, settings=settings), dataset)


def seconds(trainer: Trainer, steps: int) -> float:
    """Per step, with all that the device has been asked for."""

    def advance(n: int) -> None:
        trainer.advance(trainer.step + n)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()

    return timed(advance, steps)


def measure(case: Case, device: str, rounds: int) -> str:
    """One line of the table."""
    dataset = noise(case)
    plain, compiled = (trainer_of(case, dataset, device, compiled=compiled) for compiled in (False, True))
    for trainer in (plain, compiled):
        trainer.model.train()
    compiling = seconds(compiled, 1)
    said = alternate(
        {"plain": lambda: seconds(plain, case.block), "compiled": lambda: seconds(compiled, case.block)}, rounds
    )
    of_plain, of_compiled = (statistics.median(said[name]) * 1e3 for name in ("plain", "compiled"))
    return f"{case.name:32s} {of_plain:9.3f} {of_compiled:9.3f} {of_compiled / of_plain:7.3f} {compiling:12.1f}"


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
