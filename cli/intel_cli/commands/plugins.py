"""What is installed, and what does it take? `intel plugins list` and `intel plugins show`; `new` is in `new_plugin`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.completion import ComponentName
from intel_cli.arguments.groups import SuggestingGroup, load_command
from intel_cli.arguments.kinds import KindName, NamesKinds
from intel_cli.commands.new_plugin import new
from intel_cli.output.telling import json_text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from intel_core.components.discovery import Component

__all__ = ["plugins"]

_EXAMPLES = {
    "mappings": "intel train --mapping {}",
    "datasets": "intel train --data {}",
    "starts": "intel train --start {}",
    "priors": "intel train --prior {}",
    "posteriors": "intel train --posterior {}",
    "likelihoods": "intel train --likelihood {}",
    "networks": "intel train --network {}",
    "objectives": "intel train --objective {}",
    "optimizers": "intel train --optimizer {}",
    "schedules": "intel train --schedule kl={}",
    "metrics": "intel evaluate RUN --metric {}",
    "samplers": "intel sample RUN --from {}",
    "inputs": "in Python, fit(data=…), where the object is read as {}",
}
"""How a component of a kind is used; for a kind that another distribution has added the spec alone is shown."""


@click.group(cls=SuggestingGroup, short_help="See which mappings, data sets, metrics … are installed.")
def plugins() -> None:
    """See which mappings, data sets and other components are installed, or write one."""


@plugins.command("list", cls=NamesKinds)
@click.argument("kind", required=False, type=KindName("hooks", "commands", "kinds"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--check", is_flag=True, help="Exit with 1 if a component cannot be used, unless it is DISABLED.")
def list_(kind: str | None, as_json: bool, check: bool) -> None:
    """List components and whether each can be used.

    KIND is one of the installed kinds (@kinds@), hooks, commands or kinds. Without it all are listed except the kinds
    themselves.

    The status is OK, BROKEN, CONFLICT (two distributions offer the name), TOO NEW or TOO OLD (for this core), or
    DISABLED.
    """
    from intel_core.components.discovery import available, canonical_kind, kinds

    wanted = (*kinds(), "hooks", "commands") if kind is None else (canonical_kind(kind),)
    rows = [_row(component) for name in wanted for component in available(name)]
    if as_json:
        click.echo(json_text(rows))
    else:
        _show_list(rows)
    if check and any(row["status"] not in ("OK", "DISABLED") for row in rows):
        click.get_current_context().exit(1)


def _row(component: Component) -> dict[str, Any]:
    """A component with its status after an attempt to import it without torch."""
    from intel_cli.output.short_help import short_help
    from intel_core.components.discovery import PLAIN
    from intel_core.components.loading import load
    from intel_core.recipe.probing import probe

    tried = probe(component)
    if tried.kind in PLAIN:
        tried = _checked_command(tried) if tried.kind == "commands" else tried
        summary = short_help(tried.value, 200) if tried.is_live else ""
    else:
        summary = _summary(load(tried.kind, tried.qualified)) if tried.is_live else ""
    return {
        "kind": tried.kind,
        "name": tried.name,
        "distribution": tried.distribution,
        "version": tried.version,
        "api": tried.api,
        "status": tried.status,
        "reason": tried.reason,
        "summary": summary,
    }


def _checked_command(component: Component) -> Component:
    """A command with its status after a look at the object; not looked at if its import needs torch."""
    module = component.value.partition(":")[0].strip()
    if component.is_live and module in sys.modules:
        try:
            load_command(component)
        except Exception as error:
            cause = error.__cause__ or error
            return replace(component, status="BROKEN", reason=f"{type(cause).__name__}: {cause}")
    return component


def _summary(spec_class: type[BaseModel]) -> str:
    """The first line of the class's own docstring."""
    text = (spec_class.__doc__ or "").strip()
    return text.splitlines()[0] if text else ""


