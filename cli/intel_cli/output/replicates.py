"""What are the results of several seeds? Means, standard deviations, and the ELBO of each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_core.replicates.summary import Replicates

__all__ = ["show_replicates"]


def show_replicates(group: Replicates) -> None:
    """Print tables of means and standard deviations, and the ELBO of each seed."""
    from rich.table import Table

    from intel_cli.output.console import console
    from intel_cli.output.summary import HIDDEN, UNITS
    from intel_cli.output.terms import in_order, term_name

    out, summary = console(), group.summary
    finished = [entry for entry in summary["runs"] if entry["status"] == "finished"]
    how = "at once" if summary["stacked"] else "one after another"
    out.print(f"{summary['name']}: {len(finished)} of {len(summary['runs'])} seeds, trained {how}", style="bold")
    table = Table(caption="mean ± standard deviation over seeds", caption_justify="left")
    table.add_column(UNITS)
    table.add_column("validation", justify="right")
    table.add_column("test", justify="right")
    validation, test = summary["validation"], summary["test"]
    for name in in_order(test, HIDDEN):
        table.add_row(term_name(name, test), _both(validation[name]), _both(test[name]))
    table.add_section()
    table.add_row("active units", _both(validation["active_units"]), _both(test["active_units"]))
    for name, value in summary["mapping"].items():
        table.add_row(name.replace("_", " "), "", _both(value, ".3g"))
    out.print(table)
    seeds = Table()
    for name in ("seed", "test ELBO", "steps"):
        seeds.add_column(name, justify="right")
    seeds.add_column("status")
    for entry in summary["runs"]:
        elbo = "" if entry["test_elbo"] is None else f"{entry['test_elbo']:.2f}"
        seeds.add_row(str(entry["seed"]), elbo, f"{entry['step']:,}", entry["status"])
    out.print(seeds)
    out.print(f"{group.path}/  replicates.json and a run in each of {finished[0]['folder']}/, …", soft_wrap=True)
    path = telling.quoted(group.path)
    out.print(f"Next: intel evaluate {path}  |  intel compare {path} OTHER_RUNS", soft_wrap=True)


def _both(value: dict[str, Any], how: str = ".2f") -> str:
    """``mean ± std``."""
    spread = "" if value["std"] is None else f" ± {value['std']:{how}}"
    return f"{value['mean']:{how}}{spread}"
