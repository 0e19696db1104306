"""Which optimisers are there beside Adam?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from intel_core.errors import EnvironmentProblem
from intel_core.recipe.optimizers import OptimizerSpec

if TYPE_CHECKING:
    import torch

__all__ = ["AdamWSpec", "SGDSpec", "ScheduleFreeSpec", "TorchSpec"]


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


class ScheduleFreeSpec(OptimizerSpec):
    """An optimiser that needs no schedule of the learning rate, since it averages the weights as it goes.

    Source: Defazio et al., "The road less scheduled" (2024); the optimisers are those of the library schedulefree.
    """

    of: Literal["adamw", "radam", "sgd"] = Field("adamw", description="whose steps are taken")
    beta: float = Field(0.9, gt=0, lt=1, description="where gradients are taken: 0 at the steps, 1 at their average")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean of squares, but for sgd")
    weight_decay: NonNegativeFloat = Field(0.0, description="share of each weight that a step of size 1 takes away")
    warmup: int = Field(0, ge=0, le=10**9, description="steps in which the learning rate rises, but for radam")

    @model_validator(mode="after")
    def _check(self) -> ScheduleFreeSpec:
        if self.of == "radam" and self.warmup:
            raise ValueError("radam has a warm-up of its own; leave out warmup")
        return self

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """The optimiser.

        Raises:
            EnvironmentProblem: if the library is not installed.
        """
        try:
            import schedulefree
        except ImportError:
            raise EnvironmentProblem(
                "schedule_free needs the package schedulefree: pip install 'intelvae-optimizers[schedule_free]'"
            ) from None
        from intel_optimizers.schedule_free import ScheduleFree

        settings: dict[str, Any] = {"lr": learning_rate, "weight_decay": self.weight_decay}
        if self.of == "sgd":
            made = schedulefree.SGDScheduleFree(parameters, momentum=self.beta, warmup_steps=self.warmup, **settings)
        elif self.of == "radam":
            made = schedulefree.RAdamScheduleFree(parameters, betas=(self.beta, self.beta2), eps=1e-7, **settings)
        else:
            betas = (self.beta, self.beta2)
            made = schedulefree.AdamWScheduleFree(
                parameters, betas=betas, eps=1e-7, warmup_steps=self.warmup, **settings
            )
        return ScheduleFree(made)
