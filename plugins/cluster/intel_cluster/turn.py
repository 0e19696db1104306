"""In which directions of y do the cuts lie? Along its first axes, or turned to where clusters were found."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import Self

from intel_cluster.split import finest

__all__ = ["Turn", "around"]


def _place(turn: Turn, keys: object) -> None:
    """After directions were loaded, use them."""
    turn.place()


class Turn(nn.Module):
    r"""Orthonormal directions F of y, ``(width, y_dim)``, in whose coordinates :math:`v = F y` the cuts lie.

    .. math:: g(y) = y + F^T (c(v) - v)

    with c the map of the cuts. N(0, I) is the same in all directions, so that g has the same clusters, shares and
    log-determinant as without a turn. At strength 0 it is what the cuts are then, the identity or a translation,
    however it is turned: a decoder that has learned to read z = y need not learn anew where the axes are.

    Args:
        width: dimensions that are cut.
        y_dim: dimensions of y.

    Attributes:
        rows: F, which is saved; at first the first axes. In float32, and orthonormal to as many digits; what is
            computed with has more of them.
        exact: F as it is computed with, in the finest precision that there is; empty before it has been turned.
        is_turned: whether F is anything else than the first axes.

    >>> turn = Turn(1, 2)
    >>> turn.towards(torch.tensor([[0.0, -1.0], [0.0, 3.0]]), torch.tensor([[-1.0], [1.0]]))
    >>> turn.rows
    tensor([[0., 1.]])
    """

    rows: Tensor

    def __init__(self, width: int, y_dim: int) -> None:
        super().__init__()
        # As torch.eye, which imports torch's compiler where sizes alone are asked for (the meta device).
        self.register_buffer("rows", torch.zeros(width, y_dim).fill_diagonal_(1.0))
        self.register_load_state_dict_post_hook(_place)  # type: ignore[no-untyped-call]  # torch's own gap
        self.is_turned = False
        self.exact = torch.empty(0)

    def towards(self, centres: Tensor, directions: Tensor) -> None:
        r"""Turn so that clusters lie in the directions of their cells.

        The F with the largest :math:`\sum_k d_k^T F m_k` is :math:`U V^T` with :math:`U S V^T` the singular value
        decomposition of :math:`\sum_k d_k m_k^T` (the orthogonal Procrustes problem).

        Args:
            centres: :math:`m_k`, the centre of each cluster, ``(K, y_dim)``; counted from their mean.
            directions: :math:`d_k`, in which its cell lies, ``(K, width)``.

        Source: Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966.
        """
        m, d = centres.detach().double().cpu(), directions.detach().double().cpu()
        left, _, right = torch.linalg.svd(d.T @ (m - m.mean(0)), full_matrices=False)
        self.rows.copy_((left @ right).float())
        self.place()

    def undo(self) -> None:
        """Back to the first axes."""
        self.rows.copy_(torch.eye(*self.rows.shape))
        self.place()

    def place(self) -> None:
        """Make what is computed with from `rows`."""
        rows = self.rows.detach().double().cpu()
        self.is_turned = not torch.equal(rows, torch.eye(*rows.shape, dtype=torch.float64))
        for _ in range(2):  # Newton and Schulz: each step squares the error of 1e-7
            rows = rows @ rows.T @ rows * -0.5 + 1.5 * rows
        self.exact = rows.to(self.rows.device, finest(self.rows.device))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Also move what is computed with; the directions are not rounded to half precision."""
        kept = self.rows
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.rows.dtype != kept.dtype:
            self.rows = kept.to(self.rows.device)
        if self.rows.device.type != "meta" and kept.device.type != "meta":
            self.place()
        return self

    def into(self, y: Tensor) -> Tensor:
        """The coordinates v = F y, ``(..., y_dim) -> (..., width)``."""
        # In double precision, so that the product is rounded neither to TF32 nor, under autocast, to bfloat16.
        return (y.to(self.exact.dtype) @ self.exact.T).to(y.dtype)

    def back(self, v: Tensor) -> Tensor:
        """The vector Fᵀ v, ``(..., width) -> (..., y_dim)``."""
        return (v.to(self.exact.dtype) @ self.exact).to(v.dtype)


def around(centres: Tensor, shares: Tensor) -> list[int]:
    """The clusters in the order in which their centres lie around 0, in the plane of y in which they lie widest apart.

    Args:
        centres: of each cluster in y, ``(K, y_dim)``.
        shares: how much each counts, ``(K,)``.

    >>> around(torch.tensor([[1.0, 0.0], [-1.0, -0.1], [0.0, 1.0], [0.0, -1.0]]), torch.full((4,), 0.25))
    [1, 3, 0, 2]
    """
    at = centres.detach().double().cpu()
    if at.shape[1] > 2:
        weighted = at * shares.detach().double().cpu().sqrt().unsqueeze(1)
        at = at @ torch.linalg.svd(weighted, full_matrices=False).Vh[:2].T
    return torch.atan2(at[:, 1], at[:, 0]).argsort(stable=True).tolist()
