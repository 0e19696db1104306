"""How likely are rows whose columns hold values of several kinds? Each column by the likelihood of its kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intel_core.model.likelihood import Likelihood

__all__ = ["Mixed"]


class Mixed(Likelihood):
    r""":math:`\log p(x|z) = \sum_k \log p_k(x_{C_k}|z)` for columns :math:`C_1, C_2, \ldots` that share none.

    The density is the product of those of the parts, so it is normalised as they are: over the counts of some columns,
    the one-hot vectors of others, the real numbers of the rest.

    The decoder has as many outputs for every value as the part that takes most of them; other parts leave some unused.

    Args:
        parts: likelihoods, each with the positions of its columns; together they have each column once.

    Raises:
        ValueError: if a column is missing, or in two parts.

    >>> from intel_core.likelihoods.densities import Bernoulli, Gaussian
    >>> mixed = Mixed([(Gaussian("fixed", 1.0, 0.0), [0, 2]), (Bernoulli(), [1])])
    >>> values = mixed.log_density(torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.0]]))
    >>> values  # of 0 under N(0, 1), of 1 under a fair coin, of 0 under N(0, 1)
    tensor([[-0.9189, -0.6931, -0.9189]])
    """

    def __init__(self, parts: Sequence[tuple[Likelihood, Sequence[int]]]) -> None:
        super().__init__()
        columns = [column for _, of in parts for column in of]
        if sorted(columns) != list(range(len(columns))) or not columns:
            raise ValueError(f"the columns of the parts are {columns}, expected each of 0, 1, … once")
        self.parts = nn.ModuleList([likelihood for likelihood, _ in parts])
        self.params_per_value = max(likelihood.params_per_value for likelihood, _ in parts)
        self._columns = [list(of) for _, of in parts]
        self._back = sorted(range(len(columns)), key=columns.__getitem__)
        """Where each column is, when those of the parts stand one after another."""

    def _each(self, params: Tensor) -> list[tuple[Likelihood, list[int], Tensor]]:
        """The parts, their columns, and their parameters ``(..., count * columns)``."""
        width = len(self._back)
        if params.shape[-1] != self.params_per_value * width:
            raise ValueError(
                f"{params.shape[-1]} parameters, expected {self.params_per_value} for each of {width} columns"
            )
        several = params.reshape(*params.shape[:-1], self.params_per_value, width)
        each = []
        for part, columns in zip(self.parts, self._columns, strict=True):
            assert isinstance(part, Likelihood)
            each.append((part, columns, several[..., : part.params_per_value, :][..., columns].flatten(-2)))
        return each

    def _together(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values), dim=-1)[..., self._back]

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """That of each value by its part."""
        return self._together([part.log_density(own, x[..., columns]) for part, columns, own in self._each(params)])

    def mean(self, params: Tensor) -> Tensor:
        """That of each part."""
        return self._together([part.mean(own) for part, _, own in self._each(params)])

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw of each part."""
        return self._together([part.sample(own, generator) for part, _, own in self._each(params)])
