"""How do tables that take hours come about? Rows are written as they come, and put into a page between two lines."""

from __future__ import annotations

import concurrent.futures
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["added", "kept", "put_into", "shown"]

_Job = TypeVar("_Job")
Row = dict[str, Any]


def kept(path: Path) -> list[Row]:
    """The rows of a file; none if it is not there yet."""
    found: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return found


def added(
    rows: list[Row],
    path: Path,
    jobs: Sequence[_Job],
    compute: Callable[[_Job], Row | list[Row]],
    order: Callable[[Row], Any],
    processes: int,
) -> None:
    """Compute a row, or several, for each job, in some processes, and write all rows after each.

    A row takes the place of one with the same `order`. An error is told at once, and not after all other jobs.
    """
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for future in concurrent.futures.as_completed([pool.submit(compute, job) for job in jobs]):
            if future.exception() is not None:
                pool.shutdown(cancel_futures=True)
            found = future.result()
            new = found if isinstance(found, list) else [found]
            print(*new, sep="\n", flush=True)
            replaced = {order(row) for row in new}
            rows[:] = sorted([*(row for row in rows if order(row) not in replaced), *new], key=order)
            waiting = path.with_suffix(".part")
            waiting.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            waiting.replace(path)


def shown(rows: Iterable[Row], key: str, digits: int) -> str:
    """Mean and standard deviation of a column; empty if no row has it."""
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def put_into(page: Path, name: str, text: str) -> None:
    """Replace what a page has between the comments ``NAME`` and ``end of NAME``."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(before + begin + text + end + rest.partition(end)[2], encoding="utf-8")