def _show_list(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from intel_cli.output.console import console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("kind", "name", "distribution", "version", "api", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is, or what is wrong", overflow="fold")
    styles = {"OK": "green", "DISABLED": "dim"}
    before = None
    for row in rows:
        kind = row["kind"] if row["kind"] != before else ""
        if before is not None and kind:
            table.add_row()
        before = row["kind"]
        status = Text(row["status"], style=styles.get(row["status"], "bold red"))
        said = row["reason"] or row["summary"]
        table.add_row(kind, row["name"], row["distribution"], row["version"], str(row["api"]), status, said)
    console().print(table)


@plugins.command("show")
@click.argument("name", type=ComponentName())
@click.option("--kind", type=KindName(), help="The kind, if several kinds have a component of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Explain one component and every setting it takes.

    NAME may have its kind before it, as in prior:mog.
    """
    from intel_core.components.discovery import canonical_kind, kinds, singular
    from intel_core.components.loading import load

    first, _, rest = name.partition(":")
    named = [k for k in kinds() if first.strip() in (k, singular(k))]
    if named and rest.strip() and kind is None:  # intel check writes it so
        kind, name = named[0], rest
    name = name.partition(":")[0].strip()
    components = _find_all(name, None if kind is None else canonical_kind(kind))
    described = [_describe(component, load(component.kind, component.qualified)) for component in components]
    if as_json:
        click.echo(json_text(described))
        return
    for index, description in enumerate(described):
        if index:
            click.echo()
        _show_one(description)


def _find_all(name: str, kind: str | None) -> list[Component]:
    """The usable components of that name, one of each kind that has it.

    Raises:
        PluginError: if there is none, or the only ones cannot be used.
    """
    from intel_core.components.discovery import available, find, kinds, singular
    from intel_core.errors import PluginError, did_you_mean

    wanted = (kind,) if kind else kinds()
    having = [k for k in wanted if any(name in (c.name, c.qualified) for c in available(k))]
    if not having:
        names = {c.name for k in wanted for c in available(k)}
        what = singular(kind) if kind else "component"
        raise PluginError(f"no {what} is called {name!r}{did_you_mean(name, names, say='names')}")
    return [find(k, name) for k in having]


def _describe(component: Component, spec_class: type[BaseModel]) -> dict[str, Any]:
    from intel_cli.arguments.fields import field_lines

    fields = [
        dict(zip(("name", "type", "default", "description"), line, strict=True)) for line in field_lines(spec_class)
    ]
    return {
        "kind": component.kind,
        "name": component.name,
        "distribution": component.distribution,
        "version": component.version,
        "api": component.api,
        "value": component.value,
        "summary": _summary(spec_class),
        "fields": fields,
        "example": _EXAMPLES.get(component.kind, "{}").format(_example(component.kind, component.name, fields)),
    }


def _example(kind: str, name: str, fields: list[dict[str, str]]) -> str:
    """The shortest spec that is complete, with one setting to show how they are written."""
    required = [f"{field['name']}={_some(field)}" for field in fields if field["default"] == "required"]
    if required:
        return f"{name}:{','.join(required)}"
    for field in fields:
        text = f"{name}:{field['name']}={field['default']}"
        if field["default"] != "null" and field["default"][:1] not in '[{"' and _parses(kind, text):
            return text
    return name


def _parses(kind: str, text: str) -> bool:
    from intel_core.components.spec import parse_spec
    from intel_core.errors import SpecError

    try:
        parse_spec(kind, text)
    except SpecError:
        return False
    return True


def _some(field: dict[str, str]) -> str:
    """A value for a required setting: a plausible number, or the setting's name for the user to replace."""
    return "1000" if field["type"].startswith(("integer", "number")) else field["name"].upper()


def _show_one(description: dict[str, Any]) -> None:
    from rich.table import Table

    from intel_cli.output.console import console
    from intel_core.components.discovery import singular

    d, out = description, console()
    click.echo(f"{d['name']}  ({singular(d['kind'])})")
    click.echo(f"  {d['summary'] or 'no summary'}")
    click.echo(f"  from {d['distribution']} {d['version']}, plugin API {d['api']}, {d['value']}")
    if d["fields"]:
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False)
        for heading in ("  setting", "type", "default"):
            table.add_column(heading, no_wrap=heading != "type")
        table.add_column("meaning", overflow="fold")
        for field in d["fields"]:
            table.add_row(f"  {field['name']}", field["type"], field["default"], field["description"])
        out.print(table)
    else:
        click.echo("  It takes no settings.")
    click.echo(f"  Example: {d['example']}")


plugins.add_command(new)
