"""What does the command answer? Each folder has a process of its own, which may crash, hang or want all memory.

``python answering.py`` reads lines of JSON, ``{"folder": …, "commands": [[…], …]}``. For each it forks, and writes a
line for each command, ``{"code": …, "said": …, "bug": …}``, and then ``{"ended": …}``, with the number of the signal
that the process has died of, or 0. The first line is carried out without all this, for what it imports.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from intel_cli.main import intel

SECONDS = 20
"""For one command: what takes longer hangs."""
MEMORY = 2**31
"""Bytes that a command may take beyond those that the process begins with."""


def serve(scene: Any, *_: object) -> None:
    """The explorer answers a few questions, and serves nobody."""
    start = scene.start()
    y = [0.5, -100.0, *[0.0] * start["y_dim"]][: start["y_dim"]]
    for answer in (start, scene.plane([0, 1]), scene.decode(y), scene.example(0), scene.draw(1)):
        json.dumps(answer, allow_nan=False)


def answer(asked: dict[str, Any], tell: Any) -> None:
    """Carry out the commands in a folder."""
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, own + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(asked["folder"])
    for command in asked["commands"]:
        signal.alarm(SECONDS)  # which ends the process, whatever holds it up
        result = CliRunner().invoke(intel, command)
        signal.alarm(0)
        bug = repr(result.exception) if result.exc_info and result.exc_info[0] is not SystemExit else ""
        tell({"code": result.exit_code, "said": result.output, "bug": bug})


def main() -> None:
    """Answer until nobody asks."""
    importlib.import_module("intel_cli.explore.server").serve = serve  # type: ignore[attr-defined]
    warnings.simplefilter("ignore", DeprecationWarning)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what goes past Python's streams is not taken for an answer

    def tell(content: dict[str, Any]) -> None:
        out.write(json.dumps(content) + "\n")
        out.flush()

    first = json.loads(sys.stdin.readline())
    for command in first["commands"]:  # what they import is there for all
        os.chdir(first["folder"])
        assert CliRunner().invoke(intel, command).exit_code == 0, command
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                answer(json.loads(line), tell)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        tell({"ended": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0})


if __name__ == "__main__":
    main()
