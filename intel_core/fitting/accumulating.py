"""How is the gradient of a batch computed in less memory? In parts, whose gradients are added up."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary

import torch
from torch import Tensor, nn

from intel_core.errors import SpecError
from intel_core.model.objectives import Objective, Terms
from intel_core.model.vae import InteLVAE

__all__ = ["Accumulated", "require_parts"]


class Accumulated:
    r"""An objective whose gradient is computed one part of the batch after another.

    A batch of n examples is cut into N parts of :math:`n_i` examples, as equal as possible. With :math:`L_i` the loss
    of a part, a mean over its examples, the step follows :math:`\sum_i \frac{n_i}{n} \nabla L_i`, which is the gradient
    of the mean over the batch, and the logged terms are means with the same weights. Only one part lies in memory with
    its activations. A statistic of a whole batch becomes one of each part: batch normalisation, and a regulariser of
    the mapping that is no mean over examples.

    Args:
        objective: what is optimised.
        parts: N.

    Attributes:
        particles: as of `objective`.
    """

    def __init__(self, objective: Objective, parts: int) -> None:
        self.objective, self.parts, self.particles = objective, parts, objective.particles

    def __call__(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """The objective's own terms, of all examples at once."""
        return self.objective(model, x, noise, weights)

    def differentiate(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        """The terms of the batch, with the last part's q(y|x); the gradient is put into ``grad`` of all parameters."""
        parameters = list(model.parameters())
        gradients: dict[int, Tensor] = {}
        sums: dict[str, Tensor] = {}
        conditions = model.conditions
        of_parts = [model] * self.parts
        if conditions is not None:
            of_parts = [model.on(some) for some in conditions.tensor_split(self.parts)]
        rows = zip(of_parts, x.tensor_split(self.parts), noise.tensor_split(self.parts, dim=1), strict=True)
        for of_part, part, of_noise in rows:
            share = len(part) / len(x)
            terms = self._one(of_part, part, of_noise, weights)
            for index, parameter in enumerate(parameters):
                if parameter.grad is not None:
                    scaled = parameter.grad * share  # not in place: a dense network uses the memory again
                    gradients[index] = scaled if index not in gradients else gradients[index].add_(scaled)
                    parameter.grad = None
            for name, value in terms.numbers().items():
                sums[name] = share * value if name not in sums else sums[name] + share * value
        for index, gradient in gradients.items():
            parameters[index].grad = gradient
        loss, log_likelihood, kl = (sums.pop(name) for name in ("loss", "log_likelihood", "kl"))
        return Terms(loss, log_likelihood, kl, sums, terms.posterior)

    def _one(self, model: InteLVAE, x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        if (own := getattr(self.objective, "differentiate", None)) is not None:
            told: Terms = own(model, x, noise, weights)
            return told
        terms = self.objective(model, x, noise, weights)
        torch.autograd.backward(terms.loss)
        return terms


def require_parts(parts: int, rows: int, model: nn.Module) -> None:
    """Refuse more parts than a process has rows of a batch; batch normalisation needs two in each.

    Raises:
        SpecError: saying how many there may be.
    """
    normalises = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
    most = rows // (2 if normalises else 1)
    if parts > most:
        why = ", and batch normalisation needs 2 examples in each" if normalises else ""
        raise SpecError(f"accumulate={parts}: a batch of {rows} examples has at most {max(1, most)} parts{why}")
