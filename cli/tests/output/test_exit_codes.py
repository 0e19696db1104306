"""A script can tell by the exit code what went wrong, and reads in the help what each code means."""

import errno
import json

import pytest
import torch
from intel_cli.output.telling import EXIT_CODES

CASES = {
    "unknown option": (2, ["train", "--nonsense"]),
    "unknown mapping": (2, ["train", "--mapping", "nothing"]),
    "wrong setting": (2, ["train", "--data", "toy_points", "--lr", "-1"]),
    "no run there": (2, ["sample", "nowhere"]),
    "no such device name": (2, ["train", "--data", "toy_points", "--device", "cdua"]),
    "no data there": (3, ["train", "--data", "nothing.csv"]),
    "data that do not fit": (3, ["train", "--data", "toy_points", "--likelihood", "bernoulli"]),
    "diverged": (4, ["train", "--data", "toy_points", "--lr", "100", "--likelihood", "gaussian:scale=1e-12"]),
    "device not here": (5, ["train", "--data", "toy_points", "--device", "cuda:99"]),
    "memory not here": (5, ["train", "--data", "toy_points", "--network", "mlp:hidden=[1000000,1000000]"]),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_ends_with_the_code_of_its_kind(call, here, case):
    code, args = CASES[case]
    result = call(*args, *(["--steps", "200", "--no-pictures", "--quiet"] if args[0] == "train" else []), "--json")
    assert result.exit_code == code, result.stderr
    assert json.loads(result.stdout)["error"] in result.stderr


def test_help_lists_every_code(ok):
    said = ok("--help").stdout
    for code, meaning in EXIT_CODES.items():
        assert f"{code:<5}{meaning}" in said


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOSPC, "No space left on device", "here/file"),
        PermissionError(errno.EACCES, "Permission denied", "here/file"),
    ],
    ids=repr,
)
def test_what_the_machine_lacks_is_no_bug(call, monkeypatch, error):
    import intel_cli.commands.runs as home

    def fail(**_):
        raise error

    monkeypatch.setattr(home.runs, "callback", fail)
    result = call("runs")
    assert result.exit_code == 5
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_other_errors_of_the_system_are_bugs(call, monkeypatch):
    import intel_cli.commands.runs as home

    def fail(**_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    monkeypatch.setattr(home.runs, "callback", fail)
    assert isinstance(call("runs").exception, FileNotFoundError)
