"""Does anything but y and the parameters go into z: threads, seeds, the process, earlier dtypes? Clause 2.

The checks belong to the group ``mode``.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding, same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.unordered import suspects_in

_CLAUSE = "contract, clause 2: a pure function of its parameters and the row"
_ROWS = 40
_OTHER_SEED = "271828"
_TRUSTED = ("torch", "builtins", "intel_core", "pydantic")


@check("mode.settings", _CLAUSE)
def settings(candidate: Candidate) -> None:
    """Threads, seeds and the default dtype of the process make no difference to z."""
    for dtype in candidate.dtypes:
        mapping = candidate.mapping(dtype)
        y = candidate.draw("settings", _ROWS).to(dtype)
        expected = candidate.call(mapping, y)
        for what, found in _under_settings(candidate, mapping, y):
            if found.dtype != expected.dtype:
                raise Broken(f"z is {found.dtype} for y of {dtype} {what}", likely="a tensor made without a dtype")
            worst = beyond_rounding(found, expected, mapping, y, candidate.generator("allowance"))
            if worst is not None:
                raise Broken(
                    f"z{worst[1][1]} of row {worst[1][0]} changes by {worst[0]:.3g} {what}",
                    likely="torch.get_num_threads(), torch.initial_seed(), a random number, a tensor without a dtype",
                    moved=worst[0],
                )


def _under_settings(candidate: Candidate, mapping: nn.Module, y: Tensor) -> Iterator[tuple[str, Tensor]]:
    threads, default = torch.get_num_threads(), torch.get_default_dtype()
    python = random.getstate()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            yield f"with {count} threads", candidate.call(mapping, y)
        torch.set_num_threads(threads)
        for other in (torch.float64, torch.float32):
            torch.set_default_dtype(other)
            yield f"where the default dtype is {other}", candidate.call(mapping, y)
        torch.set_default_dtype(default)
        with torch.random.fork_rng(devices=[]):
            for seed in (0, 123_456_789):
                torch.default_generator.manual_seed(seed)
                random.seed(seed)
                yield f"after torch.manual_seed({seed})", candidate.call(mapping, y)
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(default)
        random.setstate(python)


@check("mode.converted", "contract: a torch module, which .to() converts whole")
def converted(candidate: Candidate) -> None:
    """Converted to another dtype after it was used, it is what it would be if it had been converted before."""
    for first, then in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
        y = candidate.draw("converted", _ROWS).float()
        base = candidate.mapping(torch.float32)
        expected = candidate.call(base.to(then), y.to(then)).detach()
        for way, used in (("after calls in", (first,)), ("twice, with calls in", (then, first))):
            mapping = candidate.mapping(torch.float32)
            for dtype in used:
                mapping = mapping.to(dtype)
                candidate.call(mapping, y.to(dtype))
                with torch.no_grad():
                    candidate.call(mapping, y.to(dtype))
            found = candidate.call(mapping.to(then), y.to(then))
            if found.dtype != then:
                raise Broken(f"z is {found.dtype} for y of {then} {way} {first}", likely="a tensor of the first dtype")
            worst = worst_difference(found, expected, same_kernel(expected))
            if worst is not None:
                raise Broken(
                    f"converted to {then} {way} {first}, z{worst[1][1]} of row {worst[1][0]} is off by {worst[0]:.3g}",
                    likely="a tensor that a call computes and keeps; make it anew, or a buffer",
                    moved=worst[0],
                )


@check("mode.process", _CLAUSE, level="standard")
def process(candidate: Candidate) -> None:
    """In another process, with another hash seed, it is the same mapping. Tried if its code could tell them apart."""
    suspects = sorted(_suspects(candidate))
    if not suspects:
        raise NotApplicable("nothing in its code differs from process to process: no hash, set, time, environment")
    try:
        sent = pickle.dumps((candidate.specs or candidate.source, candidate.y_dim, candidate.seed)).hex()
    except Exception as error:
        raise Skipped(f"what builds it cannot be sent to another process: {str(error)[:120]}") from error
    y = candidate.draw("process", _ROWS)
    candidate.fresh().to(y)(3 * candidate.draw("in this process only", _ROWS))
    expected = candidate.fresh(moved=False).to(y)(y).detach()
    found = _elsewhere(sent, y)
    if isinstance(found, str):
        raise Skipped(f"in another process: {found}")
    values = torch.tensor(found, dtype=torch.float64).to(y).reshape(len(y), -1)
    worst = values.shape != expected.shape or worst_difference(values, expected, same_kernel(expected))
    if worst:
        size = float((values - expected).abs().max()) if values.shape == expected.shape else float("inf")
        raise Broken(
            f"in another process, with another hash seed, z is off by {size:.3g} (its code has {', '.join(suspects)})",
            likely="the order of a set, hash() of a text, or id(): sort, or take the order of a list",
            moved=size,
        )


_PROGRAM = """
import json, pickle, sys
given = json.load(sys.stdin)
sys.path[:0] = [entry for entry in given["path"] if entry not in sys.path]
import torch
from intel_conformance.candidate import Candidate
what, y_dim, seed = pickle.loads(bytes.fromhex(given["what"]))
candidate = Candidate(what, y_dim=y_dim, seed=seed)
y = torch.tensor(given["y"], dtype=torch.float64)
z = candidate.fresh(moved=False).to(y)(y)
print(json.dumps(z.flatten().tolist()))
"""


def _elsewhere(sent: str, y: Tensor) -> list[float] | str:
    """The values of z in a new process, or why there are none."""
    environment = {**os.environ, "PYTHONHASHSEED": _OTHER_SEED, "OMP_NUM_THREADS": "1"}
    given = json.dumps({"path": [entry for entry in sys.path if entry], "what": sent, "y": y.tolist()})
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=given, capture_output=True, text=True, env=environment, timeout=120
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["?"])[-1][:200]
    values: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return values


def _suspects(candidate: Candidate) -> set[str]:
    """The names and operations in the code of the mapping's own modules that may differ between processes."""
    mapping = candidate.fresh(moved=False)
    owners: list[Any] = [type(part) for part in mapping.modules()] + [type(spec) for spec in candidate.specs or ()]
    owners += [candidate.source] if candidate.source is not None else []
    found: set[str] = set()
    for name in dict.fromkeys(str(getattr(owner, "__module__", "")) for owner in owners):
        path = Path(getattr(sys.modules.get(name), "__file__", None) or "")
        if name.partition(".")[0] not in _TRUSTED and path.suffix == ".py" and path.exists():
            found |= suspects_in(path.read_text(encoding="utf-8"))
    return found
