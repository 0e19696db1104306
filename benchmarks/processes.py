"""What do two processes that share each batch gain? Milliseconds per step, alternating, medians of whole runs.

    INTEL_DATA_DIR=... python benchmarks/processes.py [--rounds 5]

Each run is `intel train` with one thread a process, and once more one process with two threads, which is the other way
to use two cores. The first half of a run's steps does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {
    "small MLP, 2-D data": ("--data circle --latent 2 --network mlp:hidden=[64,64]", 2000),
    "the same with sparse": ("--data circle --latent 2 --network mlp:hidden=[64,64] --mapping sparse", 1000),
    "MLP 256-256, MNIST": ("--data mnist:download=false --latent 10", 600),
    "the paper's conv net, MNIST": ("--data mnist:download=false --latent 10 --network conv", 60),
}
WAYS = {"1 process": (1, 1), "1 process, 2 threads": (1, 2), "2 processes": (2, 1)}


def milliseconds(options: str, steps: int, devices: int, threads: int) -> float:
    """Per step of the second half of one run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "intel_cli", "train", *options.split(), "--steps", str(steps)]
        command += ["--devices", str(devices), "--run-dir", str(run), "--device", "cpu", "--precision", "float32"]
        command += ["--log-every", str(steps // 2), "--evaluate-every", str(steps), "--no-pictures", "--quiet"]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, last = (record["seconds"] for record in records if record["kind"] == "train")
    return float(last - first) / (steps - steps // 2) * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    print(f"{os.cpu_count()} cores; load average before {os.getloadavg()[0]:.1f}; ms per step, batches of 100")
    print(f"{'':30s}" + "".join(f"{way:>22s}" for way in WAYS) + f"{'1 to 2 processes':>18s}")
    for name, (options, steps) in CASES.items():
        if arguments.only not in name:
            continue
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, (devices, threads) in WAYS.items():
                times[way].append(milliseconds(options, steps, devices, threads))
        medians = [statistics.median(column) for column in times.values()]
        print(f"{name:30s}" + "".join(f"{m:22.2f}" for m in medians) + f"{medians[0] / medians[2]:18.2f}", flush=True)


if __name__ == "__main__":
    main()
