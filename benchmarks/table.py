"""All ratios in one table: what is measured, what was reached, what must be.

    INTEL_DATA_DIR=... python benchmarks/table.py

Runs the other benchmarks, each in a process of its own, and reads what they say as JSON. One that cannot run here is
named below the table with its reason; one whose file is absent is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
BENCHMARKS = ("step_overhead", "memory", "throughput", "replicates")
STEP_BOUND, MEMORY_BOUND = 1.02, 1024
STACK_BOUNDS = {10: 6.0, 100: 10.0}


def rows_of(name: str, said: Any) -> list[dict[str, Any]]:
    """What one benchmark printed, as rows of measure, reached, sign, bound and detail."""
    if name == "step_overhead":
        return [
            {
                "measure": f"step time to that by hand, {one['case']}",
                "reached": one["ratio"],
                "sign": "<=",
                "bound": STEP_BOUND,
                "detail": f"{one['ms per step']:.2f} and {one['by hand, ms']:.2f} ms",
            }
            for one in said
        ]
    if name == "memory":
        return [{"measure": "peak memory, full MNIST, conv net, MiB", "sign": "<", "bound": MEMORY_BOUND, **said}]
    if name == "replicates":
        return [
            {
                "measure": f"{one['replicates']} replicates, {one['networks']}, times cheaper than by hand",
                "reached": one["times cheaper"],
                "sign": ">=",
                "bound": STACK_BOUNDS[one["replicates"]],
                "detail": f"{one['than with fused Adam']:.1f} than with fused Adam",
            }
            for one in said
        ]
    return list(said)


def instruction_sets() -> str:
    """The widest ones that matter here."""
    names = [torch.backends.cpu.get_cpu_capability()]
    names += ["AVX512-BF16"] if torch.cpu._is_avx512_bf16_supported() else []
    names += ["AMX"] if torch.cpu._is_amx_tile_supported() else []
    return ", ".join(names)


def main() -> None:
    """Run everything, print one table; exit code 1 where something falls short."""
    rows: list[dict[str, Any]] = []
    silent: list[str] = []
    for name in BENCHMARKS:
        file = HERE / f"{name}.py"
        if not file.exists():
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(file), "--json"], check=False, capture_output=True, text=True)
        try:
            rows += rows_of(name, json.loads(done.stdout))
        except (ValueError, TypeError, KeyError) as error:
            reason = done.stderr.strip().splitlines()[-1:] or [f"its answer cannot be read: {error}"]
            silent.append(f"{name}: {reason[0]}")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, {instruction_sets()}; {torch.get_num_threads()} threads; load average {load:.1f}\n")
    print(f"{'measure':56s} {'reached':>8s}  {'must reach':>10s}  ")
    short = 0
    for row in rows:
        bound = row.get("bound")
        missed = bound is not None and not (
            row["reached"] >= bound if row["sign"].startswith(">") else row["reached"] <= bound
        )
        short += missed
        must = f"{row['sign']} {bound}" if bound is not None else ""
        reached = f"{row['reached']:.3f}" if row["reached"] < 100 else f"{row['reached']:.0f}"
        note = f"{row.get('detail', '')}{'; falls short' if missed else ''}"
        print(f"{row['measure']:56s} {reached:>8s}  {must:>10s}  {note}".rstrip())
    for line in silent:
        print(f"not measured: {line}")
    sys.exit(1 if short or silent else 0)


if __name__ == "__main__":
    main()
