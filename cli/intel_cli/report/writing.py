"""How is a page written from Python? Of a run in memory too, such as one with modules or data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intel_core.evaluation.run import Run

__all__ = ["write_report"]


def write_report(
    run: Run,
    path: str | Path | None = None,
    *,
    against: Run | None = None,
    data: Any = None,
    labels: Any = None,
    data_dir: str | Path | None = None,
) -> Path:
    """Write the page that `intel report` writes about a run.

    Args:
        run: the run, as `fit` or `load_run` gave it.
        path: an .html file; by default ``report.html`` in the run directory.
        against: a run on the same data without the bias.
        data: what the run was trained on, if that was in memory.
        labels: beside `data`, as in `fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.

    Returns:
        The file.

    Raises:
        RunError: if a run has no weights, or the data are not those it was trained on.

    >>> import tempfile, torch
    >>> from intel_core import fit
    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> run = fit(data=x, mapping="circle", steps=5, run_dir=tempfile.mkdtemp())
    >>> write_report(run, data=x).name
    'report.html'
    """
    from intel_cli.output.files import suffix_of
    from intel_cli.report.gather import gather
    from intel_cli.report.page import render
    from intel_core.evaluation.given_data import data_to_compare
    from intel_core.files import write_text
    from intel_core.reading.data_dir import data_dir_or_default

    target = run.path / "report.html" if path is None else Path(path)
    suffix_of(target, (".html", ".htm"))
    folder = data_dir_or_default(data_dir)
    dataset = None if data is None else data_to_compare(run, data, labels, folder)
    write_text(target, render(gather(run, against, folder, dataset=dataset)))
    return target
