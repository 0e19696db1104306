"""How much memory does training on full MNIST take? The peak of a fresh process, its evaluation included.

INTEL_DATA_DIR=... python benchmarks/memory.py [--network conv] [--steps 60] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile

CHILD = """
import sys
from intel_core import fit
network, steps, folder = sys.argv[1:]
settings = {"mapping": "identity", "data": "mnist:download=false", "encoder": network, "steps": int(steps)}
fit(**settings, evaluate_every=10**6, run_dir=folder)
"""


def main() -> None:
    """Train in a child process and print its peak resident memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CHILD, arguments.network, str(arguments.steps), f"{folder}/run"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"not measured: {done.stderr.strip().splitlines()[-1]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if arguments.json:
        print(json.dumps({"reached": peak}))
        return
    print(f"peak memory, full MNIST, {arguments.network}: {peak:.0f} MiB (must stay under 1024)")


if __name__ == "__main__":
    main()
