"""What would fail on an accelerator, where there is none? A tensor that numpy cannot read, as theirs."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["NoArray", "OnAnAccelerator"]


class NoArray(TypeError):
    """A tensor of an accelerator was taken for an array."""


_ARRAYS = ("numpy", "__array__")


class OnAnAccelerator(torch.Tensor):
    """A tensor with values on the CPU that has to be copied by ``.cpu()`` before it is an array, as one of a GPU.

    What is computed from it is one as well.

    >>> torch.ones(2).as_subclass(OnAnAccelerator).square().cpu().numpy()
    array([1., 1.], dtype=float32)
    >>> torch.ones(2).as_subclass(OnAnAccelerator).square().numpy()
    Traceback (most recent call last):
    intel_conformance.accelerator.NoArray: a tensor of an accelerator is no array; copy it to the CPU first
    """

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Refuse arrays; a copy on the CPU is a plain tensor."""
        name = getattr(func, "__name__", "")
        if name in _ARRAYS:
            raise NoArray("a tensor of an accelerator is no array; copy it to the CPU first")
        found: Any = super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        to_cpu = name == "cpu" or (name == "to" and "cpu" in map(str, (*args[1:], *(kwargs or {}).values())))
        return found.as_subclass(torch.Tensor) if to_cpu else found
