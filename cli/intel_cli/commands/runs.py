"""Which runs are there? `intel runs` lists them from their JSON files alone."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from intel_cli.output.telling import json_text, note

__all__ = ["read_run", "runs"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="[DIR]", default=None, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def runs(folder: Path | None, as_json: bool) -> None:
    """List the runs in a folder, oldest first.

    DIR is runs/ unless it is given. A folder that cannot be read as a run is listed with the reason.
    """
    place = folder or Path("runs")
    if not place.is_dir():
        if folder is not None:
            from intel_core.errors import RunError

            raise RunError(f"{folder} is not a folder")
        rows = []
    elif (place / "run.json").is_file():
        rows = [read_run(place)]
    else:
        try:
            folders = [path for path in place.iterdir() if path.is_dir()]
        except OSError as error:
            from intel_core.errors import RunError

            raise RunError(f"{place} cannot be read: {error.strerror}") from error
        inside = [run for path in folders for run in _inside(path)]
        rows = sorted((read_run(path) for path in inside), key=lambda run: (run["created"] or "", run["run_dir"]))
    if as_json:
        click.echo(json_text(rows))
    elif rows:
        _show(rows)
    else:
        note(f"No runs in {place}; intel train makes one.")


def _inside(path: Path) -> list[Path]:
    """The folder itself, or the runs in it if it holds replicates."""
    from intel_core.errors import RunError
    from intel_core.runs.folder import seeds_of

    if path.name.startswith("."):
        return []
    try:
        return [path] if (path / "run.json").exists() else seeds_of(path) or [path]
    except (RunError, OSError):
        return [path]  # reading it says what is wrong


def read_run(path: Path) -> dict[str, Any]:
    """The row of a run in the list; ``problem`` is the reason if it cannot be read, else None."""
    from intel_core.components.spec import short_text
    from intel_core.errors import RunError
    from intel_core.runs.contents import last_step, read
    from intel_core.runs.opening import has

    row: dict[str, Any] = dict.fromkeys(
        ("name", "mapping", "data", "status", "step", "steps", "test_elbo", "active_units", "created", "problem")
    )
    row = {"run_dir": str(path), **row, "name": path.name, "status": "broken"}
    try:
        info = read(path, "run.json")
        metrics = read(path, "metrics.json") if has(path, "metrics.json") else {}
        spec = info["spec"]
        test = metrics.get("test") or {}
        return row | {
            "name": info["name"],
            "mapping": [short_text("mappings", text) for text in spec["mapping"]],
            "data": short_text("datasets", spec["data"]),
            "status": metrics.get("status", "unfinished"),
            "step": metrics["step"] if metrics else last_step(path),
            "steps": spec["steps"],
            "test_elbo": test.get("elbo"),
            "active_units": test.get("active_units"),
            "created": info["created"],
        }
    except FileNotFoundError as error:
        problem = f"not a run: it has no {Path(str(error.filename)).name}"
    except RunError as error:
        problem = str(error).partition("\n")[0].replace(f"{path}/", "").removeprefix(f"{path} ")
    except Exception as error:  # whatever is wrong with one folder, the others are listed
        problem = f"it cannot be read ({type(error).__name__}: {error})".partition("\n")[0]
    return row | {"problem": problem[:500]}


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from intel_cli.output.console import console

    def name_of(path: Path) -> str:
        return f"{path.parent.name}/{path.name}" if path.name.startswith("seed-") else path.name

    table = Table(caption="ELBO in nats per example", caption_justify="left")
    for name in ("run", "data", "mapping", "status"):
        table.add_column(name, overflow="fold")
    for name in ("steps", "test ELBO", "active"):
        table.add_column(name, justify="right")
    table.add_column("begun")
    for run in rows:
        if run["problem"] is not None:
            table.add_row(name_of(Path(run["run_dir"])), "", run["problem"], "broken")
            continue
        steps = f"{run['step']:,}" if run["status"] == "finished" else f"{run['step']:,}/{run['steps']:,}"
        begun = datetime.datetime.fromisoformat(run["created"]).astimezone().strftime("%Y-%m-%d %H:%M")
        elbo = "" if run["test_elbo"] is None else f"{run['test_elbo']:.2f}"
        active = "" if run["active_units"] is None else str(run["active_units"])
        mapping = " → ".join(run["mapping"])
        table.add_row(name_of(Path(run["run_dir"])), run["data"], mapping, run["status"], steps, elbo, active, begun)
    console().print(table)
