"""Which optimiser takes the steps? Adam, or any of another distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    import torch

__all__ = ["AdamSpec", "OptimizerSpec"]


class OptimizerSpec(ComponentSpec):
    """Base of every optimiser's spec, registered under the entry-point group ``intelvae.optimizers``.

    Every optimiser has the settings ``ema`` and ``accumulate``, and needs no code for either.
    """

    kind: ClassVar[str] = "optimizers"
    is_stackable: ClassVar[bool] = False
    """Whether it is Adam as `intel_core.compute.optimizer` has it, which steps several seeds at once."""

    ema: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="decay of a moving average of the weights, which is judged and kept; null for none",
    )
    accumulate: PositiveInt | None = Field(
        None, le=10**6, description="parts of a batch that are computed one after another, in less memory; null for 1"
    )

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """The optimiser of some parameters, all in one group.

        Its state is kept in checkpoints as tensors, by parameter: an optimiser that remembers anything else goes on
        from a checkpoint as if it had forgotten that.

        Args:
            parameters: what is optimised.
            learning_rate: the run's step size, which schedules multiply.

        Raises:
            ValueError: if it cannot be built so.
        """
        raise PluginError(f"{type(self).__name__} does not define build(parameters, learning_rate)")


class AdamSpec(OptimizerSpec):
    """Adam with epsilon 1e-7, as in the authors' code; several seeds take their steps at once."""

    is_stackable: ClassVar[bool] = True

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Adam of torch in one fused kernel."""
        from intel_core.compute.optimizer import Adam

        return Adam(parameters, lr=learning_rate)
