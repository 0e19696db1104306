"""Who does the jobs of a study? Executors as of `concurrent.futures`: processes of this machine, or a Dask cluster.

A crew says how many jobs it takes at once, and what is to be done where one of its processes is gone. Nothing here
imports torch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

from intel_core.errors import EnvironmentProblem, SpecError

if TYPE_CHECKING:
    from intel_study.jobs import Job
    from intel_study.watching import Until
    from intel_study.working import Report

__all__ = ["Cluster", "Crew", "Here", "LocalProcesses", "do", "is_gone"]

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def do(job: Job, until: Until) -> Report:
    """Do a job, in whichever process this is called; what takes torch is imported there."""
    from intel_study.working import work

    return work(job, until)


class Crew(Protocol):
    """Whoever does jobs."""

    def free(self) -> int:
        """How many more jobs it takes now."""
        ...

    def slots(self) -> int:
        """How many jobs it does at once."""
        ...

    def submit(self, job: Job, until: Until) -> Future[Report]:
        """Begin a job."""
        ...

    def close(self, *, at_once: bool) -> None:
        """End its processes; without waiting for what they do, if `at_once`."""
        ...


def is_gone(error: BaseException) -> bool:
    """Whether an error says that the process of a job is gone, so that the job can be tried again.

    >>> is_gone(BrokenProcessPool()), is_gone(ValueError())
    (True, False)
    """
    return isinstance(error, BrokenExecutor)


class Here:
    """This very process, one job after another: for tests, and where no others can be started."""

    def slots(self) -> int:
        """One."""
        return 1

    def free(self) -> int:
        """One, since a job is over when it has been submitted."""
        return 1

    def submit(self, job: Job, until: Until) -> Future[Report]:
        """Do the job."""
        future: Future[Report] = Future()
        try:
            future.set_result(do(job, until))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, at_once: bool) -> None:
        """Nothing is to be closed."""


class LocalProcesses:
    """Processes of this machine, each of which does one job after another on one thread.

    Each has an executor of its own, so that one that is killed takes no job of the others with it.

    Args:
        count: how many.

    Raises:
        SpecError: if there are none or too many.
    """

    def __init__(self, count: int) -> None:
        if not 1 <= count <= 1024:
            raise SpecError(f"{count} jobs at once, expected 1 to 1,024")
        self._pools: list[ProcessPoolExecutor | None] = [None] * count
        self._busy: dict[int, Future[Report]] = {}

    def slots(self) -> int:
        """How many processes there are."""
        return len(self._pools)

    def free(self) -> int:
        """How many of them do nothing."""
        return len(self._pools) - sum(not future.done() for future in self._busy.values())

    def submit(self, job: Job, until: Until) -> Future[Report]:
        """Begin a job in a process that does nothing; one that is gone is replaced."""
        place = next(i for i in range(len(self._pools)) if i not in self._busy or self._busy[i].done())
        former = self._busy.pop(place, None)
        pool = self._pools[place]
        if pool is None or (former is not None and isinstance(former.exception(), BrokenProcessPool)):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
            pool = self._pools[place] = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
        self._busy[place] = pool.submit(do, job, until)
        return self._busy[place]

    def close(self, *, at_once: bool) -> None:
        """End all processes."""
        for pool in self._pools:
            if pool is None:
                continue
            processes = list((pool._processes or {}).values()) if at_once else []
            pool.shutdown(wait=not at_once, cancel_futures=True)
            for process in processes:
                with contextlib.suppress(Exception):
                    process.kill()


def _begin() -> None:
    """Prepare a process: one thread, no Ctrl-C of its own, and an end as soon as its parent is gone."""
    import signal
    import threading
    from multiprocessing import connection, parent_process

    for name in _ONE_THREAD:
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between jobs; a training that is asked to end saves itself
    parent = parent_process()
    if parent is None:
        return

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)  # as if it had been killed: whoever comes next goes on from the last checkpoint

    threading.Thread(target=end_with_parent, daemon=True).start()


class Cluster:
    """A Dask cluster, through the executor of its client. Its processes need the same files under the same paths.

    Args:
        address: of its scheduler, e.g. ``tcp://10.0.0.1:8786``.
        patience: seconds for which an answer is waited for.

    Raises:
        EnvironmentProblem: if `distributed` is not installed, or nobody answers.
    """

    def __init__(self, address: str, patience: float = 10.0) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError:
            raise EnvironmentProblem("--scheduler needs distributed: pip install 'intelvae-study[dask]'") from None
        try:
            self._client = distributed.Client(address, timeout=patience)
        except (OSError, ValueError, TimeoutError) as error:
            said = " ".join(str(error).split())[:200]
            raise EnvironmentProblem(f"no Dask scheduler answers at {address!r}: {said}") from error
        self._address = address
        self._executor: Executor = self._client.get_executor(pure=False)
        self._busy: list[Future[Any]] = []

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        """What needs the scheduler.

        Raises:
            EnvironmentProblem: if it is gone.
        """
        try:
            yield
        except (OSError, RuntimeError, TimeoutError) as error:
            raise EnvironmentProblem(
                f"the Dask scheduler at {self._address!r} is gone; everything that was done is kept, and the same "
                "command goes on with another, or without --scheduler"
            ) from error

    def slots(self) -> int:
        """How many threads its workers have now."""
        with self._there():
            return sum(self._client.nthreads().values())

    def free(self) -> int:
        """How many jobs it takes now."""
        self._busy = [future for future in self._busy if not future.done()]
        return self.slots() - len(self._busy)

    def submit(self, job: Job, until: Until) -> Future[Report]:
        """Hand a job to the cluster, which gives it to another worker if its worker is gone."""
        with self._there():
            future: Future[Report] = self._executor.submit(do, job, until)
        self._busy.append(future)
        return future

    def close(self, *, at_once: bool) -> None:
        """Leave the cluster."""
        with contextlib.suppress(Exception):
            self._executor.shutdown(wait=not at_once)
        self._client.close()
