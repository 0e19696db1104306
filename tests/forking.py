"""How does a process begin without importing torch once more? It is forked from this one, which has imported it.

``python forking.py FD`` reads messages from a socket. ``{"words": …, "cwd": …, "env": …, "session": …}``, which comes
with three open files, begins a process as ``python WORDS`` would, and is answered with its number. ``{"wait": PID}``
is answered with how a process has ended, or null. What begins here has what `load` imports in its ``sys.modules``;
tests of what is imported, or of how Python begins (``-W``, PYTHONHASHSEED, closed streams), need other processes.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import runpy
import socket
import sys
import tempfile
import types
from typing import Any


def load() -> None:
    """Import what most runs need, by one."""
    import torch

    from intel_core import fit

    for module in ("intel_cli.main", "intel_cli.commands.train", "sklearn.datasets"):
        importlib.import_module(module)
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        fit(data=x, mapping="cluster:k=2", steps=4, batch_size=10, run_dir=f"{folder}/run", device="cpu")


def begin(asked: dict[str, Any], files: list[int]) -> None:
    """Become the process that was asked for."""
    from intel_core.components.discovery import refresh

    if asked["session"]:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    encoding = asked["env"].get("PYTHONIOENCODING", "utf-8")
    for name, number, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        raw = os.fdopen(number, "wb", closefd=False)
        stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors, line_buffering=number == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    tempfile.tempdir = None  # it is that of these variables
    sys.path[0:1] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    importlib.invalidate_caches()
    refresh()


def run(words: list[str]) -> None:
    """What Python does with its words."""
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(words[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = words
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")


def serve(server: socket.socket) -> None:
    """Answer until nobody asks."""
    while True:
        message, files, _, _ = socket.recv_fds(server, 2**20, 3)
        if not message:
            return
        asked = json.loads(message)
        if "wait" in asked:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            server.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        pid = os.fork()
        if pid == 0:
            server.close()
            begin(asked, files)
            run(asked["words"])
            return  # and the interpreter ends as it does
        for file in files:
            os.close(file)
        server.send(json.dumps(pid).encode())


if __name__ == "__main__":
    load()
    serve(socket.socket(fileno=int(sys.argv[1])))
