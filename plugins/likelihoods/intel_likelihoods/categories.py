"""How likely are categories given the decoder's output? Groups of one-hot values."""

from __future__ import annotations

import torch
from torch import Tensor

from intel_core.model.likelihood import Likelihood

__all__ = ["Categorical", "groups_of"]


def groups_of(sizes: tuple[int, ...], columns: int) -> list[int]:
    """The number of columns of each group.

    Raises:
        ValueError: if they do not add up to the columns that there are.

    >>> groups_of((3,), 6), groups_of((), 4), groups_of((2, 3), 5)
    ([3, 3], [4], [2, 3])
    """
    if not sizes:
        return [columns]
    groups = [sizes[0]] * (columns // sizes[0]) if len(sizes) == 1 else list(sizes)
    if sum(groups) != columns:
        word = f"groups of {sizes[0]}" if len(sizes) == 1 else f"sizes={list(sizes)}, together {sum(sizes)},"
        raise ValueError(f"{word} do not fit {columns} columns")
    return groups


class Categorical(Likelihood):
    r""":math:`\log p = \sum_i x_i \log \mathrm{softmax}(\eta)_i` for each group of one-hot values.

    Groups lie along the columns of a vector, or along the channels of an image. Normalised over the one-hot vectors of
    each group.

    Args:
        sizes: number of columns of each group; one number if all are equal; empty if there is one group.

    >>> x = torch.eye(3)
    >>> float(Categorical().log_prob(torch.tensor([[0.1, -2.0, 3.0]]).expand(3, 3), x).exp().sum())
    1.0
    >>> Categorical((2,)).mean(torch.zeros(1, 4))  # probabilities, two groups of two
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """

    def __init__(self, sizes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.sizes = sizes

    def _log_probabilities(self, params: Tensor, event_dims: int) -> Tensor:
        groups, dim = groups_of(self.sizes, params.shape[-event_dims]), -event_dims
        if len(set(groups)) == 1:
            split = torch.unflatten(params, dim, (-1, groups[0]))
            return torch.log_softmax(split, dim).flatten(dim - 1, dim)
        return torch.cat([torch.log_softmax(part, dim) for part in torch.split(params, groups, dim)], dim)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The logarithm of the probability where x is 1, and 0 elsewhere."""
        return x * self._log_probabilities(params, x.dim() - 1)

    def mean(self, params: Tensor) -> Tensor:
        """The probability of each category."""
        return torch.exp(self._log_probabilities(params, params.dim() - 1))

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One-hot values."""
        dim = 1 - params.dim()
        groups = groups_of(self.sizes, params.shape[dim])
        # Of exponential variables of such rates, the first is one with these probabilities.
        waiting = torch.empty_like(params).exponential_(generator=generator)
        race = self._log_probabilities(params, params.dim() - 1) - torch.log(waiting)
        return torch.cat([_largest(part, dim) for part in torch.split(race, groups, dim)], dim)


def _largest(values: Tensor, dim: int) -> Tensor:
    """1 at the largest along a dimension, 0 elsewhere."""
    return torch.zeros_like(values).scatter_(dim, values.argmax(dim, keepdim=True), 1.0)
