"""How does y decide which of its own dimensions are switched off? By a gate for each, from a small network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from intel_core.helpers.geometry import widened
from intel_core.mappings.properties import Properties
from intel_core.networks.layers import glorot_
from intel_sparse.diagnosis import describe_sparsity
from intel_sparse.sparsity import hoyer_ceiling, sparsity_loss

__all__ = ["SparseMapping"]


class SparseMapping(nn.Module):
    r"""z = y ⊙ DS(y): a small network, the dimension selector, gives each dimension of y a gate in [floor, 1].

    .. math:: DS(y) = floor + (1 - floor)\, \sigma(W_n\, ReLU(\dots ReLU(W_1 y + b_1) \dots) + b_n)

    Weights are initialised Glorot-uniform from torch's default generator and biases with zero, so that gates are near
    ``(1 + floor) / 2`` at first. The auxiliary loss ``sparsity``, with the weight γ, is computed from the same gates;
    all leading dimensions together are its batch.

    It offers `Declared`, `Regularised` and `Diagnosable`. Half precision is computed in float32, and float64 in float64
    even if the parameters have another precision.

    Source: Miao et al., section 6.3, equation (7), and appendix C.3.

    Args:
        y_dim: number of dimensions of y, at least 2.
        gamma: weight of the sparsity loss.
        hidden: widths of the selector's hidden layers.
        floor: the smallest gate.
        target: whether the loss is computed from the gates or from ``|z|``.
        normalisation: see `sparsity_loss`.

    Raises:
        ValueError: if there are fewer than 2 dimensions.

    >>> from intel_sparse import SparseSpec
    >>> mapping = SparseSpec(floor=0.2).build(4)
    >>> y = torch.randn(100, 4)
    >>> z, losses = mapping.map_with_regularisers(y)
    >>> torch.equal(z, y * mapping.gates(y)), list(losses), bool((mapping.gates(y) >= 0.2).all())
    (True, ['sparsity'], True)
    """

    def __init__(
        self,
        y_dim: int,
        gamma: float = 1.0,
        hidden: Sequence[int] = (10, 10),
        floor: float = 0.0,
        target: Literal["gates", "latent"] = "gates",
        normalisation: Literal["paper", "released"] = "released",
    ) -> None:
        super().__init__()
        if y_dim < 2:
            raise ValueError(f"sparsity needs at least 2 latent dimensions, there is {y_dim}")
        self.y_dim = self.z_dim = y_dim
        self.gamma = gamma
        self.floor = floor
        self.target = target
        self.normalisation: Literal["paper", "released"] = normalisation
        widths = itertools.pairwise((y_dim, *hidden, y_dim))
        self.selector = nn.ModuleList([nn.Linear(fan_in, fan_out) for fan_in, fan_out in widths])
        glorot_(self.selector)

    def _select(self, y: Tensor) -> Tensor:
        """DS(y) for y in float32 or float64."""
        last = len(self.selector) - 1
        signal = y
        for i, layer in enumerate(cast("list[nn.Linear]", list(self.selector))):
            signal = linear(signal, layer.weight.to(y.dtype), layer.bias.to(y.dtype))
            if i < last:
                signal = torch.relu(signal)
        return torch.sigmoid(signal) * (1 - self.floor) + self.floor

    def gates(self, y: Tensor) -> Tensor:
        """DS(y), ``(..., y_dim) -> (..., y_dim)``, in [floor, 1]."""
        return self._select(widened(y)).to(y.dtype)

    def forward(self, y: Tensor) -> Tensor:
        """``z = y ⊙ DS(y)``, ``(..., y_dim) -> (..., y_dim)``."""
        wide = widened(y)
        return (wide * self._select(wide)).to(y.dtype)

    # --- Regularised -----------------------------------------------------------------------------------------

    @property
    def regularisers(self) -> dict[str, float]:
        """The weight γ of the sparsity loss."""
        return {"sparsity": self.gamma}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``z``, and the sparsity loss of the batch in nats; see `sparsity_loss`.

        Args:
            y: shape ``(..., y_dim)``; all leading dimensions together are the batch.
        """
        wide = widened(y)
        gates = self._select(wide)
        z = wide * gates
        loss = sparsity_loss(gates if self.target == "gates" else z.abs(), self.normalisation)
        return z.to(y.dtype), {"sparsity": loss}

    # --- Declared --------------------------------------------------------------------------------------------

    @property
    def properties(self) -> Properties:
        """Continuous, not injective, with a mean Hoyer score of at most `hoyer_ceiling`.

        No `Locus` is declared for the kinks of the selector, since they move with its weights and are no rays.
        """
        return Properties(
            continuous=True,
            injective=False,
            sparsity=(0.0, hoyer_ceiling(self.y_dim, self.floor)),
            planes=((0, 1),) if self.y_dim == 2 else (),
        )

    # --- Diagnosable -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """How sparse z is, and whether classes use different dimensions; see `describe_sparsity`.

        Args:
            y: posterior means, shape ``(n, y_dim)``.
            labels: integer class of each row, shape ``(n,)``, or None.

        >>> from intel_sparse import SparseSpec
        >>> report = SparseSpec().build(3).diagnose(torch.randn(20, 3), torch.arange(20) % 2)
        >>> len(report["gates_by_class"]), report["classes"]
        (2, [0, 1])
        """
        gates = self._select(widened(y))
        return describe_sparsity(widened(y) * gates, gates, labels)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"gamma={self.gamma:g}, floor={self.floor:g}, target={self.target}, normalisation={self.normalisation}"
