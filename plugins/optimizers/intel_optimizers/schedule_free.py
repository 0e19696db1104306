"""How is one of schedulefree's optimisers judged, kept and resumed?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["ScheduleFree"]

_NUMBERS = ("k", "weight_sum", "lr_max")
"""What the library remembers of a group of parameters, beside its settings."""


class ScheduleFree(torch.optim.Optimizer):
    r"""One of schedulefree's optimisers. Parameters are where gradients are taken; judged and kept is the average.

    The library keeps two sequences: z, which takes the steps, and x, a weighted mean of all z so far. Gradients are
    taken in between, at :math:`y = (1 - \beta) z + \beta x`. The parameters are y while the model is trained, and x in
    the block `averaged`, after which they are y again, bit for bit.

    Source: Defazio et al., "The road less scheduled" (2024), equations (1) to (3).

    Args:
        optimizer: the library's, of one group of parameters.

    Attributes:
        optimizer: as given.
    """

    def __init__(self, optimizer: Any) -> None:
        # torch's own beginning would make groups and a state of its own; those of the optimiser are the ones in use.
        self.optimizer = optimizer
        self._is_inside = False
        optimizer.train()

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]  # an attribute of torch's class
        """The optimiser's own."""
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        return groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The optimiser's own."""
        return self.optimizer.state

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The optimiser's own."""
        found: dict[str, Any] = self.optimizer.defaults
        return found

    def step(self, closure: Any = None) -> Any:
        """As the optimiser's own."""
        return self.optimizer.step(closure)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """A block in which the parameters are the averages x."""
        if self._is_inside:
            yield
            return
        group = self.param_groups[0]
        kept = [parameter.detach().clone() for parameter in group["params"]]
        self.optimizer.eval()
        self._is_inside = True
        try:
            yield
        finally:
            self._is_inside = False
            group["train_mode"] = True  # rather than train(), which computes y from x and z, and rounds
            with torch.no_grad():
                for parameter, value in zip(group["params"], kept, strict=True):
                    parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """As the optimiser's own, with the numbers of the group beside what it remembers of the first parameter."""
        content = self.optimizer.state_dict()
        group = self.param_groups[0]
        if not group["k"]:
            return dict(content)
        numbers = {name: torch.tensor(float(group[name]), dtype=torch.float64) for name in _NUMBERS}
        state = content["state"]
        return {**content, "state": {**state, 0: {**state.get(0, {}), **numbers}}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            KeyError: if some of it is missing.
        """
        state = dict(state_dict["state"])
        first = dict(state.get(0, {}))
        numbers = {name: float(first.pop(name)) for name in _NUMBERS} if state else dict.fromkeys(_NUMBERS, 0.0)
        if 0 in state:
            state[0] = first
        self.optimizer.load_state_dict({**state_dict, "state": {i: values for i, values in state.items() if values}})
        start = {"lr_max": self.defaults["lr_max"]} if not state else {}
        self.param_groups[0].update({**numbers, "k": int(numbers["k"]), **start, "train_mode": True})
