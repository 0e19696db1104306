"""Which runs are there? `intel runs` lists them from their JSON files alone."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import click

from intel_cli.output.telling import json_text, note

__all__ = ["read_run", "runs"]

_FORMAT = 1


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
        inside = [run for path in place.iterdir() if path.is_dir() for run in _inside(path)]
        rows = sorted((read_run(path) for path in inside), key=lambda run: (run["created"] or "", run["run_dir"]))
    if as_json:
        click.echo(json_text(rows))
    elif rows:
        _show(rows)
    else:
        note(f"No runs in {place}; intel train makes one.")


def _inside(path: Path) -> list[Path]:
    """The folder itself, or the runs in it if it holds replicates."""
    if path.name.startswith("."):
        return []
    group = sorted(path.glob("seed-*/run.json")) if not (path / "run.json").exists() else []
    return [file.parent for file in group] or [path]


def read_run(path: Path) -> dict[str, Any]:
    """The row of a run in the list; ``problem`` is the reason if it cannot be read, else None."""
    from intel_core.components.spec import short_text

    row: dict[str, Any] = dict.fromkeys(
        ("name", "mapping", "data", "status", "step", "steps", "test_elbo", "active_units", "created", "problem")
    )
    row = {"run_dir": str(path), **row, "name": path.name, "status": "broken"}
    try:
        info = _read(path / "run.json")
        if info.get("format", 0) > _FORMAT:
            raise ValueError(f"run.json has format {info['format']}, this command reads up to {_FORMAT}")
        metrics = _read(path / "metrics.json") if (path / "metrics.json").exists() else {}
        spec = info["spec"]
        test = metrics.get("test", {})
        row |= {
            "name": info["name"],
            "mapping": [short_text("mappings", text) for text in spec["mapping"]],
            "data": short_text("datasets", spec["data"]),
            "status": metrics.get("status", "unfinished"),
            "step": metrics.get("step", _last_step(path)),
            "steps": spec["steps"],
            "test_elbo": test.get("elbo"),
            "active_units": test.get("active_units"),
            "created": info["created"],
        }
        datetime.datetime.fromisoformat(row["created"])
    except FileNotFoundError as error:
        row["problem"] = f"not a run: it has no {Path(str(error.filename)).name}"
    except (OSError, ValueError) as error:
        row |= {"status": "broken", "problem": str(error).splitlines()[0]}
    except (KeyError, TypeError, AttributeError) as error:
        row |= {"status": "broken", "problem": f"run.json is damaged ({type(error).__name__}: {error})"}
    return row


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is damaged: it does not hold an object")
    return content


def _last_step(path: Path) -> int:
    """The last logged step of a run that has not ended."""
    log = path / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


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
