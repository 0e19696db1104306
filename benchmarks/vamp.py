"""How much longer is a training step with a VampPrior? Ratio of medians to a plain step on the paper's conv net.

    python benchmarks/vamp.py [--components 500] [--rounds 21] [--threads 1] [--json]

Both have the same networks, data, batches of 100 and optimiser; their steps alternate, so that whatever else the
machine does falls on both. Allowed is a ratio of 2.2: 500 more images are encoded, none is decoded.
"""

from __future__ import annotations

import argparse
import json
import statistics

import torch
from step_overhead import Case, noise, timed, trainer_of

BOUND = 2.2
NET = {"encoder": "conv", "likelihood": "bernoulli", "prior": "standard"}


def measure(components: int, rounds: int) -> dict[str, float]:
    """Median milliseconds per step of both, and their ratio."""
    plain = Case("plain", (1, 28, 28), dict(NET), 1, rounds)
    vamp = Case("vamp", (1, 28, 28), {**NET, "prior": f"vamp:components={components}"}, 1, rounds)
    dataset = noise(plain)
    trainers = [trainer_of(case, dataset) for case in (plain, vamp)]
    times: list[list[float]] = [[], []]
    for turn in range(-3, rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            trainer = trainers[which]
            seconds = timed(lambda n, trainer=trainer: trainer.advance(trainer.step + n), 2)
            if turn >= 0:
                times[which].append(seconds)
    ours, theirs = (statistics.median(column) for column in reversed(times))
    return {"plain, ms": theirs * 1e3, "vamp, ms": ours * 1e3, "ratio": ours / theirs, "bound": BOUND}


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
        f"{found['ratio']:.2f} times (at most {BOUND})"
    )


if __name__ == "__main__":
    main()
