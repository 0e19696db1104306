"""Is each of several replicates the run of its seed: weights, statistics, lines, files, early stopping, divergence?"""

from __future__ import annotations

import json
import math
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import (
    DivergenceError,
    EnvironmentProblem,
    RunError,
    SpecError,
    StopReason,
    fit,
    fit_replicates,
    hookimpl,
    load_run,
    resume,
)
from intel_core.compute import memory as compute_memory
from intel_core.data.dataset import Dataset, Split
from intel_core.evaluation.statistics import mean_and_std
from intel_core.fitting import estimate as budget
from intel_core.fitting.setting_up import make_trainer
from intel_core.randomness import stream
from intel_core.reading.arrays import make_dataset
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.replicates.replicate import Replicate
from intel_core.replicates.stacked_runs import StackedRuns, _clip_each
from intel_core.replicates.summary import summarise_again
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

X = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
BASE = {
    "mapping": "identity", "latent": 2, "steps": 30, "batch_size": 16, "log_every": 7, "evaluate_every": 12,
    "encoder": "mlp:hidden=[8,6]", "device": "cpu", "start": "none",
}  # fmt: skip


@pytest.fixture
def double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def dataset_of(shape: tuple[int, ...]) -> Dataset:
    x = torch.rand(70, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.get_default_dtype())
    split = Split(x)
    return Dataset("noise", split, split, split, "unit" if len(shape) == 3 else "real")


def trainer_of(kind: type[Trainer], dataset: Dataset, seed: int, **settings: Any) -> Any:
    whole = BASE | settings | {"data": "memory:examples=1,shape=[1]", "seed": seed}
    spec = resolve(make_run_spec(**whole), dataset)
    model = build_model(spec, dataset.x_shape).to(torch.get_default_dtype())
    return make_trainer(spec, dataset, hook_manager(), model=model, kind=kind)


def largest_difference(shape: tuple[int, ...], **settings: Any) -> float:
    """Between three replicates trained as a stack and the runs of their seeds alone, over weights and buffers."""
    dataset = dataset_of(shape)
    replicates = [trainer_of(Replicate, dataset, seed, **settings) for seed in range(3)]
    group = StackedRuns(replicates, hook_manager())
    assert group.why_not() == ""
    group.train()
    worst = 0.0
    for seed, replicate in enumerate(replicates):
        alone = trainer_of(Trainer, dataset, seed, **settings)
        alone.train()
        state = replicate.model.state_dict()
        assert replicate.step == alone.step
        for name, value in alone.model.state_dict().items():
            worst = max(worst, float((value.double() - state[name].double()).abs().max()))
    return worst


MAPPINGS = ["identity", "cluster:k=3", "cluster:k=3,learnable=true", "circle", "sparse"]
MAPPINGS += ["hierarchy:levels=2", "holes:h=2"]
OBJECTIVES = ["elbo:beta=2", "iwae:particles=2"]


@pytest.mark.promptly(
    "identity-elbo:beta=2",
    "cluster:k=3,learnable=true-elbo:beta=2",
    "circle-iwae:particles=2",
    "sparse-elbo:beta=2",
    "hierarchy:levels=2-elbo:beta=2",
    "holes:h=2-elbo:beta=2",
)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_each_is_the_run_of_its_seed_under_every_mapping(mapping: str, objective: str, double: None) -> None:
    latent = 4 if mapping.startswith(("hierarchy", "holes")) else 2
    assert largest_difference((3,), mapping=mapping, objective=objective, latent=latent) < 1e-9


