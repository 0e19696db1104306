"""How are new examples drawn from a run? `intel sample`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.numbers import Integer
from intel_cli.arguments.runs import require_runs
from intel_cli.arguments.sampler import sampler_option

__all__ = ["sample"]

_EPILOG = """\b
Examples:
  intel sample runs/digits-identity-seed0
  intel sample runs/digits-identity-seed0 -n 10000 --noise -o samples.npz
  intel sample runs/digits-cluster-seed0 --cluster 3
  intel sample runs/digits-identity-seed0 --from pooled:components=20
  intel sample runs/cells --conditions batch=a,age=30
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RunPath())
@click.option("-n", "--number", type=Integer(1), default=64, show_default=True, help="Number of examples.")
@click.option("--seed", type=Integer(0, 2**63 - 1), default=0, show_default=True, help="Seed of the draw.")
@click.option(
    "--cluster",
    type=Integer(0),
    metavar="K",
    help="Draw from one cluster only, numbered from 0 as by intel encode; y is drawn until it lies in it.",
)
@click.option(
    "--conditions",
    metavar="NAME=VALUE,...",
    help="Of a run with conditions, those of all samples, e.g. batch=a,age=30.  [default: those of training examples]",
)
@click.option("--noise", is_flag=True, help="Draw from p(x|z) instead of taking its mean.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .png, .npy, .npz (array x) or .csv file.  [default: RUN/samples-N.png for images, else .npy]",
)
@sampler_option(
    "Draw y from the prior, or from a sampler that is fitted to the encodings of the training data, e.g. pooled, flow."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
def sample(
    run: Path,
    number: int,
    seed: int,
    cluster: int | None,
    conditions: str | None,
    noise: bool,
    output: Path | None,
    sampler: str,
    data_dir: Path | None,
    device: str,
) -> None:
    """Draw new examples from a model.

    y is drawn from the run's prior, N(0, I) by default, and z is g(y). x is the mean of p(x|z), or with --noise a draw
    from it, in the units of the data. A sampler is fitted when it is first asked for, which needs the data, and kept in
    RUN/samplers/; it is fitted again only if the weights have changed. With --cluster only draws of y are decoded that
    lie in that cluster of the mapping, or of a mixture prior.

    RUN is a run directory, or the name of a run in runs/.
    """
    require_runs([run])
    from intel_cli.output.files import save_examples, suffix_of
    from intel_cli.output.samplers import told_of
    from intel_cli.output.telling import note
    from intel_core.compute.device import pick_device
    from intel_core.evaluation.run import load_run

    trained = load_run(run, device=str(pick_device(device)))
    images = len(trained.model.x_shape) == 3
    fitted = trained.sampler(sampler, data_dir=data_dir, told=note)
    of = "" if fitted is None else "-from-" + re.sub(r"[^\w.+=-]+", "-", str(fitted)).strip("-")[:80]
    of = of if cluster is None else f"{of}-cluster{cluster}"
    target = output or trained.path / f"samples-{number}{of}{'.png' if images else '.npy'}"
    suffix_of(target, (".png", ".npy", ".npz", ".csv"))
    prior = None if fitted is None else fitted.prior
    given = None if conditions is None else _read_conditions(conditions)
    x = trained.sample(number, conditions=given, seed=seed, noise=noise, prior=prior, cluster=cluster)
    save_examples(trained, x, target)
    which = "" if cluster is None else f" of cluster {cluster}"
    click.echo(f"{number:,} samples{which}{told_of(fitted)} in {target}")


def _read_conditions(text: str) -> dict[str, object]:
    """Values by name from ``batch=a,age=30``; what is a number is one.

    Raises:
        SpecError: if a part of it is no ``NAME=VALUE``.
    """
    from intel_core.errors import SpecError

    found: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not name or not equals or not value:
            raise SpecError(f"--conditions: {part.strip()!r}; expected NAME=VALUE, several of them with commas between")
        if name in found:
            raise SpecError(f"--conditions: {name} is given twice")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = value
    return found
