"""How are the values of examples stored, and which fingerprint identifies them?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


__all__ = [
    "fingerprint",
    "to_float",
]


def to_float(x: Tensor) -> Tensor:
    """Float values of stored examples: uint8 stands for ``x / 255``, float32 for itself.

    >>> import torch
    >>> to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """
    import torch

    return x.to(torch.float32).div_(255.0) if x.dtype == torch.uint8 else x


def fingerprint(x: Tensor) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a tensor's type, shape and bytes."""
    found = hashlib.sha256(f"{x.dtype} {tuple(x.shape)}".encode())
    found.update(x.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()[:16]
