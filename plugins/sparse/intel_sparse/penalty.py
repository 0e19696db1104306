"""Does the loss alone make a representation sparse? The identity with the sparsity loss of `sparse`, to find out."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from intel_core.helpers.geometry import widened
from intel_core.mappings.compose import Identity
from intel_sparse.sparsity import gaussian_floor, hoyer_score, sparsity_loss

__all__ = ["SparsityPenalty"]


class SparsityPenalty(Identity):
    r"""z = y, with the sparsity loss of \|z\| added to the loss: what the mapping `sparse` is compared with.

    .. math:: loss = -ELBO + \gamma L_{sp}(|z|)

    Nothing is learned here; `sparsity_loss` has the formula. All leading dimensions together are the batch.

    It is an `Identity`, and offers `Regularised` and `Diagnosable` as well. Half precision is computed in float32.

    Source: Miao et al., appendix C.3 (the ablation).

    Args:
        y_dim: number of dimensions, at least 2.
        gamma: weight of the sparsity loss.
        normalisation: see `sparsity_loss`.

    Raises:
        ValueError: if there are fewer than 2 dimensions.

    >>> mapping = SparsityPenalty(3, gamma=30.0)
    >>> z, losses = mapping.map_with_regularisers(torch.eye(3))
    >>> z.tolist() == torch.eye(3).tolist(), round(float(losses["sparsity"]), 4)  # -log 3
    (True, -1.0986)
    """

    def __init__(
        self, y_dim: int, gamma: float = 1.0, normalisation: Literal["paper", "released"] = "released"
    ) -> None:
        super().__init__(y_dim)
        if y_dim < 2:
            raise ValueError(f"sparsity needs at least 2 latent dimensions, there is {y_dim}")
        self.gamma = gamma
        self.normalisation: Literal["paper", "released"] = normalisation

    @property
    def regularisers(self) -> dict[str, float]:
        """The weight γ of the sparsity loss."""
        return {"sparsity": self.gamma}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``z``, and the sparsity loss of the batch in nats; see `sparsity_loss`."""
        return y, {"sparsity": sparsity_loss(widened(y).abs(), self.normalisation)}

    @torch.no_grad()
    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """The mean Hoyer score of z, and that of a Gaussian, to compare it with.

        Args:
            y: posterior means, shape ``(n, y_dim)``.
            labels: not used.
        """
        floor = {"gaussian_floor": gaussian_floor(self.y_dim)}
        return {**floor, "hoyer": hoyer_score(widened(y))} if len(y) else floor

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"gamma={self.gamma:g}, normalisation={self.normalisation}"
