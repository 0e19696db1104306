"""Which settings have the sparse mapping and its loss alone? Their specs; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from intel_core.mappings.contract import MappingSpec

if TYPE_CHECKING:
    from intel_sparse.mapping import SparseMapping
    from intel_sparse.penalty import SparsityPenalty

__all__ = ["SparseSpec", "SparsityPenaltySpec"]

Width = Annotated[int, Field(ge=1, le=65536)]


class SparseSpec(MappingSpec):
    r"""Sparsity: each dimension is multiplied by a gate in [floor, 1], which a small network computes from y.

    .. math:: g(y) = y \odot DS(y), \qquad loss = -ELBO + \gamma L_{sp}

    The paper maximises ``ELBO + γ L_sp``, which would make z denser if γ > 0; the sign here is that of its code.

    Source: Miao et al., section 6.3, equation (7), and appendix C.3.

    >>> SparseSpec(gamma=30).build(50).regularisers
    {'sparsity': 30.0}
    """

    gamma: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="weight γ of the sparsity loss, which is in nats per example like the ELBO; 0 only reports it",
    )
    hidden: tuple[Width, ...] = Field(
        (10, 10), max_length=32, description="widths of the dimension selector's hidden layers"
    )
    floor: float = Field(
        0.0, ge=0, lt=1, description="smallest value of a gate, the largest is 1; 0 in the paper, 0.2 in its code"
    )
    target: Literal["gates", "latent"] = Field(
        "gates", description="what the loss makes sparse; gates: DS(y), as in the paper; latent: |z|, as in its code"
    )
    normalisation: Literal["paper", "released"] = Field(
        "released",
        description="paper: rows are averaged, then normalised; released: rows are normalised, then averaged, as in "
        "the paper's code, which makes sure that different data use different dimensions",
    )

    def build(self, y_dim: int) -> SparseMapping:
        """The mapping for `y_dim` dimensions, its weights drawn from torch's default generator.

        Args:
            y_dim: number of dimensions of y.

        Raises:
            ValueError: if there is only 1 dimension, since there is nothing to select.

        >>> SparseSpec(hidden=[32]).build(4).z_dim
        4
        """
        from intel_sparse.mapping import SparseMapping

        return SparseMapping(y_dim, self.gamma, self.hidden, self.floor, self.target, self.normalisation)


class SparsityPenaltySpec(MappingSpec):
    r"""The sparsity loss alone: z = y, and the loss of the mapping sparse is that of \|z\|.

    .. math:: g(y) = y, \qquad loss = -ELBO + \gamma L_{sp}(|z|)

    It shows what the loss does without gates: what the mapping ``sparse`` is compared with.

    Source: Miao et al., appendix C.3 (the ablation).

    >>> SparsityPenaltySpec(gamma=30).build(50).regularisers
    {'sparsity': 30.0}
    """

    gamma: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="weight γ of the sparsity loss, which is in nats per example like the ELBO; 0 only reports it",
    )
    normalisation: Literal["paper", "released"] = Field(
        "released", description="as for sparse: whether rows are averaged, then normalised, or the other way round"
    )

    def build(self, y_dim: int) -> SparsityPenalty:
        """The mapping for `y_dim` dimensions.

        Raises:
            ValueError: if there is only 1 dimension.
        """
        from intel_sparse.penalty import SparsityPenalty

        return SparsityPenalty(y_dim, self.gamma, self.normalisation)