CASES = {
    "shared variance": ((3,), {"likelihood": "gaussian:variance=shared"}),
    "laplace": ((3,), {"likelihood": "laplace", "encoder": "linear"}),
    "clipped, lr falls": ((3,), {"clip_norm": 0.5, "schedules": {"lr": "cosine:end=0.1,steps=20"}}),
    "images, dense": ((1, 9, 9), {"likelihood": "gaussian"}),
    "images, conv": ((1, 9, 9), {"encoder": "conv:channels=[4,6]"}),
    "continuous, conv": ((1, 8, 8), {"encoder": "conv:channels=[3]", "likelihood": "continuous_bernoulli"}),
}


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("objective", [OBJECTIVES[0], pytest.param(OBJECTIVES[1], marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_each_is_the_run_of_its_seed_for_every_part(case: str, objective: str, double: None) -> None:
    """Running statistics of batch normalisation are among what is compared."""
    shape, settings = CASES[case]
    assert largest_difference(shape, objective=objective, **settings) < 1e-9


def test_in_float32_too() -> None:
    assert largest_difference((3,), mapping="cluster:k=3") < 1e-5


def lines(run: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]


def close(a: Any, b: Any) -> bool:
    """The same JSON up to rounding in its numbers."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5) if isinstance(a, float) else a == b


def test_each_leaves_the_directory_of_its_run(tmp_path: Path) -> None:
    group = fit_replicates(3, **BASE, data=X, seed=5, run_dir=tmp_path / "group")
    assert group.summary["stacked"]
    assert [run.path.name for run in group.runs] == ["seed-5", "seed-6", "seed-7"]
    for seed, run in zip((5, 6, 7), group.runs, strict=True):
        alone = fit(**BASE, data=X, seed=seed, run_dir=tmp_path / f"alone-{seed}")
        again = load_run(run.path)
        files = {str(path.relative_to(alone.path)) for path in alone.path.rglob("*")}
        assert {str(path.relative_to(run.path)) for path in run.path.rglob("*")} == files
        assert again.spec == alone.spec
        assert close(lines(again), lines(alone))
        exact = ("seconds", "weights_sha256")  # which rounding changes
        timeless = [{k: v for k, v in r.metrics.items() if k not in exact} for r in (again, alone)]
        assert close(*timeless)
        assert torch.allclose(again.sample(5), alone.sample(5), atol=1e-5)


def test_the_summary_is_mean_and_spread_over_seeds(tmp_path: Path) -> None:
    group = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "group")
    summary = json.loads((tmp_path / "group" / "replicates.json").read_text())
    assert summary == group.summary
    elbos = torch.tensor([run.metrics["test"]["elbo"] for run in group.runs])
    assert summary["test"]["elbo"]["mean"] == pytest.approx(float(elbos.mean()))
    assert summary["test"]["elbo"]["std"] == pytest.approx(float(elbos.std()), rel=1e-4)
    assert [entry["test_elbo"] for entry in summary["runs"]] == pytest.approx(elbos.tolist())
    assert mean_and_std([{"elbo": 1.0}]) == {"elbo": {"mean": 1.0, "std": None}}


def test_each_stops_early_where_it_would_alone(tmp_path: Path) -> None:
    settings = BASE | {"patience": 1, "steps": 200, "evaluate_every": 5, "learning_rate": 0.03}
    settings["schedules"] = {"kl": "constant"}
    group = fit_replicates(4, **settings, data=X, run_dir=tmp_path / "group")
    alone = [fit(**settings, data=X, seed=seed, run_dir=tmp_path / f"alone-{seed}") for seed in range(4)]
    steps = [run.metrics["step"] for run in alone]
    assert len(set(steps)) > 1
    assert [run.metrics["step"] for run in group.runs] == steps
    for ours, theirs in zip(group.runs, alone, strict=True):
        assert ours.metrics["best_step"] == theirs.metrics["best_step"]
        assert close(ours.metrics["test"], theirs.metrics["test"])


class StopAt:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def logged(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["step"] == self.step:
            trainer.stop(StopReason("signal SIGTERM", "signal"))


@pytest.mark.filterwarnings("ignore:.*goes on alone")
def test_an_interrupted_replicate_goes_on_as_a_run_of_its_own(tmp_path: Path) -> None:
    whole = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "whole")
    part = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    assert part.summary["status"] == "interrupted"
    for run, expected in zip(part.runs, whole.runs, strict=True):
        assert (run.status, run.metrics["step"]) == ("interrupted", 14)
        again = resume(run.path, data=X)
        assert close(lines(again), lines(expected))
        assert close(again.metrics["test"], expected.metrics["test"])
    completed = summarise_again(part.path)
    assert completed.summary["status"] == "finished"
    assert completed.summary["test"]["elbo"] == pytest.approx(whole.summary["test"]["elbo"], rel=1e-5)


class Signal:
    """A signal that comes while a hook of the first seed runs."""

    def __init__(self, hook: str) -> None:
        self._hook, self._sent = hook, False

    def _come(self, hook: str) -> None:
        if hook == self._hook and not self._sent:
            self._sent = True
            os.kill(os.getpid(), signal.SIGTERM)

    @hookimpl
    def run_start(self, trainer: Any) -> None:
        self._come("run_start")

    @hookimpl
    def evaluated(self, trainer: Any, record: dict[str, Any]) -> None:
        self._come("evaluated")

    @hookimpl
    def saved(self, trainer: Any) -> None:
        self._come("saved")


@pytest.mark.parametrize(("hook", "step"), [("run_start", 0), ("evaluated", 12), ("saved", 12)])
def test_a_signal_between_steps_interrupts_all(hook: str, step: int, tmp_path: Path) -> None:
    part = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "part", hooks=[Signal(hook)])
    assert part.summary["status"] == "interrupted"
    assert [(entry["status"], entry["step"]) for entry in part.summary["runs"]] == [("interrupted", step)] * 2


@pytest.mark.parametrize("stack", [True, False])
def test_a_group_that_was_killed_can_be_completed(stack: bool, tmp_path: Path) -> None:
    """With one after another, the second seed had not begun."""

    class Killed(BaseException):
        pass

    class Kill:
        @hookimpl
        def logged(self, trainer: Any, record: dict[str, Any]) -> None:
            if record["step"] == 14:
                raise Killed

    whole = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "whole")
    with pytest.raises(Killed):
        fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "group", hooks=[Kill()], stack=stack)
    left = summarise_again(tmp_path / "group")
    assert [run.status for run in left.runs] == ["unfinished"] * 2
    assert left.summary["stacked"] is stack
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was not saved yet; it begins again")
        warnings.filterwarnings("ignore", message=".*goes on alone")
        for run, expected in zip(left.runs, whole.runs, strict=True):
            assert close(resume(run.path, data=X).metrics["test"], expected.metrics["test"])
    assert summarise_again(left.path).summary["status"] == "finished"


def test_models_that_do_not_fit_at_once_are_trained_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run_spec(**BASE, data="memory:examples=1,shape=[1]")
    dataset = make_dataset("data", X)
    one = budget.estimate(resolve(spec, dataset), dataset)
    monkeypatch.setattr(compute_memory, "memory_there", lambda device: 2.5 * one)
    assert fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "two").summary["stacked"]
    summary = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "three").summary
    assert (summary["stacked"], summary["why_not"]) == (False, "all at once would not fit into memory")
    assert summary["status"] == "finished"


def test_memory_that_runs_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spent(self: StackedRuns) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(StackedRuns, "take_step", spent)
    with pytest.raises(EnvironmentProblem, match="memory ran out"):
        fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "group")


def test_replicates_share_one_copy_of_the_data(tmp_path: Path) -> None:
    seen = []

    class Look:
        @hookimpl
        def run_start(self, trainer: Any) -> None:
            seen.append(trainer.batches.x.data_ptr())

    fit_replicates(3, **BASE, data=X.numpy(), run_dir=tmp_path / "group", hooks=[Look()], stack=False)
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_where_one_is_interrupted_those_behind_it_are_left_at_their_beginning(tmp_path: Path) -> None:
    group = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "group", hooks=[StopAt(14)], stack=False)
    assert [(entry["status"], entry["step"]) for entry in group.summary["runs"]] == [
        ("interrupted", 14), ("unfinished", 0), ("unfinished", 0)
    ]  # fmt: skip
    assert group.summary["status"] == "interrupted"


def test_checkpoints_by_the_clock(tmp_path: Path) -> None:
    group = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "group", save_minutes=1e-9, keep_checkpoints=100)
    for run in group.runs:
        assert sorted(int(path.name[5:]) for path in (run.path / "checkpoints").glob("step-*")) == list(range(1, 31))


def test_each_is_clipped_as_it_would_be_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    norms = torch.tensor([0.1, 0.9, 1.1, 50.0])
    gradients = [torch.randn(4, 3, 2, generator=generator), torch.randn(4, 5, generator=generator)]
    whole = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    stacks, alone = [], [[] for _ in norms]
    for gradient in gradients:
        stack = torch.zeros_like(gradient).requires_grad_()
        stack.grad = gradient * (norms / whole).view(-1, *[1] * (gradient.dim() - 1))
        stacks.append(stack)
        for r, parts in enumerate(alone):
            parts.append(torch.zeros_like(gradient[r]).requires_grad_())
            parts[-1].grad = stack.grad[r].clone()
    _clip_each(stacks, 1.0)
    for r, parts in enumerate(alone):
        torch.nn.utils.clip_grad_norm_(parts, 1.0)
        for stack, part in zip(stacks, parts, strict=True):
            torch.testing.assert_close(stack.grad[r], part.grad)


def test_a_damaged_summary_is_told(tmp_path: Path) -> None:
    (tmp_path / "replicates.json").write_text('{"runs": [{}]}')
    with pytest.raises(RunError, match=r"replicates.json is damaged"):
        summarise_again(tmp_path)


def test_one_that_diverges_does_not_take_the_others_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Break:
        @hookimpl
        def run_start(self, trainer: Any) -> None:
            if trainer.settings.seed == 1:
                with torch.no_grad():
                    next(trainer.model.decoder.parameters()).fill_(math.inf)

    group = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "group", hooks=[Break()])
    assert [entry["status"] for entry in group.summary["runs"]] == ["finished", "diverged", "finished"]
    assert "not finite" in group.summary["runs"][1]["problem"]
    for run in (group.runs[0], group.runs[2]):
        alone = fit(**BASE, data=X, seed=run.spec.seed, run_dir=tmp_path / f"alone-{run.spec.seed}")
        assert close(run.metrics["test"], alone.metrics["test"])


@pytest.mark.filterwarnings("ignore:.*far from the scale")
@pytest.mark.parametrize(
    ("step", "evaluate_every"), [pytest.param(3, 12, marks=pytest.mark.slow), (3, 7), (9, 7)]
)  # 7: with a line
@pytest.mark.parametrize("seed", [0, 2])  # the first leads the others
def test_one_that_diverges_at_a_line_leaves_the_others_as_they_are(
    seed: int, step: int, evaluate_every: int, tmp_path: Path
) -> None:
    """By an example that the others do not meet; the search for its step turns this replicate back."""
    x = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0))
    x[met_by_one(x, seed, step, of=3)] = 1e25
    settings = {**BASE, "evaluate_every": evaluate_every, "data": x, "standardize": False, "likelihood": "gaussian"}
    group = fit_replicates(3, **settings, run_dir=tmp_path / "group")
    statuses = [entry["status"] for entry in group.summary["runs"]]
    assert statuses == ["diverged" if s == seed else "finished" for s in range(3)]
    for run in group.runs:
        if run.status == "finished":
            alone = fit(**settings, seed=run.seed, run_dir=tmp_path / f"alone-{run.seed}")
            assert close(lines(run), lines(alone))
            assert close(run.metrics["test"], alone.metrics["test"])


def met_by_one(x: torch.Tensor, seed: int, step: int, of: int) -> int:
    """The row of an example that one seed alone meets within 30 steps, namely then."""
    train = make_dataset("data", x).train.x
    generators = [torch.Generator().manual_seed(stream(s, "order/0")) for s in range(of)]
    orders = [torch.randperm(len(train), generator=generator) for generator in generators]
    batch = int(BASE["batch_size"])
    others = torch.cat([order[: 30 * batch] for s, order in enumerate(orders) if s != seed])
    met = next(row for row in orders[seed][step * batch : (step + 1) * batch] if row not in others)
    return int((x == train[met]).all(1).nonzero())


@pytest.mark.filterwarnings("ignore:.*far from the scale")
def test_when_all_diverge_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="all 2 replicates diverged"):
        fit_replicates(2, **BASE, data=X * 1e30, standardize=False, run_dir=tmp_path / "group")


@pytest.mark.parametrize("why", ["a hook watches every step", "one after another was asked for"])
def test_one_after_another_to_the_last_bit(why: str, tmp_path: Path) -> None:
    class Watch:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            pass

    more: dict[str, Any] = {"hooks": [Watch()]} if "hook" in why else {"stack": False}
    group = fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "group", **more)
    assert (group.summary["stacked"], group.summary["why_not"]) == (False, why)
    for run in group.runs:
        alone = fit(**BASE, data=X, seed=run.spec.seed, run_dir=tmp_path / f"alone-{run.spec.seed}")
        assert (run.path / "model.safetensors").read_bytes() == (alone.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_a_wrong_number_is_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected 1 to 1,000"):
        fit_replicates(count, **BASE, data=X, run_dir=tmp_path / "group")
    assert not (tmp_path / "group").exists()


def test_each_seed_chooses_its_own_start(tmp_path: Path) -> None:
    """With restarts the best start of each seed is trained in the stack, which is the run that this seed has alone."""
    settings = BASE | {"restarts": 3, "trial": 0.4}
    group = fit_replicates(2, data=X, run_dir=tmp_path / "group", **settings)
    assert group.summary["stacked"]
    for seed, run in enumerate(group.runs):
        alone = fit(data=X, seed=seed, run_dir=tmp_path / str(seed), **settings)
        assert run.info["trials"] == alone.info["trials"]
        assert len(run.info["trials"]) == 3
        assert run.metrics["test"]["elbo"] == pytest.approx(alone.metrics["test"]["elbo"], abs=1e-4)
    assert group.runs[0].info["trials"] != group.runs[1].info["trials"]
