"""How is a run handed on, and how is one taken over? Packed with a card, and unpacked, tried and put in place."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from intel_core.errors import DataError, IntelError, RunError
from intel_core.evaluation.bias.verdict import Verdict
from intel_core.evaluation.run import Run, load_run
from intel_core.runs.folder import named_run, require_free
from intel_hub.card import card
from intel_hub.packing import pack, read_packed, unpack, write
from intel_hub.places import place_of

__all__ = ["pull", "push"]

_UNUSUAL = re.compile(r"[^\w.+=,-]+", re.ASCII)


def push(
    run: Run | str | Path,
    destination: str | Path,
    *,
    dataset: Any = None,
    data_dir: str | Path | None = None,
    force: bool = False,
    private: bool = False,
) -> str:
    """Hand a run on: ``model.safetensors`` with all that is known of it, and ``README.md``, its card.

    Args:
        run: a finished run, or its directory.
        destination: a folder, or ``hf://user/name`` on the Hugging Face Hub.
        dataset: its data, if they are in memory, for the verdict in the card; loaded otherwise, if they are here.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        force: whether a run that is there is replaced.
        private: whether a new repository of the Hub is private.

    Returns:
        Where it is, as `pull` takes it.

    Raises:
        RunError: if the run has not ended, or something is there already.
        SpecError: if there is no such kind of place.
        EnvironmentProblem: if it cannot be written, the network fails, or a package is missing.
    """
    place = place_of(str(destination))
    run = run if isinstance(run, Run) else load_run(named_run(Path(run)))
    content = pack(run)
    verdict = _verdict(run, dataset, data_dir)
    return place.write(
        content, card(run, read_packed(content)["run"], verdict, str(destination)), force=force, private=private
    )


def _verdict(run: Run, dataset: Any, data_dir: str | Path | None) -> Verdict | None:
    """Whether the bias of a run took; None if its data are not here."""
    try:
        data = run.dataset(Path(data_dir) if data_dir else None) if dataset is None else dataset
        return run.took(dataset=data)
    except (DataError, RunError):
        if dataset is not None:
            raise
        return None


def pull(source: str | Path, run_dir: str | Path | None = None) -> Run:
    """Take over a run that was handed on, as a run directory.

    The file may come from a stranger: nothing in it is run, every part is held to what a run directory holds, and the
    model is built and its weights are loaded before the directory gets its name.

    Args:
        source: a folder, a file, a URL of http or https, or ``hf://user/name``.
        run_dir: a new directory; by default ``runs/<name>``.

    Raises:
        RunError: if it is no run, or is damaged, or the directory is taken; nothing is left then.
        PluginError: naming a distribution that the run needs.
        EnvironmentProblem: if the network fails or a package is missing.
    """
    if run_dir is not None:
        try:
            require_free(Path(run_dir))
        except (OSError, ValueError) as error:
            raise RunError(f"{run_dir} cannot be made: {getattr(error, 'strerror', None) or error}") from error
    name, found = unpack(place_of(str(source)).read(), str(source))
    target = Path(run_dir) if run_dir is not None else _free(name)
    fresh = target.with_name(f".{target.name[:60]}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except (OSError, ValueError) as error:
        raise RunError(f"{target} cannot be made: {getattr(error, 'strerror', None) or error}") from error
    try:
        write(fresh, found)
        _try(fresh, str(source))
        if target.is_dir():
            target.rmdir()  # empty, as was looked at first
        fresh.rename(target)
    except OSError as error:
        raise RunError(f"{target} cannot be made: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return load_run(target)


def _try(folder: Path, source: str) -> None:
    """Build the model of a run directory, if nothing of it has to be given as an object.

    Raises:
        IntelError: naming the source and not the folder, which is gone then.
    """
    run = load_run(folder)
    if any(one["name"] == "given" for one in run.info["components"]):
        return
    try:
        _ = run.model
    except IntelError as error:
        raise type(error)(str(error).replace(str(folder), source)) from error


def _free(name: str) -> Path:
    """The first of runs/NAME, runs/NAME-2, … that is free; the name may be a stranger's."""
    plain = _UNUSUAL.sub("-", name).strip(".-")[:100] or "pulled"
    for number in range(1, 10_000):
        path = Path("runs") / (plain if number == 1 else f"{plain}-{number}")
        if not path.exists():
            return path
    raise RunError(f"runs/{plain} and 9,998 numbered ones are taken; choose --run-dir")
