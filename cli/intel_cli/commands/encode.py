"""What is the latent of some data? `intel encode`."""

from __future__ import annotations

from pathlib import Path

import click

from intel_cli.completion import ComponentName, RunPath
from intel_cli.numbers import Integer

__all__ = ["encode"]

SPLITS = ("train", "validation", "test")
_EPILOG = """\b
Examples:
  intel encode runs/digits-identity-seed0 --split train
  intel encode runs/digits-identity-seed0 --data other.npy -o other-latent.npz
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RunPath())
@click.option(
    "--data",
    type=ComponentName("datasets", files=True),
    metavar="SPEC",
    help="Other data than the run's, as for intel train; all of it unless --split is given.",
)
@click.option("--split", type=click.Choice(SPLITS), help="Which examples.  [default: test, of the run's own data]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz file.  [default: RUN/encoding-SPLIT.npz]",
)
@click.option("--seed", type=Integer(0, 2**63 - 1), default=0, show_default=True, help="Seed of the draw of y.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
def encode(
    run: Path,
    data: str | None,
    split: str | None,
    output: Path | None,
    seed: int,
    data_dir: Path | None,
    device: str,
) -> None:
    """Encode data into y and z.

    Written are mean and std of q(y|x), a draw y of it, z = g(y) and z_mean = g(mean). A table is standardised as the
    training data was.

    RUN is a run directory, or the name of a run in runs/. The file also holds labels where they are known.
    """
    import torch

    from intel_cli.files import save_arrays, suffix_of
    from intel_cli.paths import data_spec
    from intel_core.data import DatasetSpec
    from intel_core.devices import pick_device
    from intel_core.run import data_dir_or_default, load_run
    from intel_core.spec import parse_spec

    trained = load_run(run, device=str(pick_device(device)))
    chosen = (split,) if split else SPLITS if data else ("test",)
    source = chosen if data is None else ("other", *([split] if split else []))
    target = output or trained.path / f"encoding-{'-'.join(source)}.npz"
    suffix_of(target, (".npz",))
    if data is None:
        dataset = trained.dataset(data_dir)
    else:
        spec = parse_spec("datasets", data_spec(data))
        assert isinstance(spec, DatasetSpec)
        dataset = spec.load(data_dir_or_default(data_dir))
    splits = [getattr(dataset, name) for name in chosen]
    x = torch.cat([part.x for part in splits])
    if data is not None and dataset.scaling is not None:
        # Other data was standardised by its own rows; the model knows those that it was trained on.
        mean, std = (torch.tensor(values) for values in dataset.scaling)
        x = trained.standardise(x * std + mean)
    encoding = trained.encode(x, seed=seed)
    arrays = {name: tensor.numpy() for name, tensor in encoding._asdict().items()}
    if all(part.labels is not None for part in splits):
        arrays["labels"] = torch.cat([part.labels for part in splits]).cpu().numpy()
    save_arrays(target, arrays)
    click.echo(f"{len(arrays['mean']):,} examples of {' + '.join(chosen)} in {target}: {', '.join(arrays)}")
