"""A script can tell by the exit code what went wrong, and reads in the help what each code means."""

import errno
import json
import os

import pytest
import torch
from intel_cli.output.telling import EXIT_CODES, exit_code

from intel_core.errors import DataError, DivergenceError, EnvironmentProblem, SpecError
from intel_core.processes.peers import PeerError

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


BAD_PEER = """
from intel_core.data.dataset import DatasetSpec
from intel_core.errors import DataError

class Spec(DatasetSpec):
    "Data that are damaged where one of several processes reads them."

    def load(self, data_dir):
        import torch
        from intel_core.reading.arrays import make_dataset

        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise DataError("bad_peer: this copy is damaged")
        return make_dataset("bad_peer", torch.randn(60, 2, generator=torch.Generator().manual_seed(0)))
"""


@pytest.mark.slow
def test_data_that_are_wrong_in_one_of_several_processes_end_all_with_the_code_of_data(start, tmp_path):
    pytest.importorskip("lightning_fabric")
    place = tmp_path / "plugins"
    place.mkdir()
    (place / "bad_peer.py").write_text(BAD_PEER)
    info = place / "bad_peer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-peer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[intelvae.datasets]\nbad_peer = bad_peer:Spec\n")
    train = ("train", "--data", "bad_peer", "--devices", "2", "--device", "cpu", "--steps", "20")
    process = start(*train, PYTHONPATH=os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])]))
    out, said = process.communicate(timeout=200)
    assert process.returncode == 3, said
    assert said.count("Error") == said.count("bad_peer: this copy is damaged") == 1
    assert out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", [SpecError, DataError, DivergenceError, EnvironmentProblem, Exception])
def test_an_error_in_another_process_has_the_code_that_it_has_alone(kind):
    assert exit_code(PeerError("process 1: it went wrong", kind)) == exit_code(kind("it went wrong"))


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
