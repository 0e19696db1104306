"""How much cheaper are replicates as one stack than as runs one after another? Ratios of medians, measured in one run.

    python benchmarks/replicates.py [--threads 1] [--json]

The data is the paper's synthetic circle; batch 100, latent 2, MLPs, Gaussian likelihood of learned variance. On one
side R replicates of the framework in a stack, with the default logging; on the other the loop for one model that one
writes in a script (`step_overhead.ByHand`), with torch's default Adam and with the fused one. Blocks of steps
alternate, so that whatever else the machine does falls on all. "times cheaper" is R times the step by hand, over the
step of the stack. The last column compares with the framework's own steps of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from typing import cast

import torch
from intel_datasets.synthetic import sample
from step_overhead import ByHand, Case, timed

from intel_core.data.dataset import Dataset, Split
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.replicates.replicate import Replicate
from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.training.hooks import hook_manager

NETWORKS = {"2-10-10-4 MLPs": "mlp:hidden=[10,10]", "10-10-10 MLPs": "mlp:hidden=[10,10,10]"}
COUNTS = (10, 100)
BLOCK, ROUNDS = 20, 31


def replicates(case: Case, dataset: Dataset, count: int) -> list[Replicate]:
    """The framework's trainers of some seeds."""
    settings = {"mapping": "identity", "data": "memory:examples=1,shape=[1]", "latent": 2, **case.settings}
    spec = resolve(make_run_spec(**settings, steps=10**9, evaluate_every=10**9), dataset)
    specs = [spec.model_copy(update={"seed": seed}) for seed in range(count)]
    return [cast(Replicate, make_trainer(own, dataset, hook_manager(), kind=Replicate)) for own in specs]


def measure(name: str, network: str, count: int, rounds: int) -> dict[str, object]:
    """Median times per step and their ratios for one network and one number of replicates."""
    case = Case(name, (2,), {"encoder": network, "likelihood": "gaussian"}, BLOCK, rounds)
    split = Split(sample("circle", 10_000, torch.Generator().manual_seed(0)).to(torch.float32))
    dataset = Dataset("circle", split, split, split, "real")
    group = StackedRuns(replicates(case, dataset, count), hook_manager())
    assert not group.why_not()
    for trainer in group.replicates:
        trainer.begin()
    alone = replicates(case, dataset, 1)[0]
    contestants = [lambda n: group.advance(group.step + n), lambda n: alone.advance(alone.step + n)]
    for fused in (False, True):
        model = replicates(case, dataset, 1)[0].model
        contestants.append(ByHand(model.encoder, model.decoder, split.x, 2, fused=fused).steps)
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        contestant(BLOCK)
    for turn in range(rounds):
        for i in range(len(contestants)):
            which = (i + turn) % len(contestants)
            times[which].append(timed(contestants[which], BLOCK))
    stacked, ours, plain, fused_ = (statistics.median(column) for column in times)
    ratios = sorted(count * b / a for a, b in zip(times[0], times[2], strict=True))
    return {
        "networks": name,
        "replicates": count,
        "threads": torch.get_num_threads(),
        "ms per step of the stack": stacked * 1e3,
        "by hand, ms": plain * 1e3,
        "times cheaper": count * plain / stacked,
        "quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
        "than with fused Adam": count * fused_ / stacked,
        "than our runs": count * ours / stacked,
    }


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of which medians are taken, at least 5")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [measure(name, network, count, arguments.rounds) for name, network in NETWORKS.items() for count in COUNTS]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"threads: {arguments.threads}; load average when it ended: {load}")
    print(
        f"{'networks':16s} {'R':>4s} {'stack':>11s} {'by hand':>10s} {'times cheaper':>14s} {'quartiles':>12s}", end=""
    )
    print(f" {'than fused':>11s} {'than ours':>10s}")
    for row in rows:
        low, high = row["quartiles"]
        print(
            f"{row['networks']:16s} {row['replicates']:4d} {row['ms per step of the stack']:8.3f} ms "
            f"{row['by hand, ms']:7.3f} ms {row['times cheaper']:14.1f} {f'{low:.1f}-{high:.1f}':>12s} "
            f"{row['than with fused Adam']:11.1f} {row['than our runs']:10.1f}"
        )


if __name__ == "__main__":
    main()
