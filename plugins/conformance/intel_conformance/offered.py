"""What can be called of a mapping beside itself? The functions of its capabilities, of y or of z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Clustering, Invertible, Regularised

__all__ = ["Call", "offered"]

Call = Callable[[Tensor], Tensor]


def offered(mapping: nn.Module) -> dict[str, Call]:
    """The functions by name; ``inverse`` is one of z, all others are functions of y.

    They stay those of the mapping when it is moved or converted.

    >>> offered(nn.Identity())
    {}
    """
    part: Any = bare(mapping)
    found: dict[str, Call] = {}
    if isinstance(part, Invertible):
        found["inverse"] = part.inverse
        found["log_abs_det_jacobian"] = part.log_abs_det_jacobian
    if isinstance(part, Clustering):
        found["assign"] = part.assign
    if isinstance(part, Regularised) and part.regularisers:
        found["map_with_regularisers"] = lambda y: part.map_with_regularisers(y)[0]
    return found
