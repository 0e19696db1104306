"""How is one of schedulefree's optimisers judged, kept and resumed?"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from intel_core.compute.averaging import Judged

__all__ = ["ScheduleFree"]

_NUMBERS = ("k", "weight_sum", "lr_max")
"""What the library remembers of a group of parameters, beside its settings."""


class ScheduleFree(Judged):
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
        super().__init__(optimizer)
        optimizer.train()

    def _judged(self) -> list[Tensor]:
        return list(self.param_groups[0]["params"])

    def _show(self) -> None:
        cast(Any, self.optimizer).eval()

    def _hide(self) -> None:
        self.param_groups[0]["train_mode"] = True  # rather than train(), which computes y from x and z, and rounds

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
