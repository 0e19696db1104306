"""How does a decoder see only a part of y? The first dimensions are handed on, the others dropped."""

from __future__ import annotations

from torch import Tensor, nn

from intel_core.mappings.properties import Hoelder, Properties

__all__ = ["First"]


class First(nn.Module):
    """z is the first `keep` dimensions of y. It is not injective, unless it keeps all of them.

    The KL divergence of y is therefore an upper bound of that of z (Theorem 1), usually a strict one.

    It offers `Declared`.

    Args:
        y_dim: number of dimensions of y.
        keep: how many are kept.

    Raises:
        ValueError: if there are fewer than `keep`.

    >>> import torch
    >>> First(3, 2)(torch.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0]
    """

    def __init__(self, y_dim: int, keep: int) -> None:
        super().__init__()
        if keep > y_dim:
            raise ValueError(f"it cannot keep {keep} dimensions of {y_dim}")
        self.y_dim, self.z_dim = y_dim, keep

    def forward(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., keep)``."""
        return y[..., : self.z_dim]

    @property
    def properties(self) -> Properties:
        """Continuous with the Lipschitz constant 1; not injective, unless nothing is dropped."""
        return Properties(injective=self.z_dim == self.y_dim, hoelder=Hoelder(1.0))

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"y_dim={self.y_dim}, keep={self.z_dim}"
