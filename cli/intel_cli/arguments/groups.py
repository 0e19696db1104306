"""Which command is meant? One that some distribution registers, imported once it is used; a misspelt one is not.

A command is a click command that a distribution registers in the entry-point group ``intelvae.commands``: the entry's
name is what a user types. The commands of this project are found in the same way as any other's.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from intel_core.components.discovery import Component

__all__ = ["InstalledCommands", "SuggestingGroup", "load_command"]

_ORDER = (
    *("show", "check", "train", "evaluate", "compare", "report", "explore"),
    *("sample", "encode", "runs", "plugins", "schema"),
)
"""In which order names are listed, whoever offers them; the metadata of a distribution keep none."""
_OWN = "intelvae-cli"


class SuggestingGroup(click.Group):
    """A group that lists its commands in the order in which they were added, and suggests the nearest one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a user's work, not of the alphabet."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that does not exist."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            from intel_core.errors import did_you_mean

            raise click.UsageError(
                f"no command is called {name!r}{did_you_mean(name, self.list_commands(ctx), say='commands')}", ctx
            )
        return super().resolve_command(ctx, args)


SuggestingGroup.group_class = SuggestingGroup


class InstalledCommands(SuggestingGroup):
    """A group of the commands that are installed. Listing them imports none; using one imports that one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What can be typed, in the order of a user's work; other commands come last."""
        return [_typed(component) for component in _listed()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None if there is none.

        Raises:
            PluginError: if it is there and cannot be used: broken, ambiguous, disabled or of another API level.
        """
        from intel_core.components.discovery import available, find
        from intel_core.errors import IntelError

        try:
            if any(cmd_name in (component.name, component.qualified) for component in available("commands")):
                component = find("commands", cmd_name)
                if component.distribution != _OWN:
                    ctx.color = False  # its styles are left out, or they would be shown written out
                return load_command(component)
        except IntelError:
            if not ctx.resilient_parsing:  # a shell that completes a line wants no errors
                raise
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command in a line, under the distribution that offers it where there are several."""
        by_distribution: dict[str, list[Component]] = {}
        for component in _listed():
            by_distribution.setdefault(component.distribution, []).append(component)
        for distribution, components in sorted(by_distribution.items(), key=lambda item: (-len(item[1]), item[0])):
            width = formatter.width - 6 - max(len(_typed(component)) for component in components)
            rows = [(_typed(component), _said(component, width)) for component in components]
            with formatter.section("Commands" if len(by_distribution) == 1 else f"Commands of {distribution}"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin with what is typed; no command is imported."""
        from intel_core.errors import IntelError

        try:
            listed = [component for component in _listed() if _typed(component).startswith(incomplete)]
        except IntelError:
            listed = []
        items = [CompletionItem(_typed(component), help=_said(component)) for component in listed]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


def load_command(component: Component) -> click.Command:
    """The click command that a distribution registers, imported now.

    Raises:
        PluginError: if it cannot be imported or is no click command; the cause is chained.
    """
    try:
        command = metadata.EntryPoint(component.name, component.value, "intelvae.commands").load()
        if not isinstance(command, click.Command):
            raise TypeError(f"{component.value} is no click command")
    except BaseException:
        from intel_core.components.loading import told_as_broken  # only now, since it imports pydantic

        with told_as_broken(component):
            raise
    return command


def _listed() -> list[Component]:
    """Every command that is installed and not disabled, in the order of a user's work; other commands come last.

    Raises:
        PluginError: if a variable that switches plugins on or off names something that is not installed.
    """
    from intel_core.components.discovery import available

    listed = [component for component in available("commands") if component.status != "DISABLED"]
    places = {name: place for place, name in enumerate(_ORDER)}
    return sorted(listed, key=lambda component: places.get(component.name, len(places)))


def _typed(component: Component) -> str:
    """What a user types to run a command."""
    return component.qualified if component.status == "CONFLICT" else component.name


def _said(component: Component, width: int = 80) -> str:
    """In one line what a command does, or why it cannot be used."""
    from intel_cli.output.short_help import short_help

    if not component.is_live:
        return f"{component.status}: {component.reason}"
    said = short_help(component.value, width)
    return said or f"from {component.distribution} {component.version}"
