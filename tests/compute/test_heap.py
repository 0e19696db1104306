"""What becomes of the memory that a step frees."""

import ctypes
import subprocess
import sys

import pytest

from intel_core.compute import heap

_TOUCHES = """
import contextlib, resource, sys
import torch
from intel_core.compute.heap import freed_memory_kept

def step():
    first, second = torch.ones(12 * 2**20), torch.ones(3 * 2**20)  # 48 and 12 MiB
    return first[0] + second[0]

def faults():
    for _ in range(10):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with freed_memory_kept() if sys.argv[1] == "kept" else contextlib.nullcontext():
    print(faults())
"""


def _faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _TOUCHES, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(heap._glibc() is None, reason="only glibc can keep freed memory")
def test_blocks_of_the_step_before_are_used_again() -> None:
    """Without it, each step of 60 MiB touches its pages for the first time, 15,360 of 4 KiB."""
    assert _faults("kept") < _faults("plain") / 20


def test_where_the_c_library_is_another_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A C library without glibc's functions."""

    heap._glibc.cache_clear()
    try:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: Other())
        with heap.freed_memory_kept():
            assert heap._glibc() is None
    finally:
        heap._glibc.cache_clear()


def test_it_ends_with_an_error_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    class Library:
        mallopt = staticmethod(lambda name, value: called.append((name, value)))
        malloc_trim = staticmethod(lambda pad: called.append("trimmed"))

    monkeypatch.setattr(heap, "_glibc", Library)
    with pytest.raises(ZeroDivisionError), heap.freed_memory_kept():
        called.append(1 / 0)
    assert called[:2] == [(-1, 2**31 - 1), (-4, 0)]
    assert called[-1] == "trimmed"
    assert called[2:-1] == [(-4, 65_536), (-1, 64 * 2**20)]
