"""What can a shell complete? Names of components, runs and checks, from metadata and folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

__all__ = ["CheckLevel", "CheckNames", "ComponentName", "MappingOrRun", "RunPath"]

if TYPE_CHECKING:
    _Text = click.ParamType[str]
    _Path = click.ParamType[Path]
else:  # generic in recent versions of click only
    _Text = _Path = click.ParamType


class ComponentName(_Text):
    """The text of a component's spec, or its bare name, passed on unread: the core parses it.

    Args:
        kind: which kind of component; every kind if None.
        files: whether a path may stand in its place.
        plain: whether commands and hooks are meant as well, which no spec describes.
    """

    name = "spec"

    def __init__(self, kind: str | None = None, *, files: bool = False, plain: bool = False) -> None:
        self.kind = kind
        self.files = files
        self.plain = plain

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin with what is typed; no plugin is imported."""
        from intel_core.components import discovery as plugins
        from intel_core.errors import IntelError

        try:
            kinds = (self.kind,) if self.kind else (*plugins.kinds(), *(("commands", "hooks") if self.plain else ()))
            live = [component for kind in kinds for component in plugins.available(kind) if component.is_live]
        except IntelError:
            return []
        names = {c.name if c.status == "OK" else c.qualified: c.distribution for c in live}
        items = [CompletionItem(name, help=names[name]) for name in sorted(names) if name.startswith(incomplete)]
        return items or ([CompletionItem(incomplete, type="file")] if self.files else [])


class RunPath(_Path):
    """A run directory, or the name of a run in ``runs/``."""

    name = "run"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path itself, or the run of that name in ``runs/``; the core checks whether a run is there."""
        from intel_core.runs.folder import named_run

        return named_run(Path(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Run directories that begin with what is typed."""
        places = [Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent, Path("runs")]
        runs = {
            str(path)
            for place in places
            if place.is_dir()
            for path in place.iterdir()
            if (path / "run.json").is_file() and str(path).startswith(incomplete)
        }
        return [CompletionItem(path) for path in sorted(runs)] or [CompletionItem(incomplete, type="dir")]


class MappingOrRun(ComponentName):
    """The text of a mapping's spec, another kind that is checked and the text of one, or a run directory."""

    name = "mapping"

    def __init__(self) -> None:
        super().__init__("mappings")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names of mappings and run directories that begin with what is typed."""
        from intel_conformance.kinds import KINDS

        from intel_core.components.discovery import canonical_kind

        kind, colon, text = incomplete.partition(":")
        if colon and kind in [of.prefix for of in KINDS.values()]:
            found = ComponentName(canonical_kind(kind)).shell_complete(ctx, param, text)
            return [CompletionItem(f"{kind}:{item.value}", help=item.help) for item in found]
        names = super().shell_complete(ctx, param, incomplete)
        runs = RunPath().shell_complete(ctx, param, incomplete)
        return [*names, *(item for item in runs if item.type == "plain")] or runs


class CheckNames(_Text):
    """Names of checks or of groups of checks, separated by commas; the kit says whether they exist."""

    name = "checks"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Groups that begin with what is typed; no single checks, since their names would cost an import of torch."""
        from intel_conformance.check import GROUPS

        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [CompletionItem(f"{before}{comma}{g}") for g in GROUPS if g.startswith(last) and g not in taken]


class CheckLevel(_Text):
    """How thorough the checks are."""

    name = "level"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The level of that name."""
        from intel_conformance.levels import level_of

        return level_of(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Levels that begin with what is typed."""
        from intel_conformance.levels import LEVELS

        return [CompletionItem(level) for level in LEVELS if level.startswith(incomplete)]
