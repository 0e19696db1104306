"""What does a mapping look like before anything is trained? `intel show`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intel_cli.arguments.completion import MappingOrRun
from intel_cli.arguments.numbers import Integer

if TYPE_CHECKING:
    from intel_cli.arguments.mapping import Chosen

__all__ = ["show"]

_SUFFIXES = (".png", ".pdf", ".svg")
_EPILOG = """\b
Examples:
  intel show cluster:k=5 -o k5.pdf
  intel show cluster:k=3,dims=0-1 cluster:k=2,dims=2-3 --latent 4
  intel show runs/digits-cluster-seed0
"""


@click.command(epilog=_EPILOG)
@click.argument("mappings", nargs=-1, required=True, type=MappingOrRun(), metavar="MAPPING...")
@click.option(
    "--latent",
    type=Integer(1, 4096),
    help="Number of dimensions of y.  [default: the smallest that the mapping accepts, at least 2; 3 or 4 for a "
    "surface, 20 for sparsity]",
)
@click.option(
    "--seed",
    type=Integer(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the draws, and of untrained parameters.",
)
@click.option(
    "-n",
    "--points",
    type=Integer(1, 100_000),
    default=2000,
    show_default=True,
    help="Number of draws from the prior.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .png, .pdf or .svg file.  [default: MAPPING.png in this folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the mapping declares as one JSON object.")
def show(
    mappings: tuple[str, ...], latent: int | None, seed: int, points: int, output: Path | None, as_json: bool
) -> None:
    """Draw what a mapping does to the prior; nothing is trained.

    MAPPING is a spec as for intel train --mapping, e.g. cluster:k=5. Several are composed, the first applied first.
    prior:SPEC, e.g. prior:mog:k=3, draws a prior instead, and the contours of its density.
    For a run directory, or the name of a run in runs/, the trained mapping is drawn.
    """
    from intel_cli.arguments.mapping import chosen_mapping
    from intel_cli.output.files import suffix_of
    from intel_cli.output.telling import json_text

    if output is not None:
        suffix_of(output, _SUFFIXES)
        _check_folder(output)
    for text in mappings:
        if text.startswith("posterior:"):
            raise click.UsageError(f"{text!r} cannot be drawn: a posterior needs data; intel check tests it")
        if text.startswith("prior:") and len(mappings) > 1:
            raise click.UsageError(f"{text!r} cannot be drawn beside others: a prior is drawn alone")
    if len(mappings) == 1 and mappings[0].startswith("prior:"):
        from intel_core.components.spec import parse_spec

        text = mappings[0].removeprefix("prior:")
        parse_spec("priors", text)
        # What takes torch is imported after all that could be wrong without it.
        from intel_cli.pictures.densities import prior_figure
        from intel_cli.pictures.style import save

        target = output or Path(f"prior-{re.sub(r'[^A-Za-z0-9_.+=-]+', '-', text)[:90]}.png")
        save(prior_figure(text, latent or 2, points, seed), target)
        click.echo(json_text({"prior": text, "file": str(target)}) if as_json else f"picture     {target}")
        return
    chosen = chosen_mapping(mappings, latent, seed)
    from intel_cli.output.promises import as_json as promised
    from intel_cli.pictures.show import mapping_figure
    from intel_cli.pictures.style import save

    target = output or Path(f"{chosen.name}.png")
    shown = mapping_figure(chosen.mapping, points, seed)
    save(shown.figure, target)
    if as_json:
        source = {"mapping": chosen.specs, "run": None if chosen.run is None else str(chosen.run), "seed": seed}
        click.echo(json_text({**source, **promised(chosen.mapping), "left_out": shown.left_out, "file": str(target)}))
    else:
        _tell(chosen, target, shown.left_out)


def _check_folder(path: Path) -> None:
    """Check that the folder exists, before anything is drawn.

    Raises:
        RunError: if there is no such folder.
    """
    from intel_core.errors import RunError

    if not path.parent.is_dir():
        raise RunError(f"{path} cannot be written: there is no folder {str(path.parent)!r}; make it first")


def _tell(chosen: Chosen, target: Path, left_out: list[tuple[int, int]]) -> None:
    """Print the facts about the mapping, one a line, and where the picture is."""
    from intel_cli.output.promises import as_lines, parameters_of
    from intel_cli.output.terminal import visible

    mapping = chosen.mapping
    parameters = parameters_of(mapping)
    hint = " (--latent for another number)" if chosen.latent_chosen else ""
    facts = {
        "mapping": " → ".join(chosen.specs) + (f", as trained in {chosen.run}" if chosen.run else ""),
        "latent": f"{mapping.y_dim} dimension{'s' if mapping.y_dim > 1 else ''} of y, {mapping.z_dim} of z{hint}",
        "parameters": f"{parameters:,}{'' if chosen.run else ', untrained'}" if parameters else "",
        **as_lines(mapping),
    }
    if left_out:
        planes = ", ".join(f"(y{a}, y{b})" for a, b in left_out[:6]) + (", …" if len(left_out) > 6 else "")
        facts["left out"] = f"{len(left_out)} more planes, for lack of room: {planes}"
    facts["picture"] = str(target)
    for name, text in facts.items():
        if text:
            click.echo(f"{name:<12}{visible(text, one_line=True)}")
