"""How is a run handed on from the command line? `intel push` and `intel pull`."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["pull", "push"]


@click.command(
    short_help="Hand a run on as one safetensors file and a model card.",
    epilog="""\b
Examples:
  intel push digits-cluster-seed0 shared/digits
  intel push digits-cluster-seed0 hf://me/digits --private
""",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("destination")
@click.option("--force", is_flag=True, help="Replace a run that is there already.")
@click.option("--private", is_flag=True, help="Make a new repository of the Hub private.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def push(run: Path, destination: str, force: bool, private: bool, data_dir: Path | None, as_json: bool) -> None:
    """Hand a finished run on: one safetensors file with all that is known of it, and a model card.

    DESTINATION is a folder, or hf://USER/NAME on the Hugging Face Hub. The card has the verdict on the bias, if the
    data are here. Of paths of data, only the name of the file is told.
    """
    from intel_core.runs.folder import RunFolder, named_run
    from intel_hub.places import place_of

    place_of(destination)
    run = named_run(run)
    RunFolder(run).read_description()  # before torch is imported: a message is there at once
    from intel_hub.handing_on import push as push_run

    where = push_run(run, destination, data_dir=data_dir, force=force, private=private)
    click.echo(json.dumps({"pushed": where}) if as_json else f"Pushed to {where}; elsewhere: intel pull {where}")


@click.command(
    short_help="Take over a run from a folder, a URL or the Hugging Face Hub.",
    epilog="""\b
Examples:
  intel pull shared/digits
  intel pull https://example.org/digits --run-dir runs/theirs
  intel pull hf://someone/digits
""",
)
@click.argument("source")
@click.option("--run-dir", type=click.Path(path_type=Path), help="New folder for the run.  [default: runs/NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pull(source: str, run_dir: Path | None, as_json: bool) -> None:
    """Take over a run that was handed on, as a run directory.

    SOURCE is a folder, a .safetensors file, a URL of one or of its folder, or hf://USER/NAME. Nothing in it can run
    code; everything is looked at before a directory is made. report, sample and encode then work on it.
    """
    from intel_hub.places import place_of

    place_of(source)
    from intel_hub.handing_on import pull as pull_run

    run = pull_run(source, run_dir)
    click.echo(
        json.dumps({"run_dir": str(run.path)}) if as_json else f"{run.path}; look at it with: intel report {run.path}"
    )
