"""How are files read before a step needs them? By worker processes, a few batches ahead."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from intel_core.data.batches import RowsOf
from intel_core.data.values import to_float
from intel_core.errors import DataError, IntelError, SpecError

__all__ = [
    "BATCHES_AHEAD",
    "WORKERS",
    "Rows",
    "Streamed",
    "worker_count",
]

WORKERS = "INTEL_WORKERS"
"""Environment variable: how many processes read ahead; with 0 the training process reads by itself."""

_MOST_BY_DEFAULT = 8
_MOST = 256
BATCHES_AHEAD = 2
"""Batches per worker that have been read or are being read."""


class Rows(Protocol):
    """Examples that lie on disk and are read by row number, in several processes at once.

    It is pickled on systems on which processes are not forked, so it should hold paths and not open files.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of examples, then the shape of one."""
        ...

    @property
    def itemsize(self) -> int:
        """Bytes of one value: 1 for uint8, 4 for float32."""
        ...

    def read(self, rows: Sequence[int]) -> Tensor:
        """The examples at some rows as they are stored, uint8 or float32, ``(len(rows), *x_shape)``.

        Raises:
            DataError: naming the file that cannot be read, or does not fit the others.
        """
        ...

    def fingerprint(self) -> str:
        """As `Split.fingerprint`: the same on every machine, and computed without reading all examples."""
        ...


class Streamed:
    """Examples on disk, read ahead by workers; only a few batches are in memory, however many examples there are.

    Workers start with the first batch that is asked for. If a step is asked for that does not follow the last one (a
    run that is resumed, a replay), they start again: reading begins at that step, and nothing before it is read.

    Args:
        source: the examples.
        rows: row numbers of each step, on the CPU.
        steps: how many steps there are.
        device: where the examples are wanted.
        workers: processes that read ahead; with 0 each batch is read when it is asked for.

    Attributes:
        waited: seconds that `at` has spent waiting for data, in all.
    """

    rows_device = torch.device("cpu")

    def __init__(self, source: Rows, rows: RowsOf, steps: int, device: torch.device, workers: int) -> None:
        self._source, self._rows, self._steps = source, rows, steps
        self._device, self._workers = device, workers
        self.waited = 0.0
        self._coming: Iterator[Any] | None = None
        self._next = -1
        self._last: tuple[int, Tensor] | None = None
        self._processes: list[Any] = []

    def at(self, step: int) -> Tensor:
        """As `Batches.at`."""
        if self._last is not None and self._last[0] == step:
            return to_float(self._last[1].clone())
        started = time.perf_counter()
        if self._coming is None or step != self._next:
            self._begin(step)
        assert self._coming is not None
        found = next(self._coming)
        if isinstance(found, IntelError):
            self.close()
            raise type(found)(f"{found}; once it is replaced, resume goes on from what was saved")
        self._next = step + 1
        x: Tensor = found.to(self._device, non_blocking=True)
        self._last = (step, x)
        self.waited += time.perf_counter() - started
        return to_float(x)

    def for_rows(self, rows: RowsOf) -> Streamed:
        """As `Batches.for_rows`."""
        return Streamed(self._source, rows, self._steps, self._device, self._workers)

    def _begin(self, step: int) -> None:
        self.close()
        before = set(multiprocessing.active_children())
        ahead: dict[str, Any] = {}
        if self._workers:
            ahead = {
                "prefetch_factor": BATCHES_AHEAD,
                "multiprocessing_context": _context(),
                "worker_init_fn": _be_a_worker,
            }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # the user chose their number
            try:
                self._coming = iter(
                    DataLoader(
                        _Reader(self._source),
                        batch_size=None,  # an item is a whole batch
                        sampler=_Steps(self._rows, step, self._steps),
                        num_workers=self._workers,
                        generator=torch.Generator(),  # or the loader would draw from the global one
                        pin_memory=self._device.type == "cuda",
                        **ahead,
                    )
                )
            except OSError as error:
                raise DataError(f"{self._workers} workers cannot be started: {error}; {_ADVICE}") from error
            finally:
                self._processes = [child for child in multiprocessing.active_children() if child not in before]
        self._next = step

    def close(self) -> None:
        """As `Batches.close`: no process is left behind."""
        self._end()

    def _end(self) -> list[int]:
        """Stops the workers; the exit statuses of those that had died by themselves."""
        # Not left to the iterator's finaliser, since an exception's traceback may keep it alive for a while.
        coming: Any = self._coming
        shut_down = getattr(coming, "_shutdown_workers", None)
        self._coming = self._last = None
        if shut_down is not None and any(process.exitcode for process in self._processes):
            # A worker that was killed may have had the lock of what tells all to end, and torch would wait for it.
            coming._workers_done_event = multiprocessing.get_context(_context()).Event()
        if shut_down is not None:
            try:
                shut_down()
            except RuntimeError as error:  # a worker's death may be noticed only now, in the middle of this
                if not _tells_a_death(error):
                    raise
        died = [process.exitcode for process in self._processes if process.exitcode]
        for process in self._processes:
            if process.is_alive():  # it was busy for longer than the loader waits
                process.kill()
            process.join()
        self._processes = []
        return died

    def __enter__(self) -> Streamed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        died = self._end()
        if _tells_a_death(error):  # raised wherever the training process happens to be
            raise _death(str(error).strip().partition("\n")[0]) from None
        if died and isinstance(error, (OSError, EOFError)):  # a batch was on its way from it
            raise _death(f"exit status {died[0]}") from None


class _Steps(Sampler[Any]):
    """Row numbers of all steps from a given one on, computed as the loader asks for them."""

    def __init__(self, rows: RowsOf, start: int, end: int) -> None:
        self._rows, self._start, self._end = rows, start, end

    def __iter__(self) -> Iterator[Any]:
        for step in range(self._start, max(self._end, self._start + 1)):
            yield self._rows(step).numpy()  # an array is sent to a worker as it is, a tensor through shared memory


class _Reader(Dataset[Any]):
    """Reads whole batches; errors that a user can correct are returned, since the loader would add its traceback."""

    def __init__(self, source: Rows) -> None:
        self._source = source

    def __getitem__(self, rows: Any) -> Tensor | IntelError:
        try:
            x = self._source.read(rows.reshape(-1).tolist())
        except IntelError as error:
            return error
        return x.reshape(*rows.shape, *x.shape[1:])


# --- workers -----------------------------------------------------------------------------------------------------


def worker_count() -> int:
    """How many processes read ahead: ``INTEL_WORKERS``, else one less than there are cores, from 1 to 8.

    On systems that cannot fork processes the default is 0, because each worker would run the user's script again unless
    the script is written for that.

    Raises:
        SpecError: if the variable is not a number, or too large.

    >>> worker_count() >= 0
    True
    """
    asked = os.environ.get(WORKERS, "").strip()
    if asked:
        if not asked.isdecimal() or int(asked) > _MOST:
            raise SpecError(f"{WORKERS}={asked!r} is no number of workers; expected 0 to {_MOST}")
        return int(asked)
    if _context() is None:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_BY_DEFAULT, max(1, cores - 1))


_ADVICE = f"set {WORKERS}=0 to read in the training process; what was saved stays, and resume goes on from it"


def _context() -> str | None:
    """Workers are forked on Linux, so that they do not run the user's script; elsewhere by the system's default."""
    return "fork" if sys.platform == "linux" else None


def _be_a_worker(index: int) -> None:
    """Ignore signals, since the trainer decides when a run ends, and end with it, so that its lock is released."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(Exception):  # Linux only; elsewhere the loader's own watchdog ends it within seconds
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _tells_a_death(error: BaseException | None) -> bool:
    """Is this what torch raises, in whatever line the training is, once a worker has died?"""
    return isinstance(error, RuntimeError) and str(error).lstrip().startswith("DataLoader worker")


def _death(reason: str) -> DataError:
    return DataError(f"a process that reads ahead has died ({reason.rstrip('. ')}); {_ADVICE}")
