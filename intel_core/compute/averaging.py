"""Which weights are judged and kept, if not those of the last step? Their exponential moving average."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Averaged", "Judged"]

_AVERAGE, _COUNT = "average", "average_step"
_STATISTICS = ("running_mean", "running_var")


class Judged(torch.optim.Optimizer):
    """An optimiser around another one, whose weights are judged and kept otherwise than they are trained.

    A subclass says which tensors differ, and gives them the values that are judged.

    Args:
        optimizer: what takes the steps.

    Attributes:
        optimizer: as given.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        # torch's own beginning would make groups and a state of its own; those of the optimiser are the ones in use.
        self.optimizer, self._is_inside = optimizer, False

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]  # an attribute of torch's class
        """The optimiser's own."""
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The optimiser's own."""
        return self.optimizer.state

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The optimiser's own."""
        return self.optimizer.defaults

    def step(self, closure: Any = None) -> Any:
        """As the optimiser's own."""
        return self.optimizer.step(closure)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """A block in which the model has what is judged; afterwards it has the weights of training, bit for bit."""
        tensors = [] if self._is_inside else self._judged()
        if not tensors:
            yield
            return
        kept = [tensor.detach().clone() for tensor in tensors]
        self._show()
        self._is_inside = True
        try:
            yield
        finally:
            self._is_inside = False
            self._hide()
            put(tensors, kept)

    def _judged(self) -> list[Tensor]:
        """The tensors that differ; none before there is anything else to judge."""
        raise NotImplementedError

    def _show(self) -> None:
        """Give them the values that are judged."""
        raise NotImplementedError

    def _hide(self) -> None:
        """Undo what `_show` does beside that; the values are put back anyway."""


@torch.no_grad()
def put(tensors: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    """Copy values into tensors."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


class Averaged(Judged):
    r"""An optimiser that also keeps an exponential moving average of the weights that it has reached.

    After step t the average is the weighted mean of all weights so far,

    .. math:: a_t = \frac{1 - d}{1 - d^t} \sum_{s=1}^t d^{t-s} w_s,

    with the decay d: a step counts d times as much as the next one, and the initial weights do not count at all. The
    steps themselves are those of the optimiser. Running statistics of batch normalisation are averaged in the same way,
    where the layer has weights; those of a layer without weights stay as training has left them.

    Source: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (1992); the division by
    ``1 - d^t`` is that of Adam's moments (Kingma & Ba, 2015, section 3).

    Args:
        optimizer: what takes the steps.
        model: its model.
        decay: d, from 0 (no averaging) to less than 1.

    Attributes:
        optimizer: as given.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> averaged = Averaged(torch.optim.SGD(model.parameters(), lr=1.0), model, decay=0.5)
    >>> for _ in range(2):
    ...     model.weight.grad = -torch.ones(1, 1)  # one step up each time
    ...     averaged.step()
    >>> with averaged.averaged():
    ...     print(round(model.weight.item(), 4))  # (0.5 * 1 + 2) / (0.5 + 1)
    1.6667
    >>> model.weight.item()
    2.0
    """

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module, decay: float) -> None:
        super().__init__(optimizer)
        self._decay, self._count = decay, 0
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        places = {id(parameter): index for index, parameter in enumerate(parameters)}
        # What is averaged, by the place of a parameter and a name: in a checkpoint all of it lies with the parameters.
        self._tensors: dict[tuple[int, str], Tensor] = {
            (index, _AVERAGE): parameter for index, parameter in enumerate(parameters)
        }
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and id(part.weight) in places:
                for name in _STATISTICS if part.track_running_stats else ():
                    self._tensors[places[id(part.weight)], f"{_AVERAGE}_{name}"] = getattr(part, name)
        self._averages: list[Tensor] = []

    def update(self) -> None:
        """One step along the gradients at hand."""
        getattr(self.optimizer, "update", self.optimizer.step)()
        self._follow()

    def step(self, closure: Any = None) -> Any:
        """As the optimiser's own."""
        loss = super().step(closure)
        self._follow()
        return loss

    @torch.no_grad()
    def _follow(self) -> None:
        self._count += 1
        if not self._averages:
            self._averages = [tensor.clone() for tensor in self._tensors.values()]
            return
        share = (1 - self._decay) / (1 - self._decay**self._count)
        torch._foreach_lerp_(self._averages, list(self._tensors.values()), share)

    def _judged(self) -> list[Tensor]:
        return list(self._tensors.values()) if self._averages else []

    def _show(self) -> None:
        put(self._tensors.values(), self._averages)

    # --- checkpoints -------------------------------------------------------------------------------------------

    def remembered(self, index: int) -> set[str]:
        """Names of what this class adds to the state of a parameter, by its place, once a step has been taken."""
        return {name for place, name in self._tensors if place == index} | ({_COUNT} if index == 0 else set())

    def state_dict(self) -> dict[str, Any]:
        """As the optimiser's own, with the averages beside what it remembers of each parameter."""
        content = self.optimizer.state_dict()
        if not self._averages:
            return content
        state = {index: dict(values) for index, values in content["state"].items()}
        for (index, name), average in zip(self._tensors, self._averages, strict=True):
            state.setdefault(index, {})[name] = average
        state[0][_COUNT] = torch.tensor(float(self._count), dtype=torch.float32)
        return {**content, "state": state}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            KeyError: if it holds no averages, and some steps.
        """
        own: dict[tuple[int, str], Any] = {}
        rest: dict[int, dict[str, Any]] = {}
        for index, values in state_dict["state"].items():
            names = self.remembered(index)
            own |= {(index, name): value for name, value in values.items() if name in names}
            if others := {name: value for name, value in values.items() if name not in names}:
                rest[index] = others
        self.optimizer.load_state_dict({**state_dict, "state": rest})
        self._averages, self._count = [], 0
        if own or rest:
            self._count = int(own[0, _COUNT])
            # In the layout in memory of what is averaged, as after a first step.
            self._averages = [torch.empty_like(tensor).copy_(own[key]) for key, tensor in self._tensors.items()]
