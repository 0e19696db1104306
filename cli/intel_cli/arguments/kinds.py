"""Which kind of component is meant? One of those that are installed, whoever has added it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

__all__ = ["KindName", "NamesKinds"]

if TYPE_CHECKING:
    _Text = click.ParamType[str]
else:  # generic in recent versions of click only
    _Text = click.ParamType


class KindName(_Text):
    """The name of a kind of component; the core says whether it exists.

    Args:
        others: further words that are valid there, which the shell completes as well.
    """

    name = "kind"

    def __init__(self, *others: str) -> None:
        self.others = others

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Kinds that begin with what is typed; no plugin is imported."""
        from intel_core.components.discovery import kinds

        return [CompletionItem(name) for name in (*kinds(), *self.others) if name.startswith(incomplete)]


class NamesKinds(click.Command):
    """A command whose help names the installed kinds.

    In its text ``@kinds@`` stands for their plurals and ``@kind@`` for their singulars.
    """

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The text with the kinds in it."""
        from intel_core.components.discovery import kinds, singular

        text = inspect.cleandoc(self.help or "").partition("\f")[0]
        text = text.replace("@kinds@", ", ".join(kinds())).replace("@kind@", ", ".join(map(singular, kinds())))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)
