"""How are priors and posteriors called alike? As modules of functions, each of them from rows to rows."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_conformance.outcomes import Broken
from intel_core.model.posterior import DiagonalFamily, Posterior
from intel_core.model.prior import FromEncoder, Mixture, Prior

__all__ = ["PosteriorModule", "PriorModule", "Wrapped"]


class Wrapped(nn.Module):
    """A prior or a family as one module; ``module(function, rows)`` calls a function by its name.

    Attributes:
        functions: their names.
        noise_dim: how many standard normal numbers make a draw.
        held: the prior or the family itself.
    """

    functions: tuple[str, ...]
    noise_dim: int
    y_dim: int
    held: Any

    def width(self, function: str) -> int:
        """The number of values of each row that it takes."""
        raise NotImplementedError

    def out(self, function: str) -> tuple[int, ...]:
        """The shape of what it gives for each row."""
        raise NotImplementedError


class PriorModule(Wrapped):
    """A prior: ``draw``, ``log_prob``, and ``log_responsibilities`` of a mixture."""

    def __init__(self, prior: Any, y_dim: int, seed: int) -> None:
        super().__init__()
        self.held, self.y_dim = prior, y_dim
        self.encoder: nn.Module | None = None
        if isinstance(prior, FromEncoder):
            width = prior.inputs()[0].numel()
            family = DiagonalFamily(y_dim)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                hidden = nn.Linear(width, 16)
                self.encoder = nn.Sequential(
                    nn.Flatten(), hidden, nn.Tanh(), nn.Linear(16, family.features), family
                ).requires_grad_(False)
        current = self.current()
        if not isinstance(current, Prior):
            raise Broken(f"given(posterior) gives a {type(current).__name__}, which is no Prior")
        self.noise_dim = current.noise_dim
        self.k = current.k if isinstance(current, Mixture) else 0
        self.functions = ("draw", "log_prob", *(("log_responsibilities",) if self.k else ()))

    def current(self) -> Prior:
        """The prior itself, or that of the encoder."""
        if self.encoder is None:
            return cast(Prior, self.held)
        return cast(FromEncoder, self.held).given(self.encoder(self.held.inputs()))

    def forward(self, function: str, rows: Tensor) -> Tensor:
        """See `Wrapped`."""
        return cast(Tensor, getattr(self.current(), function)(rows))

    def width(self, function: str) -> int:
        """See `Wrapped`."""
        return self.noise_dim if function == "draw" else self.y_dim

    def out(self, function: str) -> tuple[int, ...]:
        """See `Wrapped`."""
        return {"draw": (self.y_dim,), "log_prob": ()}.get(function, (self.k,))


class PosteriorModule(Wrapped):
    """A family: ``mean`` and ``std`` of features, ``rsample`` and ``log_q`` of features and noise side by side."""

    functions = ("mean", "std", "rsample", "log_q")

    def __init__(self, family: Any, y_dim: int) -> None:
        super().__init__()
        self.held, self.y_dim = family, y_dim
        self.features, self.noise_dim = family.features, family.noise_dim

    def posterior(self, features: Tensor) -> Posterior:
        """q(y|x) of rows of features."""
        found: Posterior = self.held(features)
        return found

    def forward(self, function: str, rows: Tensor) -> Tensor:
        """See `Wrapped`; rows of more leading dimensions are draws of the examples of the first one."""
        if function in ("mean", "std"):
            return cast(Tensor, getattr(self.posterior(rows), function))
        q = self.posterior(rows[..., : self.features])
        noise = rows[..., self.features :]
        return q.rsample(noise) if function == "rsample" else q.draw(noise)[1]

    def width(self, function: str) -> int:
        """See `Wrapped`."""
        return cast(int, self.features + (0 if function in ("mean", "std") else self.noise_dim))

    def out(self, function: str) -> tuple[int, ...]:
        """See `Wrapped`."""
        return () if function == "log_q" else (self.y_dim,)
