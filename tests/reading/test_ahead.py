"""A streamed run is the run in memory, whoever reads; it ends cleanly however it ends, and goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from intel_core import (
    DataError,
    Dataset,
    DatasetSpec,
    DivergenceError,
    RunError,
    Split,
    StopReason,
    fit,
    fit_replicates,
    hookimpl,
    register,
    resume,
)
from intel_core.data.batches import Order, Resident
from intel_core.errors import SpecError
from intel_core.fitting.estimate import estimate
from intel_core.fitting.setting_up import make_trainer
from intel_core.reading.ahead import Streamed, worker_count
from intel_core.reading.arrays import support_of
from intel_core.reading.streamed import StreamedSplit
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

N = 60
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
BYTES = torch.randint(0, 256, (N, 1, 2, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "steps": 20, "batch_size": 16, "log_every": 3, "evaluate_every": 5, "device": "cpu", "encoder": "mlp:hidden=[8]",
}  # fmt: skip


class Table:
    """Rows of a tensor that stands for files; what happens when they are read is a test's matter."""

    def __init__(self, x: Tensor, trap: Any = None) -> None:
        self._x, self._trap = x, trap
        self.reads: list[list[int]] = []  # of this process

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._x.shape)

    @property
    def itemsize(self) -> int:
        return self._x.element_size()

    def read(self, rows: Sequence[int]) -> Tensor:
        self.reads.append(list(rows))
        if self._trap is not None:
            self._trap(rows)
        return self._x[list(rows)]

    def fingerprint(self) -> str:
        return Split(self._x).fingerprint()


def dataset(x: Tensor, *, stream: bool, trap: Any = None) -> Dataset:
    cut = len(x) - 10
    train = StreamedSplit(Table(x[:cut], trap)) if stream else Split(x[:cut])
    return Dataset("x", train, Split(x[cut:-5]), Split(x[-5:]), support_of(x))


TRAPS: dict[str, Any] = {}


class StreamSpec(DatasetSpec):
    """Numbers of this test."""

    stream: bool = True
    images: bool = False
    trap: str = ""

    def load(self, data_dir: Path | None) -> Dataset:
        return dataset(BYTES if self.images else X, stream=self.stream, trap=TRAPS.get(self.trap))


@pytest.fixture(autouse=True)
def _registered() -> None:
    register("datasets", "numbers", StreamSpec)


@pytest.fixture(autouse=True)
def _nothing_left() -> Any:
    yield
    assert multiprocessing.active_children() == []


def train(folder: Path, data: str, *hooks: object, **settings: Any) -> Any:
    return fit(data=data, run_dir=folder, hooks=hooks, **(SETTINGS | settings))


def same(a: Any, b: Any) -> bool:
    first, second = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first) and lines(a) == lines(b)


def lines(run: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]


