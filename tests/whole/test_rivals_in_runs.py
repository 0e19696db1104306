"""Does a run with each installed prior and posterior resume, restart, replicate and share its steps? One table."""

from __future__ import annotations

import os
import runpy
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from intel_core import fit, fit_replicates, load_run, resume
from intel_core.components import discovery as plugins
from intel_core.training.process_group import ALONE

SCRIPT = Path(__file__).with_name("sharing_rivals.py")
MADE = runpy.run_path(str(SCRIPT))
ROWS: dict[str, dict[str, Any]] = MADE["ROWS"]
X = torch.randn(160, 3, generator=torch.Generator().manual_seed(0))
SMALL = {"data": X, "steps": 24, "batch_size": 20, "evaluate_every": 8, "latent": 3, "device": "cpu"}
SMALL |= {"encoder": "mlp:hidden=[8]"}
each = pytest.mark.parametrize("name", ROWS)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path / "model.safetensors")


def assert_equal(one: Path, two: Path) -> None:
    ours, theirs = weights(one), weights(two)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_table_has_every_prior_and_posterior_that_is_installed() -> None:
    installed = {
        f"{kind} {component.name}"
        for kind in ("prior", "posterior")
        for component in plugins.available(f"{kind}s")
        if component.status == "OK" and component.name not in ("standard", "gaussian")
    }
    assert installed <= set(ROWS)


@pytest.mark.promptly("both", "prior vamp", "prior spike_slab", "posterior sylvester", "posterior spike_slab")
@each
def test_interrupted_and_resumed_it_is_the_run_that_was_not(name: str, tmp_path: Path, stop_at: Any) -> None:
    whole = fit(run_dir=tmp_path / "whole", **SMALL, **ROWS[name])
    part = fit(run_dir=tmp_path / "part", hooks=[stop_at(10)], **SMALL, **ROWS[name])
    assert part.status == "interrupted"
    again = resume(part.path, data=X)
    assert_equal(again.path, whole.path)
    assert again.metrics["test"] == whole.metrics["test"]
    assert torch.equal(load_run(again.path).sample(5), whole.sample(5))


@pytest.mark.promptly("prior mog", "prior vamp", "posterior sylvester", "both")
@each
def test_restarted_it_is_the_run_of_the_start_that_was_chosen(name: str, tmp_path: Path) -> None:
    run = fit(run_dir=tmp_path / "best", restarts=2, seed=5, **SMALL, **ROWS[name])
    trials = run.info["trials"]
    assert len(trials) == 2
    assert trials[0]["loss"] != trials[1]["loss"]
    assert run.spec.seed == min(trials, key=lambda trial: trial["loss"])["seed"]
    fit(run_dir=tmp_path / "alone", seed=run.spec.seed, **SMALL, **ROWS[name])
    assert_equal(run.path, tmp_path / "alone")


@pytest.mark.promptly("prior flow", "prior vamp", "both")
@each
def test_replicates_are_the_runs_of_their_seeds(name: str, tmp_path: Path) -> None:
    group = fit_replicates(2, run_dir=tmp_path / "group", **SMALL, **ROWS[name])
    assert group.summary["stacked"], group.summary.get("why_not")
    alone = fit(run_dir=tmp_path / "alone", seed=1, **SMALL, **ROWS[name])
    torch.testing.assert_close(weights(group.runs[1].path), weights(alone.path), rtol=1e-3, atol=2e-4)


# --- two processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, forked: Callable[..., Any]) -> Iterator[Path]:
    """A folder with every run by one process, in ``one``, and by two, in ``two``."""
    pytest.importorskip("lightning_fabric")
    if not torch.distributed.is_gloo_available():
        pytest.skip("needs gloo")
    before, folder = dict(plugins.registered), tmp_path_factory.mktemp("shared")
    for name in ("one", "two"):
        (folder / name).mkdir()
    MADE["make"](folder / "one", ALONE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = []
    for rank in ("0", "1"):  # what torchrun sets
        env = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "2"}
        env |= {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        both.append(forked(str(SCRIPT), str(folder), cwd=folder, env=os.environ | env))
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    yield folder
    plugins.registered.clear()
    plugins.registered.update(before)


@pytest.mark.slow
@each
def test_two_processes_take_the_steps_of_one(name: str, runs: Path) -> None:
    one, two = (torch.load(runs / where / f"{name}.pt", weights_only=True) for where in ("one", "two"))
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-10)


@pytest.mark.slow
@each
def test_two_processes_leave_the_run_of_one(name: str, runs: Path) -> None:
    one, two = runs / "one" / name, runs / "two" / name
    assert load_run(two).info["processes"] == 2
    torch.testing.assert_close(weights(two), weights(one), rtol=2e-3, atol=5e-4)
    elbos = [load_run(path).metrics["test"]["elbo"] for path in (one, two)]
    assert elbos[1] == pytest.approx(elbos[0], rel=2e-3, abs=2e-3)
