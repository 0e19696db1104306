"""Which faulty mappings do the checks find, and do correct ones pass? Tables over many seeds.

    python benchmarks/conformance.py [--seeds 20] [--steep-seeds 200] [--built-in-seeds 50] [--jobs 2] [--only mutants]
                                     [--out docs/results/conformance-tables.md]

mutants: every faulty mapping of plugins/conformance/tests/specimens/mutants, in each precision and over 20 seeds,
given to the check that is meant for it. built-in: each installed mapping with its defaults, in the fewest dimensions
that it takes, checked at level standard over 50 seeds. rivals: the same for faulty priors and posteriors, those of
specimens/rivals.py, and what is installed, given to all checks. steep: correct mappings that are steep or contract,
checked at level standard over 200 seeds (thm1.inequality in 20 of them: it takes most of the time, and its rate of
false alarms is proven). jumps: a jump of size J on a random hyperplane, added to a continuous mapping, and the share
of the segments crossing it on which `scan` finds it. theorem: how often, over random seeds, the lower bound of KL in z
exceeds KL in y, for mappings that differ between training and generation and for some that do not.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from intel_conformance import check_mapping, check_posterior, check_prior
from intel_conformance.continuity.scan import scan
from intel_conformance.continuity.segments import random_segments
from intel_conformance.kl_bounds import kl_lower_bound
from intel_conformance.report import Report
from torch import Tensor

import intel_core
from intel_core import load_mapping
from intel_core.components.discovery import available

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "conformance" / "tests"))

from specimens.mutants import MUTANTS
from specimens.rivals import RIVALS
from specimens.steep import STEEP

FAMILIES: dict[str, Any] = {
    **STEEP,
    "`cluster:k=30,preset=paper`": "cluster:k=30,preset=paper",
    "`cluster:k=3,preset=paper`": "cluster:k=3,preset=paper",
    "`circle:eps=1e-12`": "circle:eps=1e-12",
    "`holes:h=2`": "holes:h=2",
}
REQUIRED = {"first": "first:keep=1"}
"""Installed mappings that have a setting without a default; ``given`` is one that was passed as an object."""
JUMPS = (1.0, 1e-1, 1e-2, 1e-3, 1e-5)
ALPHA = 1e-9
THEOREM_SEEDS = 20
"""The seeds with the inequality of Theorem 1, which takes most of the time and whose false alarms are bounded."""


def mutant(number: int, seeds: int) -> tuple[int, list[int]]:
    """In how many seeds a mutant is found, by precision."""
    torch.set_num_threads(1)
    faulty = MUTANTS[number]
    if faulty.registered:
        intel_core.register("mappings", f"mutant_{faulty.name.lower()}", type(faulty.what))
    killed = []
    for dtype in ("float32", "float64"):
        if dtype not in faulty.dtypes:
            killed.append(-1)
            continue
        found = [
            check_mapping(faulty.what, y_dim=faulty.y_dim, only=[faulty.kills], seed=seed, dtypes=[dtype]).results[0]
            for seed in range(seeds)
        ]
        killed.append(sum(result.status == faulty.status for result in found))
    return number, killed


KINDS: dict[str, Any] = {"prior": check_prior, "posterior": check_posterior}


def rival(number: int, seeds: int) -> tuple[int, int, str]:
    """In how many seeds a faulty prior or posterior is found by its check, and what that says in the first."""
    torch.set_num_threads(1)
    faulty = RIVALS[number]
    if faulty.registered:
        intel_core.register(f"{faulty.kind}s", f"mutant_{faulty.name.lower()}", type(faulty.what))
    reports = [
        KINDS[faulty.kind](faulty.what, y_dim=faulty.y_dim, only=[faulty.kills], seed=seed) for seed in range(seeds)
    ]
    results = [report.results[0] for report in reports]
    return number, sum(result.status == "failed" for result in results), results[0].message.partition("\n")[0]


class Checked(NamedTuple):
    """What became of one thing with one seed: how many checks ran, which failed, and which warned."""

    what: str
    ran: int
    bad: list[str]
    warned: list[str]


def checked(what: str, seed: int, report: Report) -> Checked:
    """Of a report, the checks by name and seed."""
    bad = [f"{result.id} (seed {seed})" for result in report.results if result.bad]
    return Checked(what, report.ran, bad, [f"{result.id} (seed {seed})" for result in report.of("warned")])


def installed(job: tuple[str, int]) -> Checked:
    """An installed component and a seed."""
    torch.set_num_threads(1)
    text, seed = job
    return checked(f"`{text}`", seed, KINDS.get(text.partition(":")[0], check_mapping)(text, seed=seed))


def steep(job: tuple[str, int]) -> Checked:
    """One correct mapping and seed."""
    torch.set_num_threads(1)
    name, seed = job
    skip = ["thm1.inequality"] if seed >= THEOREM_SEEDS else []
    return checked(name, seed, check_mapping(FAMILIES[name], y_dim=2, seed=seed, level="standard", skip=skip))


def _cusp(y: Tensor) -> Tensor:
    distance = y[:, :1] - 0.7
    return y + 5 * distance.abs().pow(0.2) * torch.eye(y.shape[1], dtype=y.dtype)[:1]


def jumps(seeds: int) -> Iterable[tuple[str, float, int, int]]:
    """The mapping, the size of the jump, the segments that cross it, and those on which it is found."""
    maps: dict[str, Callable[[Tensor], Tensor]] = {
        "y": lambda y: y,
        "y + 5 d^0.2, d = y0 - 0.7": _cusp,
        "`cluster:k=3,preset=paper`": load_mapping("cluster:k=3,preset=paper", 2).double(),  # type: ignore[attr-defined]
        "`cluster:k=30,preset=paper`": load_mapping("cluster:k=30,preset=paper", 2).double(),  # type: ignore[attr-defined]
    }
    for name, continuous in maps.items():
        for size in JUMPS:
            crossed = found = 0
            for seed in range(seeds):
                generator = torch.Generator().manual_seed(seed)
                normal = torch.nn.functional.normalize(torch.randn(2, generator=generator, dtype=torch.float64), dim=0)
                offset = 0.5 * torch.randn((), generator=generator, dtype=torch.float64)

                def g(
                    y: Tensor,
                    base: Callable[[Tensor], Tensor] = continuous,
                    n: Tensor = normal,
                    b: Tensor = offset,
                    jump: float = size,
                ) -> Tensor:
                    z: Tensor = base(y) + jump * (y @ n > b).unsqueeze(-1)
                    return z

                starts, ends = random_segments(8, 2, generator)
                meets = (starts @ normal > offset) != (ends @ normal > offset)
                told = [one.kind == "jump" for one in scan(g, starts, ends)]
                crossed += int(meets.sum())
                found += sum(a for a, b in zip(told, meets.tolist(), strict=True) if b)
            yield name, size, crossed, found


def theorem(seeds: int) -> Iterable[tuple[str, float, int, int]]:
    """What differs between the paths, KL in y, the number of draws, and in how many seeds it is found."""
    circle = load_mapping("circle", 2).double()  # type: ignore[attr-defined]
    cases: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "nothing, g = y": (lambda y: y, lambda y: y),
        "nothing, g = `circle`": (circle, circle),
        "q is 1.1 times larger": (lambda y: 1.1 * y, lambda y: y),
        "q is 1.5 times larger": (lambda y: 1.5 * y, lambda y: y),
        "q is moved by 0.1": (lambda y: y + 0.1, lambda y: y),
        "dropout of 0.1 in q": (lambda y: torch.where(torch.rand_like(y) < 0.1, 0.0, y / 0.9), lambda y: y),
    }
    for name, (trained, generated) in cases.items():
        for n in (20_000, 100_000, 300_000):
            for mean in (0.0, 0.8):
                found = 0
                for seed in range(seeds):
                    generator = torch.Generator().manual_seed(seed)
                    torch.manual_seed(seed)  # the dropout's
                    q, p = torch.randn(2, n, 2, generator=generator, dtype=torch.float64)
                    spread = 1.0 if mean == 0 else 0.6
                    kl_y = 0.5 * 2 * (mean**2 + spread**2 - 1 - 2 * torch.log(torch.tensor(spread)).item())
                    bound = kl_lower_bound(trained(mean + spread * q), generated(p), alpha=ALPHA, seed=seed)
                    found += bound.lower > kl_y
                yield name, kl_y, n, found


def mutant_table(jobs: int, seeds: int) -> str:
    """In how many seeds the check that is meant for it finds each mutant."""
    lines = [f"| faulty mapping | check | float32, of {seeds} | float64, of {seeds} |", "|---|---|---|---|"]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for number, killed in pool.map(functools.partial(mutant, seeds=seeds), range(len(MUTANTS))):
            faulty = MUTANTS[number]
            shown = " | ".join("not visible" if count < 0 else str(count) for count in killed)
            lines.append(f"| {faulty.name} | `{faulty.kills}` | {shown} |")
    return "\n".join(lines)


def alarms(found: Iterable[Checked], *, warnings: bool = False) -> list[str]:
    """A line for each thing that was checked over seeds."""
    of: dict[str, list[Checked]] = {}
    for one in found:
        of.setdefault(one.what, []).append(one)
    lines = []
    for what, mine in of.items():
        cells = [what, str(len(mine)), str(sum(one.ran for one in mine))]
        cells += [", ".join(name for one in mine for name in one.bad) or "0"]
        cells += [", ".join(name for one in mine for name in one.warned) or "0"] if warnings else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def built_in_table(jobs: int, seeds: int) -> str:
    """The false alarms of each installed mapping, in float32 and float64."""
    names = {one.name for one in available("mappings") if one.status == "OK"} - {"given"}
    work = [(REQUIRED.get(name, name), seed) for name in sorted(names) for seed in range(seeds)]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        rows = alarms(pool.map(installed, work), warnings=True)
    head = ["| installed | seeds | checks run | false alarms | warnings |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def rival_table(jobs: int, seeds: int) -> str:
    """In how many seeds each faulty prior and posterior is found, and the false alarms of those that are installed."""
    lines = [f"| kind | fault | check | found, of {seeds} | what it says, shortened |", "|---|---|---|---|---|"]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for number, killed, said in pool.map(functools.partial(rival, seeds=seeds), range(len(RIVALS))):
            faulty, words = RIVALS[number], said.replace("|", "\\|")
            words = words if len(words) <= 100 else f"{words[:97].rsplit(' ', 1)[0]} …"
            lines.append(f"| {faulty.kind} | {faulty.name} | `{faulty.kills}` | {killed} | {words} |")
        texts = [f"{kind}:{one.name}" for kind in KINDS for one in available(f"{kind}s") if one.status == "OK"]
        rows = alarms(pool.map(installed, [(text, seed) for text in texts for seed in range(seeds)]))
    head = ["", "| installed | seeds | checks run | false alarms |", "|---|---|---|---|"]
    return "\n".join([*lines, *head, *rows])


def steep_table(jobs: int, seeds: int) -> str:
    """The false alarms of each correct mapping."""
    work = [(name, seed) for name in FAMILIES for seed in range(seeds)]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        rows = alarms(pool.map(steep, work))
    return "\n".join(["| correct mapping | seeds | checks run | false alarms |", "|---|---|---|---|", *rows])


def jump_table(seeds: int) -> str:
    """The share of jumps that is found."""
    lines = ["| over | " + " | ".join(f"J = {size:g}" for size in JUMPS) + " |", "|---" * (len(JUMPS) + 1) + "|"]
    shares: dict[str, list[str]] = {}
    for name, _, crossed, found in jumps(seeds):
        shares.setdefault(name, []).append(f"{found / crossed:.2f}")
    return "\n".join([*lines, *(f"| {name} | {' | '.join(row)} |" for name, row in shares.items())])


def theorem_table(seeds: int) -> str:
    """How often a violation of the inequality is found."""
    lines = [f"| difference | KL in y | n | found, of {seeds} |", "|---|---|---|---|"]
    lines += [f"| {name} | {kl:.3f} | {n:,} | {found} |" for name, kl, n, found in theorem(seeds)]
    return "\n".join(lines)


def main() -> None:
    """Print each table once it is done, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steep-seeds", type=int, default=200)
    parser.add_argument("--built-in-seeds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--only", action="append", choices=["built-in", "mutants", "rivals", "steep", "jumps", "theorem"]
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables: dict[str, Callable[[], str]] = {
        "built-in": lambda: built_in_table(arguments.jobs, arguments.built_in_seeds),
        "mutants": lambda: mutant_table(arguments.jobs, arguments.seeds),
        "rivals": lambda: rival_table(arguments.jobs, arguments.seeds),
        "steep": lambda: steep_table(arguments.jobs, arguments.steep_seeds),
        "jumps": lambda: jump_table(2 * arguments.seeds),
        "theorem": lambda: theorem_table(arguments.seeds),
    }
    written = []
    for name in arguments.only or tables:
        written.append(f"**{name}**\n\n{tables[name]()}\n")
        print(written[-1], flush=True)
    if arguments.out is not None:
        arguments.out.write_text("\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    main()
