"""Which settings has the VampPrior? Its spec; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.model.contract import PriorSpec

if TYPE_CHECKING:
    from intel_priors.vamp import VampPrior

__all__ = ["VampSpec"]


class VampSpec(PriorSpec):
    r"""The mean of the posteriors of K pseudo-inputs that are learned with the networks.

    .. math:: p(y) = \frac1K \sum_{k=1}^K q(y|u_k)

    It goes together with ``posterior=gaussian``. Its cost is that of encoding K more examples in every step.

    Source: Tomczak and Welling, VAE with a VampPrior, 2018, where K is 500.

    >>> VampSpec(components=30).build(2, (4,)).inputs().shape
    torch.Size([30, 4])
    """

    components: int = Field(500, ge=1, le=100_000, description="number of pseudo-inputs K")
    squash: Literal["auto", "sigmoid", "none"] = Field(
        "auto",
        description="sigmoid: pseudo-inputs lie in (0, 1); none: anywhere; auto: sigmoid for images, none for tables",
    )
    start: Literal["auto", "data", "noise"] = Field(
        "auto",
        description="where pseudo-inputs begin; data: at training examples, from all parts of the data; noise: anywhere"
        "; auto: at data for tables, at random shapes for images",
    )

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> VampPrior:
        """The prior for data of a shape, its pseudo-inputs drawn from torch's default generator until they see data."""
        from intel_priors.vamp import VampPrior

        return VampPrior(self.components, x_shape, self.squash, self.start)
