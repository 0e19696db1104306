"""What may a config file or the settings of a component contain? `intel schema` prints it as JSON Schema."""

from __future__ import annotations

import click

from intel_cli.arguments.completion import ComponentName
from intel_cli.arguments.kinds import KindName, NamesKinds
from intel_cli.output.telling import json_text

__all__ = ["schema"]

_EPILOG = """\b
Examples:
  intel schema > run.schema.json
  intel schema mapping cluster
"""


@click.command(cls=NamesKinds, epilog=_EPILOG)
@click.argument("kind", default="run", type=KindName("run"))
@click.argument("name", required=False, type=ComponentName())
def schema(kind: str, name: str | None) -> None:
    """Print the JSON Schema of a whole run, or of one component.

    KIND is run or one of the installed kinds (@kind@). All but run and study need a NAME; study is a study's file.
    """
    if kind == "run":
        if name is not None:
            raise click.UsageError(f"a run has one schema; leave out {name!r}")
        from intel_cli.arguments.around import Around
        from intel_core.recipe.runspec import RunSpec
        from intel_core.recipe.words import SHORT_WORDS

        content = RunSpec.model_json_schema()
        content["properties"] |= {word: {"description": f"short for {meant}"} for word, meant in SHORT_WORDS.items()}
        content["properties"] |= Around.model_json_schema()["properties"]
    else:
        from intel_core.components import discovery as plugins
        from intel_core.components import loading
        from intel_core.errors import did_you_mean

        one_of = [plugins.singular(plural) for plural in plugins.kinds()]
        if kind not in (*plugins.kinds(), *one_of):
            raise click.UsageError(f"no schema is called {kind!r}{did_you_mean(kind, ['run', *one_of], say='kinds')}")
        # Components of some kinds name files of one form, whose schema is that of the kind.
        whole = getattr(loading.base_of(kind), "file_schema", None) if name is None else None
        if name is None and whole is None:
            names = {component.name for component in plugins.available(kind)}
            which = plugins.singular(plugins.canonical_kind(kind))
            raise click.UsageError(f"name the {which} as well{did_you_mean('', names, say='names')}")
        content = whole() if whole is not None else loading.load(kind, str(name)).model_json_schema()
    click.echo(json_text({"$schema": "https://json-schema.org/draft/2020-12/schema", **content}))
