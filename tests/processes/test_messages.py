"""Nothing that a process receives can run code: a few kinds of values are exchanged, and everything else is refused."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from typing import Any

import pytest
import torch

from intel_core import RunError, StopReason
from intel_core.processes.messages import MOST_BYTES, decode, encode


def through(value: Any) -> Any:
    content, tensors = encode(value)
    rest = iter(tensors)

    def receive(dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
        tensor = next(rest)
        assert (tensor.dtype, list(tensor.shape)) == (dtype, shape)
        return tensor

    return decode(content, receive)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -(2**70), 0.1, 1e-320, math.inf, -math.inf, "", 'ünïcode "quoted"\n', "\udce9"),
        StopReason("signal SIGTERM", "signal"),
        (1, (2.5, None), [True, ("a",)]),
        {"dict": {"tuple": [1], "stop": ["a", "signal"]}, "": ()},
        [{"tensor": ["float32", [1]]}],
    ],
)
def test_a_value_arrives_as_it_was_with_its_type(value: Any) -> None:
    found = through(value)
    assert found == value
    assert type(found) is type(value)
    assert math.isnan(through(math.nan))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.uint8, torch.bool, torch.int64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_tensors_are_told_by_type_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape, dtype=dtype)
    ((found, step),) = [through((tensor, 3))]
    assert step == 3
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        print,
        b"bytes",
        {1: 2},
        {"a": {1, 2}},
        torch.ones(2).to_sparse(),
        torch.zeros(2, dtype=torch.complex64),
    ],
)
def test_other_values_are_refused_by_their_type(value: Any) -> None:
    with pytest.raises(TypeError, match=r"processes exchange None, numbers, .*, not \w+"):
        encode(value)


def test_what_derives_from_a_kind_arrives_as_that_kind() -> None:
    assert type(through(OrderedDict(a=1))) is dict


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": 1}),
        b"",
        b"{",
        b"[" * 100_000,
        b"{}",
        b'{"tuple": 3}',
        b'{"stop": ["a", "other"]}',
        b'{"dict": {}, "tuple": []}',
        b'{"eval": "1"}',
        b'{"tensor": ["float32", [-1]]}',
        b'{"tensor": ["float32", [1099511627777]]}',
        b'{"tensor": ["float32", [2.0]]}',
        b'{"tensor": ["object", [1]]}',
        b'{"tensor": ["float32", [1]]}',  # where none is expected
    ],
)
def test_what_is_no_message_is_an_error(content: bytes) -> None:
    with pytest.raises(RunError, match="another process"):
        decode(content)


def test_a_message_has_a_greatest_length() -> None:
    with pytest.raises(RunError, match="at most 67,108,864"):
        encode("a" * MOST_BYTES)
