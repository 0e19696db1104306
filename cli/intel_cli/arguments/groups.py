"""What happens when a command is mistyped? The nearest one is named."""

from __future__ import annotations

import click

__all__ = ["SuggestingGroup"]


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
                f"no command is called {name!r}{did_you_mean(name, self.commands, say='commands')}", ctx
            )
        return super().resolve_command(ctx, args)


SuggestingGroup.group_class = SuggestingGroup
