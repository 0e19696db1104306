"""How do the processes of one machine find each other? Through a file that their user alone can open, and loopback.

Torch would open a port on every interface of the machine, to whoever connects. Here the first process makes a folder
of mode 0700 and tells the others of it by their environment; what they then say to each other goes over the loopback
interface. The folder goes with the first process.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from intel_core.errors import EnvironmentProblem

__all__ = ["Rendezvous", "loopback", "on_loopback"]

_VARIABLE = "INTEL_RENDEZVOUS"
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
_SHORT = datetime.timedelta(seconds=10)
"""How long a word through the file may take once all are connected: it may be gone."""


def loopback() -> str:
    """The name of the interface on which a machine talks to itself: ``lo`` on Linux, ``lo0`` on macOS and BSD.

    Raises:
        EnvironmentProblem: if there is none.
    """
    names = [name for _, name in socket.if_nameindex()]
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            if int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 8:  # IFF_LOOPBACK, as Linux tells it
                return name
    found = next((name for name in names if re.fullmatch(r"lo\d*|loopback\S*", name)), None)
    if found is None:
        raise EnvironmentProblem(
            f"several processes talk over the loopback interface; this machine has none, only {', '.join(names)}"
        )
    return found


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """Connections that are made within it can be reached from this machine only."""
    before = {name: os.environ.get(name) for name in _INTERFACES}
    os.environ.update(dict.fromkeys(_INTERFACES, loopback()))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Rendezvous:
    """Where the processes that one of them starts on this machine meet.

    Args:
        size: how many there are.
        timeout: how long they wait for each other.

    Attributes:
        folder: of mode 0700; it holds one file.
    """

    def __init__(self, size: int, timeout: datetime.timedelta) -> None:
        told = os.environ.pop(_VARIABLE, None)
        self._is_first, self._parent = told is None, os.getppid()
        self.folder = Path(tempfile.mkdtemp(prefix="intelvae-") if told is None else told)
        self._size, self._timeout = size, timeout

    @staticmethod
    def is_there() -> bool:
        """Whether this process can meet the others: the first one always, one that was started if it was told where."""
        return "LOCAL_RANK" not in os.environ or _VARIABLE in os.environ

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Within it, processes that are started know where to come to."""
        os.environ[_VARIABLE] = str(self.folder)
        try:
            yield
        finally:
            os.environ.pop(_VARIABLE, None)

    def strategy(self, strategies: Any, backend: str) -> Any:
        """A strategy for Lightning Fabric, whose processes meet here.

        Args:
            strategies: ``lightning_fabric.strategies``.
            backend: ``gloo`` or ``nccl``.
        """
        connect = self._connect

        class OnThisMachine(strategies.DDPStrategy):  # type: ignore[misc]  # its base is known at run time only
            def setup_environment(self) -> None:
                connect(backend, self.local_rank, self.root_device)
                super().setup_environment()  # which finds the processes connected

        return OnThisMachine(timeout=self._timeout, process_group_backend=backend)

    def _connect(self, backend: str, rank: int, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        store = dist.FileStore(str(self.folder / "store"), self._size)  # type: ignore[attr-defined]  # torch's own gap
        store.set_timeout(self._timeout)
        with on_loopback():
            dist.init_process_group(
                backend,
                store=store,
                rank=rank,
                world_size=self._size,
                timeout=self._timeout,
                device_id=device if on_gpu else None,
            )
        store.set_timeout(_SHORT)

    def remove(self) -> None:
        """Remove the folder: the first process does, or whoever it has left behind."""
        if self._is_first or os.getppid() != self._parent:
            shutil.rmtree(self.folder, ignore_errors=True)
