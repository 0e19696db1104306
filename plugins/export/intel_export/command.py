"""How is a trained model exported from the command line? `intel export`."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["export"]

_EPILOG = """\b
Examples:
  intel export runs/digits-cluster-seed0
  intel export digits-cluster-seed0 --format torch -o deployed
  intel export digits-cluster-seed0 --part encoder --part mapping
"""


@click.command(epilog=_EPILOG, short_help="Write encoder, mapping and generator as ONNX or torch.export files.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="onnx, or torch for torch.export (.pt2).",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the files.  [default: RUN/export]")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["encoder", "mapping", "generator", "prior"]),
    help="Only this part; may be repeated.  [default: all, the prior only if it is not N(0, I)]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(run: Path, format_: str, output: Path | None, parts: tuple[str, ...], as_json: bool) -> None:
    """Write a trained model as files that need no framework.

    The encoder takes x in the units of the data and gives mean and std of q(y|x); the mapping takes y and gives z; the
    generator takes z and gives x, the mean of p(x|z), in the units of the data. Each takes any number of examples. All
    is float32, whatever the run was trained in, and is compared with the model before it is written.

    RUN is a run directory, or the name of a run in runs/.
    """
    from intel_core.runs.folder import RunFolder, named_run

    run = named_run(run)
    RunFolder(run).read_description()  # before torch is imported: a message is there at once
    from intel_export.exporting import export as export_run

    done = export_run(run, format_, output, parts=parts)
    if as_json:
        files = {part: str(path) for part, path in done.files.items()}
        click.echo(json.dumps({"format": format_, "files": files, "difference": done.difference}))
        return
    for path in done.files.values():
        click.echo(str(path))
    if done.difference is None:
        click.echo("Not compared with the model: onnxruntime is not installed", err=True)
    else:
        precision = "" if done.trained_in != "bfloat16" else " in float32; it was trained in bfloat16"
        click.echo(f"Largest difference from the model: {done.difference:.1e}{precision}", err=True)
