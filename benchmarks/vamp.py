"""How much longer is a training step with a VampPrior? Ratio of medians to a plain step on the paper's conv net.

    python benchmarks/vamp.py [--components 500] [--rounds 21] [--threads 1] [--json]

Both have the same networks, data, batches of 100 and optimiser; their steps alternate, so that whatever else the
machine does falls on both, and are taken as `fit` takes them: memory that is freed is kept for the next step. Time on
the CPU is the second witness, since a busy machine interrupts long steps more often than short ones. Allowed is a ratio
of 2.2: 500 more images are encoded, none is decoded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from step_overhead import Case, noise, trainer_of

from intel_core.compute.heap import freed_memory_kept

BOUND = 2.2
NET = {"encoder": "conv", "likelihood": "bernoulli", "prior": "standard"}


@freed_memory_kept()
def measure(components: int, rounds: int) -> dict[str, float]:
    """Median milliseconds per step of both, by the clock and on the CPU, and their ratios."""
    plain = Case("plain", (1, 28, 28), dict(NET), 1, rounds)
    vamp = Case("vamp", (1, 28, 28), {**NET, "prior": f"vamp:components={components}"}, 1, rounds)
    dataset = noise(plain)
    trainers = [trainer_of(case, dataset) for case in (plain, vamp)]
    clocks = {"": time.perf_counter, "CPU ": time.process_time}
    times: dict[str, list[list[float]]] = {clock: [[], []] for clock in clocks}
    for turn in range(-3, rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            begun = {clock: now() for clock, now in clocks.items()}
            trainers[which].advance(trainers[which].step + 2)
            if turn >= 0:
                for clock, now in clocks.items():
                    times[clock][which].append((now() - begun[clock]) / 2)
    found = {"bound": BOUND}
    for clock, columns in times.items():
        theirs, ours = (statistics.median(column) for column in columns)
        found |= {f"plain, {clock}ms": theirs * 1e3, f"vamp, {clock}ms": ours * 1e3, f"{clock}ratio": ours / theirs}
    return found


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--components", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = measure(arguments.components, arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"plain {found['plain, ms']:.1f} ms, vamp:components={arguments.components} {found['vamp, ms']:.1f} ms a step: "
        f"{found['ratio']:.2f} times, {found['CPU ratio']:.2f} times the time on the CPU (at most {BOUND})"
    )


if __name__ == "__main__":
    main()
