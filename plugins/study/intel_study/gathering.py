"""What is known of a study now? Its cells, and those that are missing.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from intel_core.errors import IntelError
from intel_study.jobs import Job, digest_of, what_decides
from intel_study.results import Cell, Missing, Results, read_cell, write_cell

if TYPE_CHECKING:
    from intel_study.design import Study

__all__ = ["gather", "reusable", "shared", "take_over"]


def gather(
    name: str, study: Study, jobs: Sequence[Job], seeds: Sequence[int], *, is_full: bool = False, file: str = ""
) -> Results:
    """Everything that is known of a study now; `file` is the name of its file, if it is not published."""
    cells: list[Cell] = []
    missing: list[Missing] = []
    specs: dict[str, dict[str, dict[str, Any]]] = {}
    order = {problem: i for i, problem in enumerate(study.problem_names)}
    arms = {arm: i for i, arm in enumerate(study.arms)}
    for job in sorted(jobs, key=lambda job: (order[job.problem], arms[job.arm])):
        specs.setdefault(job.problem, {})[job.arm] = job.spec
        for seed in job.seeds:
            if seed not in seeds:
                continue
            cell = read_cell(job.cell_path(seed))
            if cell is None:
                missing.append(Missing(problem=job.problem, arm=job.arm, seed=seed))
            else:
                cells.append(_named_anew(job, cell))
    return Results(
        name=name,
        file=file,
        study=study,
        is_full=is_full,
        seeds=tuple(seeds),
        cells=tuple(cells),
        missing=tuple(missing),
        specs=specs,
    )


def _named_anew(job: Job, cell: Cell) -> Cell:
    """With the metrics of the study only, under the names that it gives them now."""
    wanted = {
        alias: one
        for alias, text in job.metrics.items()
        for one in cell.metrics.values()
        if (one.metric, one.version) == (text, job.versions[alias])
    }
    return cell.model_copy(update={"metrics": wanted})


def shared(jobs: Iterable[Job], results: Results) -> int:
    """How many cells of other results have the settings, data and stack of a job, whatever was measured of them."""
    return sum(len(cells) for _, cells in _of_jobs(jobs, results))


def reusable(jobs: Iterable[Job], results: Results) -> list[tuple[Job, Cell]]:
    """The cells of other results that are those of a job, with every number that it is to have.

    The same are those of the same settings, data and stack, measured by the same versions of the same metrics. A job
    that was begun in its own folder goes on there.
    """
    found = []
    for job, cells in _of_jobs(jobs, results):
        for cell in cells:
            here = read_cell(job.cell_path(cell.seed))
            if cell.status == "failed" or job.run_dir.is_dir() or (here is not None and here.status != "failed"):
                continue
            named = {"problem": job.problem, "arm": job.arm, "digest": job.digest}
            own = _named_anew(job, cell.model_copy(update=named))
            is_whole = all(alias in own.metrics and own.metrics[alias].status != "failed" for alias in job.metrics)
            if is_whole or cell.status == "diverged":
                found.append((job, own))
    return found


def _of_jobs(jobs: Iterable[Job], results: Results) -> Iterator[tuple[Job, list[Cell]]]:
    """Each job with the cells of other results that have its settings, data and stack."""
    theirs = {(cell.digest, cell.seed): cell for cell in results.cells}
    former = [(spec, _as_now(spec)) for arms in results.specs.values() for spec in arms.values()]
    for job in jobs:
        # A version that knew fewer settings gave the same run another digest, with the same data.
        same = [spec for spec, now in former if now == job.spec]
        digests = [job.digest, *(digest_of(spec, (job.data, job.others), job.seeds) for spec in same)]
        found = ((theirs.get((digest, seed)) for digest in digests) for seed in job.seeds)
        yield job, [cell for cells in found if (cell := next(filter(None, cells), None)) is not None]


def _as_now(spec: dict[str, Any]) -> dict[str, Any]:
    """Resolved settings that an earlier version kept, with the defaults of what it did not know; empty if none read."""
    from intel_core.recipe.runspec import stored_run_spec

    try:
        return what_decides(stored_run_spec(spec))
    except IntelError:
        return {}


def take_over(found: Iterable[tuple[Job, Cell]]) -> None:
    """Keep `reusable` cells of other results as done."""
    for job, cell in found:
        write_cell(job.cell_path(cell.seed), cell)