class Stop:
    """Interrupts a run as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step >= self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


# --- the same run --------------------------------------------------------------------------------------------------


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("images", ["false", "true"])
def test_a_streamed_run_is_the_run_in_memory(
    workers: int, images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEL_WORKERS", str(workers))
    before = torch.get_rng_state()
    streamed = train(tmp_path / "a", f"numbers:images={images}", seed=4)
    assert torch.equal(before, torch.get_rng_state())
    kept = train(tmp_path / "b", f"numbers:images={images},stream=false", seed=4)
    assert same(streamed, kept)
    assert streamed.metrics["test"] == kept.metrics["test"]
    assert streamed.info["data"]["fingerprint"] == kept.info["data"]["fingerprint"]
    assert not same(streamed, train(tmp_path / "c", f"numbers:images={images}", seed=5))


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 15), st.integers(0, 2**31), st.data())
def test_each_example_comes_once_in_an_epoch_in_the_order_that_was_settled(
    n: int, batch: int, seed: int, data: st.DataObject
) -> None:
    batch = min(batch, n)
    per_epoch = n // batch

    def of_epoch(epoch: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(seed + epoch))

    x = torch.arange(n, dtype=torch.float32)[:, None]
    steps = 3 * per_epoch
    order = Order(of_epoch, batch, per_epoch, CPU)
    streamed, resident = Streamed(Table(x), order, steps, CPU, 0), Resident(x, Order(of_epoch, batch, per_epoch, CPU))
    start = data.draw(st.integers(0, steps - 1))
    seen = [streamed.at(step) for step in range(start, steps)]
    assert all(torch.equal(found, resident.at(step)) for step, found in enumerate(seen, start))
    assert all(len(found) == batch for found in seen)
    last = torch.cat(seen[-per_epoch:]).flatten().tolist() if len(seen) >= per_epoch else []
    assert last == of_epoch(2)[: len(last)].tolist()
    assert len(set(last)) == len(last)


def test_only_what_is_needed_is_read_and_only_once() -> None:
    table = Table(X)
    batches = Streamed(table, lambda step: torch.tensor([step, step + 1]), 4, CPU, 0)
    first = batches.at(2)
    assert torch.equal(first, X[2:4])
    assert torch.equal(batches.at(2), first)
    assert torch.equal(batches.at(3), X[3:5])
    assert table.reads == [[2, 3], [3, 4]]
    assert torch.equal(batches.at(0), X[:2])  # going back begins anew there
    assert table.reads[2:] == [[0, 1]]
    batches.close()


def test_a_part_of_each_batch_is_taken_before_it_is_read() -> None:
    class Half(Trainer):
        def rows(self, step: int) -> Tensor:
            return super().rows(step)[1::2]

    data = dataset(X, stream=True)
    spec = resolve(make_run_spec(data="numbers", **SETTINGS), data)
    trainer = make_trainer(spec, data, hook_manager(), kind=Half)
    expected = trainer.order(0)[:16][1::2]
    trainer.batches._workers = 0  # type: ignore[attr-defined]
    assert torch.equal(trainer.batches.at(0), X[expected])
    assert data.train.rows.reads == [expected.tolist()]  # type: ignore[attr-defined]
    trainer.batches.close()


def test_replicates_and_restarts_stream_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEL_WORKERS", "1")
    more = {"patience": 1, "schedules": {"lr": "constant:value=0.5"}, "learning_rate": 0.3}  # they stop one by one
    groups = [
        fit_replicates(3, data=f"numbers:stream={stream}", run_dir=tmp_path / stream, **SETTINGS, **more)
        for stream in ("true", "false")
    ]
    assert groups[0].summary["stacked"]
    assert len({run.metrics["step"] for run in groups[0].runs}) > 1
    assert all(same(a, b) for a, b in zip(groups[0].runs, groups[1].runs, strict=True))
    tried = [train(tmp_path / f"r-{s}", f"numbers:stream={s}", restarts=2) for s in ("true", "false")]
    assert same(*tried)
    assert tried[0].info.get("trials") == tried[1].info.get("trials")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("stop", [4, 9])
def test_a_run_goes_on_in_the_middle_of_an_epoch(
    stop: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEL_WORKERS", str(workers))
    whole = train(tmp_path / "whole", "numbers:stream=false")
    assert train(tmp_path / "run", "numbers", Stop(stop)).status == "interrupted"
    reads: list[list[int]] = []
    monkeypatch.setitem(TRAPS, "", reads.append)
    assert same(resume(tmp_path / "run"), whole)
    if workers == 0:  # else they are read elsewhere
        spec, data = whole.spec, dataset(X, stream=False)
        order = make_trainer(spec, data, hook_manager()).rows
        assert reads == [order(step).tolist() for step in range(stop, 20)]


def test_a_streamed_run_may_go_on_in_memory_only_with_the_same_data(tmp_path: Path) -> None:
    train(tmp_path / "run", "numbers", Stop(4))
    with pytest.raises(RunError, match="other data"):
        resume(tmp_path / "run", data=X.numpy() + 1)


# --- what goes wrong -----------------------------------------------------------------------------------------------


def broken(rows: Sequence[int]) -> None:
    if 7 in rows:
        raise DataError("numbers: file 7 is damaged; remove or replace it")


def deadly(rows: Sequence[int]) -> None:
    if 7 in rows:
        os.kill(os.getpid(), signal.SIGKILL)


def mistaken(rows: Sequence[int]) -> None:
    if 7 in rows:
        raise ZeroDivisionError("a fault in the code")


@pytest.mark.parametrize(
    ("trap", "workers", "error", "message"),
    [
        (broken, 0, DataError, "numbers: file 7 is damaged; remove or replace it; once it is replaced, resume goes on"),
        (broken, 2, DataError, "numbers: file 7 is damaged; remove or replace it; once it is replaced, resume goes on"),
        (deadly, 1, DataError, "a process that reads ahead has died .*; set INTEL_WORKERS=0 to read in the training"),
        (mistaken, 1, ZeroDivisionError, "a fault in the code"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_run_stays_resumable(
    trap: Any, workers: int, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEL_WORKERS", str(workers))
    whole = train(tmp_path / "whole", "numbers:stream=false", save_every=1)
    monkeypatch.setitem(TRAPS, "", trap)
    with pytest.raises(error, match=message) as caught:
        train(tmp_path / "run", "numbers", save_every=1)
    if error is DataError:
        assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setitem(TRAPS, "", None)
    with pytest.warns(UserWarning, match="begins again") if not saved(tmp_path / "run") else nothing():
        again = resume(tmp_path / "run")
    assert same(again, whole)


@pytest.mark.parametrize("noticed", [True, False])
def test_a_death_that_cuts_a_batch_off_is_told_as_a_death(noticed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch's connection breaks first, and torch notices the death while the workers are shut down, or never."""
    batches = Streamed(Table(X), lambda step: torch.tensor([step, step + 1]), 4, CPU, 1)

    def broken_off() -> None:
        with batches:
            batches.at(0)
            [worker] = batches._processes
            if noticed:
                late = RuntimeError(f"DataLoader worker (pid {worker.pid}) is killed by signal: Killed. ")
                monkeypatch.setattr(batches._coming, "_shutdown_workers", Mock(side_effect=late))
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            raise ConnectionResetError(104, "Connection reset by peer")

    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's raises at once, in most cases
    try:
        with pytest.raises(DataError, match=r"a process that reads ahead has died \(exit status -9\)"):
            broken_off()
    finally:
        signal.signal(signal.SIGCHLD, handler)


