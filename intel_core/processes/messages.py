"""What may processes tell each other? Numbers, words and what is made of them as JSON, and tensors as their bytes.

Nothing that a process receives can run code: a message is JSON of a bounded length with one object for each kind that
JSON lacks, and anything else in it is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from intel_core.errors import RunError
from intel_core.training.stopping import StopReason

__all__ = ["MOST_BYTES", "decode", "encode"]

Receive = Callable[[torch.dtype, list[int]], Tensor]

MOST_BYTES = 64 * 2**20
"""Of the JSON of one message."""
_MOST_ENTRIES = 2**40
"""Of one tensor."""
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    )
}


def encode(value: Any) -> tuple[bytes, list[Tensor]]:
    """A value as JSON, and the tensors in it, which the JSON describes in their order.

    A value is None, a truth value, a number (infinite ones and NaN too), a text, a `StopReason`, a tensor, or a list,
    a tuple or a dictionary with texts as keys of such.

    Raises:
        TypeError: for anything else.
        RunError: if it is longer than a message may be.

    >>> encode((1, float("nan"), "a"))
    (b'{"tuple": [1, NaN, "a"]}', [])
    >>> encode(print)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: processes exchange None, numbers, texts, ... and dictionaries of them, not builtin_function_or_method
    """
    tensors: list[Tensor] = []
    content = json.dumps(_plain(value, tensors)).encode()
    if len(content) > MOST_BYTES:
        raise RunError(f"a message between processes would be {len(content):,} bytes long; at most {MOST_BYTES:,}")
    return content, tensors


def _plain(value: Any, tensors: list[Tensor]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, StopReason):
        return {"stop": [value.text, value.kind]}
    if isinstance(value, list):
        return [_plain(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, tensors) for item in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _plain(item, tensors) for key, item in value.items()}}
    if isinstance(value, Tensor) and value.dtype in _DTYPES.values() and value.layout == torch.strided:
        tensors.append(value.detach())
        return {"tensor": [str(value.dtype).removeprefix("torch."), list(value.shape)]}
    raise TypeError(
        "processes exchange None, numbers, texts, tensors, reasons to stop, lists, tuples and dictionaries of them, "
        f"not {type(value).__name__}"
    )


def _none_expected(dtype: torch.dtype, shape: list[int]) -> Tensor:
    raise RunError("another process tells of a tensor where none was expected")


def decode(content: bytes, receive: Receive = _none_expected) -> Any:
    """The value that `encode` was given.

    Args:
        content: the JSON.
        receive: called for each tensor in it, in order, with its dtype and shape, and returns it.

    Raises:
        RunError: if it is nothing that `encode` writes.

    >>> decode(encode({"loss": float("-inf"), "why": StopReason("enough"), "pair": (1, [True, None])})[0])
    {'loss': -inf, 'why': StopReason(text='enough', kind='request'), 'pair': (1, [True, None])}
    """
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RunError(f"another process sends what is no message ({error})") from None
    return _value(plain, receive)


def _value(plain: Any, receive: Receive) -> Any:
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if isinstance(plain, list):
        return [_value(item, receive) for item in plain]
    ((kind, of),) = plain.items() if len(plain) == 1 else (("", None),)
    if kind == "tuple" and isinstance(of, list):
        return tuple(_value(item, receive) for item in of)
    if kind == "dict" and isinstance(of, dict):
        return {key: _value(item, receive) for key, item in of.items()}
    if kind == "stop" and isinstance(of, list) and len(of) == 2:
        text, stop = of
        if isinstance(text, str) and stop in ("signal", "early stopping", "request"):
            return StopReason(text, stop)
    if kind == "tensor" and isinstance(of, list) and len(of) == 2:
        dtype, shape = of
        if isinstance(dtype, str) and dtype in _DTYPES and isinstance(shape, list) and _is_shape(shape):
            return receive(_DTYPES[dtype], shape)
    raise RunError(f"another process sends what is no message ({str(plain)[:80]})")


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) <= 64 and all(type(n) is int and n >= 0 for n in shape) and math.prod(shape) <= _MOST_ENTRIES
