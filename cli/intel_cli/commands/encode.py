"""What is the latent of some data? `intel encode`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.completion import ComponentName, RunPath
from intel_cli.arguments.numbers import Integer
from intel_cli.arguments.runs import require_runs

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset, DatasetSpec
    from intel_core.evaluation.run import Run
    from intel_core.reading.capabilities import Examples

__all__ = ["encode"]

SPLITS = ("train", "validation", "test")
ALL = "all"
_EPILOG = """\b
Examples:
  intel encode runs/digits-identity-seed0 --split train
  intel encode runs/digits-identity-seed0 --data other.npy -o other-latent.npz
  intel encode runs/photos-identity-seed0 --data new-photos -o latent.csv
  intel encode runs/mydata-cluster-seed0 --split all -o latents.parquet
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RunPath())
@click.option(
    "--data",
    type=ComponentName("datasets", files=True),
    metavar="SPEC",
    help="Encode other data than the run's, given as for intel train; all examples unless --split is given.",
)
@click.option(
    "--split",
    type=click.Choice((*SPLITS, ALL)),
    help="Which examples to encode; all are those of the three parts.  [default: test, of the run's own data]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz, .csv or .parquet file.  [default: RUN/encoding-SPLIT.npz]",
)
@click.option("--seed", type=Integer(0, 2**63 - 1), default=0, show_default=True, help="Seed of the draws of y.")
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
    """Encode data into y and z, with the cluster of each example.

    The file has the mean and std of q(y|x), a draw y from it, z = g(y) and z_mean = g(mean), and if they are known the
    labels and the names of the classes. If the mapping has clusters, cluster is the most probable one and
    cluster_probability the mass of q(y|x) in it. If the prior is a mixture, they are the component that is most
    responsible for the mean and its probability there; these are called component and component_probability where the
    mapping has clusters of its own or the prior is made of pseudo-inputs.

    All examples of a data file are encoded, in their order, but for rows with gaps if the run was trained
    with missing=drop; its columns are found by their names and standardised like the training data, and its classes
    get the same numbers. Images, a folder of them or one, are read as those that the run was trained on, in the sorted
    order of the files.

    What tells the examples apart is written beside them: names of image files or the ids of a table (id=COLUMN among
    its settings), and with --split or of the run's own data the part of the split and the number of the row in the
    data, from 0.

    RUN is a run directory, or the name of a run in runs/.
    """
    require_runs([run])
    import numpy as np
    import torch

    from intel_cli.output.files import save_arrays, save_rows, suffix_of
    from intel_cli.output.memberships import of_clusters, of_components
    from intel_core.components.spec import parse_spec
    from intel_core.compute.device import pick_device
    from intel_core.data.dataset import DatasetSpec, Split
    from intel_core.errors import DataError
    from intel_core.evaluation.run import load_run
    from intel_core.reading.capabilities import Unsplit
    from intel_core.reading.data_dir import data_dir_or_default
    from intel_core.reading.data_files import data_spec
    from intel_core.reading.examples import read_like

    trained = load_run(run, device=str(pick_device(device)))
    parts = SPLITS if split == ALL else (split,) if split else ()
    chosen = parts or (SPLITS if data else ("test",))
    source = (split or "test",) if data is None else ("other", *([split] if split else []))
    target = output or trained.path / f"encoding-{'-'.join(source)}.npz"
    suffix = suffix_of(target, (".npz", ".csv", ".parquet"))
    names: tuple[str, ...] = ()
    beside: dict[str, Any] = {}
    if data is None:
        dataset = trained.dataset(data_dir)
        trained.require_its_data(dataset)
        examples, beside = _of_splits(dataset, chosen), _places(dataset, chosen)
        names = _names(trained.spec.data, chosen, data_dir_or_default(data_dir))
    else:
        spec = parse_spec("datasets", data_spec(data))
        assert isinstance(spec, DatasetSpec)
        place = data_dir_or_default(data_dir)
        spec = read_like(spec, trained.spec.data, trained.info["data"], place)
        named = ""
        if split is None and isinstance(spec, Unsplit):
            examples, chosen = spec.examples(place), (str(spec),)
            names, named = examples.names, data
        else:
            dataset = spec.load(place)  # which tells of values that look like codes for missing ones
            examples, beside = _of_splits(dataset, chosen), _places(dataset, chosen)
            names = _names(spec, chosen, place)
            if dataset.scaling is not None:
                # It is standardised by its own rows; undone here, since the model needs the scale of its training data.
                mean, std = (torch.tensor(values, dtype=torch.float64) for values in dataset.scaling)
                examples = examples._replace(x=examples.x * std + mean)
        try:
            examples = trained.adapt(examples, named)
        except DataError as error:
            raise DataError(f"{data}: {error}") from error
    part = Split(examples.x, conditions=_conditions(trained, examples, dataset if data is None else None, chosen))
    encoding = trained.encode(part, seed=seed, standardised=True)
    arrays = {name: tensor.numpy() for name, tensor in encoding._asdict().items()}
    arrays |= of_clusters(encoding) | of_components(trained.model, encoding.mean)
    arrays |= beside
    if names:
        arrays["names"] = np.array(names)
    if examples.labels is not None:
        arrays["labels"] = examples.labels.cpu().numpy()
        arrays |= {"class_names": np.array(examples.class_names)} if examples.class_names else {}
    if suffix == ".npz":
        save_arrays(target, arrays)
    else:
        save_rows(target, arrays)
    click.echo(f"{len(arrays['mean']):,} examples of {' + '.join(chosen)} in {target}: {', '.join(arrays)}")
    if n := examples.left_out:
        rows, them = ("rows are", "them") if n > 1 else ("row is", "it")
        click.echo(f"{n:,} {rows} left out, since something is missing in {them}")


def _names(spec: DatasetSpec, parts: Sequence[str], data_dir: Path | None) -> tuple[str, ...]:
    """Names of the examples of some parts, where they have some."""
    from intel_core.reading.capabilities import Named

    if not isinstance(spec, Named):
        return ()
    names = spec.names_of_parts(data_dir)
    return tuple(name for part in parts for name in names.get(part, ()))


def _places(dataset: Dataset, parts: Sequence[str]) -> dict[str, Any]:
    """The part of the split of each example, and the numbers of the rows where they are known."""
    import numpy as np

    splits = [getattr(dataset, part) for part in parts]
    places = {"splits": np.repeat(parts, [len(split) for split in splits])}
    if all(split.numbers is not None for split in splits):
        places["rows"] = np.concatenate([split.numbers.numpy() for split in splits])
    return places


def _conditions(run: Run, examples: Examples, dataset: Dataset | None, parts: Sequence[str]) -> Tensor | None:
    """Conditions of the examples, of parts of the run's own data or of others; None for a run without conditions."""
    import torch

    from intel_core.errors import DataError

    known = run.units.conditions
    if known is None:
        return None
    if dataset is not None:
        found = [getattr(dataset, name).conditions for name in parts]
        return torch.cat([one for one in found if one is not None])
    if not examples.conditions:
        raise DataError(f"the run was trained with conditions, {known.said}; the data do not tell them")
    return known.read(examples.conditions, len(examples.x))


def _of_splits(dataset: Dataset, names: Sequence[str]) -> Examples:
    """Some splits of a data set, concatenated."""
    import torch

    from intel_core.reading.capabilities import Examples

    splits = [getattr(dataset, name) for name in names]
    labels = [part.labels for part in splits if part.labels is not None]
    x = torch.cat([part.x for part in splits])
    return Examples(x, torch.cat(labels) if len(labels) == len(splits) else None, dataset.class_names, dataset.columns)
