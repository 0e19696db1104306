"""With several processes on one machine nobody else can join in: a private folder, loopback, no pickles."""

from __future__ import annotations

import datetime
import os
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core.errors import EnvironmentProblem
from intel_core.processes import rendezvous
from intel_core.processes.rendezvous import Rendezvous, loopback, on_loopback

needs_gloo = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")

ROOM = Path(__file__).parents[2] / "intel_core"


def listening(pid: int) -> set[str]:
    """Addresses, in hexadecimal, at which a process listens, as Linux tells them."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(link))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].partition(":")[0])
    return found


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


@pytest.mark.slow
@needs_gloo
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs /proc")
def test_two_devices_listen_on_loopback_only_and_leave_nothing(tmp_path: Path, forked: Callable[..., Any]) -> None:
    pytest.importorskip("lightning_fabric")
    words = "train --data digits --device cpu --latent 2 --steps 1000000 --evaluate-every 50 --devices 2 --run-dir run"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GLOO_SOCKET_IFNAME": "eth0"}
    process = forked("-m", "intel_cli", *words.split(), cwd=tmp_path, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("run/checkpoints/step-*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        addresses = [listening(int(pid)) for pid in (process.pid, *children)]
        (folder,) = tmp_path.glob("intelvae-*")
        mode = folder.stat().st_mode & 0o777
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert any(addresses), "nothing was connected"
    assert set.union(*addresses) <= LOOPBACK
    assert mode == 0o700
    assert not list(tmp_path.glob("intelvae-*"))


def test_no_process_sends_or_reads_pickles() -> None:
    for path in ROOM.rglob("*.py"):
        found = re.search(
            r"(?:gather|broadcast|scatter|send|recv)_object|\bpickle\b|(?<!safetensors\.)\btorch\.load\(",
            path.read_text(),
        )
        assert found is None, f"{path.name} says {found[0]}"


def test_loopback_is_found_by_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loopback() in [name for _, name in socket.if_nameindex()]
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "en0"), (2, "lo0")])
    assert loopback() == "lo0"
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "en0")])
    with pytest.raises(EnvironmentProblem, match="this machine has none, only en0"):
        loopback()


def test_the_environment_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    with on_loopback():
        assert os.environ["GLOO_SOCKET_IFNAME"] == os.environ["NCCL_SOCKET_IFNAME"] == loopback()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"
    assert "NCCL_SOCKET_IFNAME" not in os.environ


def test_the_folder_goes_with_the_first_process_or_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    first = Rendezvous(2, datetime.timedelta(seconds=1))
    with first.told():
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert Rendezvous.is_there()
        second = Rendezvous(2, datetime.timedelta(seconds=1))
    assert not Rendezvous.is_there()  # one that somebody else has started finds the others as torch does
    assert second.folder == first.folder
    second.remove()
    assert first.folder.is_dir()
    another = os.getppid() + 1  # not 1: that of a container may be the parent
    monkeypatch.setattr(rendezvous.os, "getppid", lambda: another)
    second.remove()
    assert not first.folder.exists()
