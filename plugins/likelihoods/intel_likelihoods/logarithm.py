"""How does a network see numbers of any size?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Logarithm"]


class Logarithm(nn.Module):
    """``sign(x) log(1 + |x|)`` of every value.

    >>> Logarithm()(torch.tensor([0.0, 1.0, -1.0]))
    tensor([ 0.0000,  0.6931, -0.6931])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which is kept."""
        return torch.sign(x) * torch.log1p(x.abs())
