"""Which optimisers are there beside Adam?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from intel_core.recipe.optimizers import OptimizerSpec

if TYPE_CHECKING:
    import torch

__all__ = ["AdamWSpec", "SGDSpec", "TorchSpec"]


class AdamWSpec(OptimizerSpec):
    """Adam with decay of the weights apart from the gradient.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization" (2019).
    """

    weight_decay: NonNegativeFloat = Field(0.01, description="share of each weight that a step of size 1 takes away")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean of gradients")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean of squares")
    eps: PositiveFloat = Field(1e-7, description="added to the root of the mean square")

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """AdamW of torch, fused on a CPU and on CUDA.

        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> AdamWSpec(weight_decay=0.5).build([weight], 0.1).defaults["weight_decay"]
        0.5
        """
        import torch

        return torch.optim.AdamW(
            parameters,
            lr=learning_rate,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused={parameter.device.type for parameter in parameters} <= {"cpu", "cuda"},
        )


class SGDSpec(OptimizerSpec):
    """Stochastic gradient descent, with momentum."""

    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step that the next one repeats")
    nesterov: bool = Field(False, description="take the gradient after the repeated part")
    weight_decay: NonNegativeFloat = Field(0.0, description="added to the gradient, times the weight")

    @model_validator(mode="after")
    def _check(self) -> SGDSpec:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true needs a momentum above 0")
        return self

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """SGD of torch."""
        import torch

        return torch.optim.SGD(
            parameters,
            lr=learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )


class TorchSpec(OptimizerSpec):
    """Another of torch's optimisers, with its keyword arguments as JSON."""

    of: Literal["Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"] = Field(
        description="its class in torch.optim"
    )
    settings: dict[str, bool | int | float | tuple[float, ...]] = Field(
        default_factory=dict, description="its keyword arguments, but for the learning rate"
    )

    @model_validator(mode="after")
    def _check(self) -> TorchSpec:
        if "lr" in self.settings:
            raise ValueError("the learning rate is that of the run; leave lr out of settings")
        return self

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """The optimiser.

        Raises:
            ValueError: if it does not take the settings.
        """
        import torch

        made: Any = getattr(torch.optim, self.of)
        try:
            optimizer: torch.optim.Optimizer = made(parameters, lr=learning_rate, **self.settings)
        except TypeError as error:
            raise ValueError(f"torch.optim.{self.of} does not take these settings: {error}") from error
        return optimizer
