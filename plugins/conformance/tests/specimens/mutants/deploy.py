"""Which faults must the checks of the group `deploy` find: a state, a copy or a compiled form that differs."""

from __future__ import annotations

import random
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from specimens.mutant import MUTANTS, Mutant, Scaled, Shifted, Sound, Spec, kills


@kills("deploy.state")
class OffsetIsNotSaved(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset = torch.randn(y_dim).tolist()

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + y.new_tensor(self.offset)


@kills("deploy.state")
class BufferIsNotPersistent(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset: Tensor
        self.register_buffer("offset", torch.randn(y_dim), persistent=False)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.offset


@kills("deploy.copy")
class SharesItsParameters(Scaled):
    def __deepcopy__(self, memo: Any) -> SharesItsParameters:
        other = SharesItsParameters(self.y_dim)
        other.log_scale = self.log_scale
        return other


@kills("deploy.pickle")
class ForgetsWhenPickled(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.strength = 1.5

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "strength": 1.0}

    def __deepcopy__(self, memo: Any) -> ForgetsWhenPickled:
        return ForgetsWhenPickled(self.y_dim)

    def forward(self, y: Tensor) -> Tensor:
        return self.strength * self.sound(y)


@kills("deploy.spec")
class FieldIsNotWritten(Spec):
    """A spec with a field that its JSON leaves out."""

    more: float = Field(0.0, description="added as well", exclude=True)

    def build(self, y_dim: int) -> Any:
        return Shifted(y_dim, self.shift + self.more)


MUTANTS[-1] = Mutant("FieldIsNotWritten", "deploy.spec", FieldIsNotWritten(more=1.0))


@kills("deploy.spec")
class BuildChangesTheSpec(Spec):
    """A spec whose build() appends to its own list."""

    shifts: list[float] = Field([0.5], description="what is added, all of them")

    def build(self, y_dim: int) -> Any:
        self.shifts.append(0.25)
        return Shifted(y_dim, sum(self.shifts[:1]))


@kills("deploy.seeded")
class DrawsElsewhere(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset: Tensor
        self.register_buffer("offset", torch.tensor([random.random() for _ in range(y_dim)]))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.offset


@kills("deploy.vmap")
class RowsHaveTwoAxes(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) if y.dim() > 1 else self.sound(y) * 1.01


@kills("deploy.compile")
class OtherWhenCompiled(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if torch.compiler.is_compiling() else 1.0)


@kills("deploy.bfloat16")
class WidensAndStaysWide(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y.float() if y.dtype in (torch.bfloat16, torch.float16) else y)
