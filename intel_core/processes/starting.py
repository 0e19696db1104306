"""How do the processes of one run find each other? Lightning Fabric starts them, or ``torchrun`` has started them.

Fabric is imported only for several processes. What the processes then do together is in `intel_core.processes.peers`.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from intel_core.errors import EnvironmentProblem, SpecError
from intel_core.processes.peers import PeerError, Peers, disconnect, first_sentence
from intel_core.processes.rendezvous import Rendezvous, on_loopback
from intel_core.training.process_group import ALONE, ProcessGroup

__all__ = ["is_first", "joined", "process_count", "tells"]

_TIMEOUT = datetime.timedelta(minutes=30)
_FROM_OUTSIDE = {"RANK", "WORLD_SIZE", "LOCAL_RANK"}
"""Environment variables that torchrun sets for the processes that it starts."""
_PER_CORE = 4
"""Processes per core of a CPU that may be started; more than one is only useful for tests."""

_joined: Peers | None = None


def is_first() -> bool:
    """Whether this process is the one that writes files and prints; a process that computes alone always is.

    >>> is_first()
    True
    """
    return _joined is None or _joined.rank == 0


def tells(error: BaseException) -> bool:
    """Whether this process is the one that shows the user an error, which several may have at the same moment."""
    if _joined is not None:
        return _joined.rank == 0
    is_another = any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK"))
    return not (is_another and isinstance(error, PeerError))


def process_count(devices: int, nodes: int) -> tuple[int, int]:
    """The number of processes on each machine, and the number of machines: as asked for, or as torchrun has started.

    Raises:
        SpecError: if torchrun has started another number of processes than were asked for.

    >>> process_count(2, 1)
    (2, 1)
    """
    if _joined is not None:
        size, here = _joined.size, _joined.size_here
        who = "this script runs in"
    elif os.environ.keys() >= _FROM_OUTSIDE:
        size = int(os.environ["WORLD_SIZE"])
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        who = "torchrun has started"
    else:
        return devices, nodes
    if devices * nodes not in (1, size):
        raise SpecError(f"{who} {size} processes, but devices={devices}, nodes={nodes} ask for {devices * nodes}")
    return here, max(1, size // here)


@contextlib.contextmanager
def joined(devices: int, nodes: int, device: str, batch_size: int = 0) -> Iterator[ProcessGroup]:
    """The processes of this run while a block lasts; `ALONE` if this one computes alone.

    If several are asked for and none have been started, this script is started again as often as needed. An error in
    any process ends the block in all: in the first process as that error, or as a `PeerError` with its message.

    Args:
        devices: processes on each machine.
        nodes: machines.
        device: as in `RunSpec`; each process has one of its kind.
        batch_size: examples per step, where they are known.

    Raises:
        SpecError: if the batch does not divide among so many processes.
        EnvironmentProblem: if so many processes cannot be started here.
        PeerError: if another process fails.
    """
    global _joined
    here, machines = process_count(devices, nodes)
    if here * machines == 1:
        yield ALONE
        return
    if _joined is None:
        Peers(0, here * machines, torch.device("cpu")).rows(batch_size)  # before anything is started
        _joined = _join(here, machines, device)
    peers = _joined
    with warnings.catch_warnings():
        if peers.rank > 0:
            warnings.simplefilter("ignore")
        try:
            yield peers
        except BaseException as error:
            if not peers.is_agreed(error):
                peers.leave(error)  # this one may continue alone; `_joined` stays, so that the others remain silent
            raise


def _join(here: int, machines: int, device: str) -> Peers:
    kind = _kind_of(device, here)
    outside = os.environ.keys() >= _FROM_OUTSIDE
    if not outside:
        _require_a_script(here)
        if machines > 1 and not os.environ.keys() >= {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}:
            raise SpecError(
                f"nodes={machines}: start the command on each machine with torchrun --nnodes {machines} "
                f"--nproc-per-node {here} …, or set MASTER_ADDR, MASTER_PORT and NODE_RANK there"
            )
    try:
        fabric_module = importlib.import_module("lightning_fabric")
        strategies = importlib.import_module("lightning_fabric.strategies")
        environments = importlib.import_module("lightning_fabric.plugins.environments")
    except ImportError:
        raise EnvironmentProblem(
            f"{here * machines} processes need Lightning Fabric: pip install 'intelvae-core[distributed]'"
        ) from None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it logs every process that joins
    backend, place = "nccl" if kind == "cuda" else "gloo", contextlib.ExitStack()
    if not outside and machines == 1 and Rendezvous.is_there():
        meeting = Rendezvous(here, _TIMEOUT)
        atexit.register(meeting.remove)
        place.enter_context(meeting.told())
        strategy = meeting.strategy(strategies, backend)
    else:
        if outside and os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
            place.enter_context(on_loopback())
        strategy = strategies.DDPStrategy(timeout=_TIMEOUT, process_group_backend=backend)
    fabric = fabric_module.Fabric(
        accelerator=kind,
        devices=here,
        num_nodes=machines,
        strategy=strategy,
        plugins=[environments.TorchElasticEnvironment()] if outside else None,
    )
    # Broken connections are reported here in one line, without torch's stack; this is for the processes started next.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        with place:
            fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise PeerError(f"{here * machines} processes could not be joined: {first_sentence(error)}") from error
    atexit.register(disconnect)  # or threads that still communicate may abort the interpreter as it ends
    children = getattr(strategy.launcher, "procs", ())
    return Peers(fabric.global_rank, fabric.world_size, fabric.device, size_here=here, children=children)


def _kind_of(device: str, here: int) -> str:
    kind = device
    if device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind not in ("cpu", "cuda"):
        raise SpecError(f"device {device!r} is one device; for {here} processes say cpu, cuda or auto")
    there = torch.cuda.device_count() if kind == "cuda" else here
    if there < here:
        raise EnvironmentProblem(
            f"devices={here}, but there are {there} CUDA devices here; device=cpu takes processes of the CPU"
        )
    cores = os.cpu_count() or 1
    if kind == "cpu" and here > _PER_CORE * cores:
        raise SpecError(
            f"devices={here} processes on {cores} CPU cores would only wait for each other; at most {_PER_CORE * cores}"
        )
    return kind


def _require_a_script(here: int) -> None:
    """Processes are started by running this script again, so there must be one."""
    main = sys.modules.get("__main__")
    if getattr(main, "__spec__", None) is None and not Path(sys.argv[0]).is_file():
        raise SpecError(
            f"devices={here} starts this script again for each process, and there is no script here, as in a notebook: "
            f"put fit() into a file, or use: intel train --devices {here}"
        )
