"""How does what a model decodes change with y? `intel explore` opens a local page on which y can be dragged."""

from __future__ import annotations

from pathlib import Path

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.numbers import Integer
from intel_cli.arguments.runs import require_runs

__all__ = ["explore"]

_EPILOG = """\b
Examples:
  intel explore runs/digits-cluster-seed0
  intel explore runs/digits-cluster-seed0 --port 8321 --no-browser
"""


@click.command(epilog=_EPILOG, short_help="Drag a point in y, and see z and the decoded example change.")
@click.argument("run", type=RunPath())
@click.option(
    "--port", type=Integer(0, 65535), default=0, show_default=True, help="Port to listen on; 0 is any free one."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def explore(run: Path, port: int, data_dir: Path | None, no_browser: bool) -> None:
    """Drag a point in a plane of y, and see z and the decoded example change with it.

    Conditions of a run that has some are chosen beside it.

    The page is served to this machine only, at an address that cannot be guessed, until Ctrl-C. It needs starlette
    and uvicorn: pip install 'intelvae-cli[explore]'.

    RUN is a run directory, or the name of a run in runs/.
    """
    require_runs([run])
    from intel_cli.explore.server import listen, require_installed

    require_installed()
    import secrets

    from intel_cli.explore.scene import Scene
    from intel_cli.explore.server import serve
    from intel_cli.output.telling import note
    from intel_core.evaluation.bias.gathering import usable_data
    from intel_core.evaluation.run import load_run
    from intel_core.reading.data_dir import data_dir_or_default

    bound = listen(port)
    with bound:
        trained = load_run(run)
        _ = trained.model  # a run without weights is refused before anything else is done
        dataset, problem = usable_data(trained, data_dir_or_default(data_dir))
        if problem:
            note(problem.replace("this page", "the page"))

        def ready(address: str) -> None:
            click.echo(f"{run} at {address}")
            click.echo("Ctrl-C ends it.")
            if not no_browser:
                click.launch(address)

        serve(Scene(trained, dataset), bound, secrets.token_urlsafe(16), ready)
    note("Ended.")