def test_a_worker_that_dies_with_a_lock_of_the_loader_holds_nothing_up() -> None:
    batches = Streamed(Table(X), lambda step: torch.tensor([step, step + 1]), 4, CPU, 1)
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's raises at once
    try:
        batches.at(0)
        [worker] = batches._processes
        done: Any = batches._coming
        done._workers_done_event._cond.acquire()  # as the worker does where it asks whether to end
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        closing = threading.Thread(target=batches.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
    finally:
        signal.signal(signal.SIGCHLD, handler)


def saved(folder: Path) -> list[Path]:
    return list((folder / "checkpoints").glob("step-*"))


def nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_a_divergence_is_replayed_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEL_WORKERS", "1")

    class Spoil:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 7:
                next(trainer.model.parameters()).data.fill_(float("inf"))

    told = []
    for stream in ("true", "false"):
        with pytest.raises(DivergenceError) as caught:
            train(tmp_path / stream, f"numbers:stream={stream}", Spoil())
        told.append(str(caught.value).replace(str(tmp_path / stream), ""))
    assert told[0] == told[1]


@pytest.mark.parametrize("text", ["two", "-1", "257", "1.5"])
def test_a_wrong_number_of_workers_is_refused_before_anything_is_written(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEL_WORKERS", text)
    with pytest.raises(SpecError, match=f"INTEL_WORKERS='{text}' is no number of workers; expected 0 to 256"):
        train(tmp_path / "run", "numbers")
    assert not (tmp_path / "run").exists()
    assert train(tmp_path / "run", "numbers:stream=false").status == "finished"  # where nobody asks


def test_what_waits_in_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, streamed = dataset(X, stream=False), dataset(X, stream=True)
    monkeypatch.setenv("INTEL_WORKERS", "3")
    assert worker_count() == 3
    assert streamed.train.bytes_ahead(10) == 10 * 3 * 4 * 7
    spec = resolve(make_run_spec(data="numbers", **SETTINGS), kept)
    assert estimate(spec, streamed) - estimate(spec, kept) == streamed.train.bytes_ahead(16)


def test_examples_that_are_no_tensor_say_so() -> None:
    split = StreamedSplit(Table(X), torch.arange(N))
    assert (len(split), split.shape) == (N, (N, 3))
    assert torch.equal(split.read(torch.tensor([3, 1])), X[[3, 1]])
    with pytest.raises(
        DataError, match=r"these 60 examples are streamed .*read\(rows\), or load .* stream=false"
    ) as told:
        _ = split.x
    assert len(str(told.value).splitlines()) == 1
    assert isinstance(split.batches(lambda step: torch.tensor([0]), 1, CPU), Streamed)


# --- signals -------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys, time, warnings
warnings.simplefilter("error")
import torch
sys.path.insert(0, {folder!r})
from test_ahead import StreamSpec, TRAPS, SETTINGS
from intel_core import fit, hookimpl, register
register("datasets", "numbers", StreamSpec)
class Tell:
    @hookimpl
    def step_end(self, trainer):
        time.sleep(0.005)
        if trainer.step == 20:
            print(*[p.pid for p in trainer.batches._processes], flush=True)
run = fit(data="numbers", run_dir=sys.argv[1], hooks=[Tell()], **(SETTINGS | {{"steps": 10**5, "save_every": 10}}))
print(run.status, run.metrics["stop_reason"], flush=True)
"""

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def start(forked: Callable[..., Any], folder: Path) -> tuple[Any, list[int]]:
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    process = forked(
        "-c", script, str(folder), cwd=folder.parent, env=os.environ | {"INTEL_WORKERS": "2"}, start_new_session=True
    )
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2, process.communicate()[1]
    return process, workers


def gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() and "Z" not in state(pid) for pid in pids):
            return True
        time.sleep(0.03)
    return False


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.promptly("15")
@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_saves_the_run_and_leaves_none(
    number: int, forked: Callable[..., Any], tmp_path: Path
) -> None:
    process, workers = start(forked, tmp_path / "run")
    os.killpg(process.pid, number)
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert printed.strip() == f"interrupted signal {signal.Signals(number).name}"
    assert gone(workers)


@needs_fork
def test_workers_do_not_outlive_a_run_that_is_killed_nor_hold_its_lock(
    forked: Callable[..., Any], tmp_path: Path
) -> None:
    process, workers = start(forked, tmp_path / "run")
    process.kill()
    process.wait(timeout=60)
    killed = time.monotonic()
    assert gone(workers)
    assert time.monotonic() - killed < 3, "only the loader's watchdog ended them"
    process.communicate()
    assert resume(tmp_path / "run", hooks=[Stop(40)]).status == "interrupted"
