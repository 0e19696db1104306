"""Which parts of a mapping know the density of their image? With the posteriors and draws that it is held to."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, first_line
from intel_core.helpers.parts_of_mapping import elements
from intel_core.helpers.pushforward import Pushforward, ScaleFree
from intel_core.model.posterior import DiagonalGaussian

__all__ = [
    "SHELL",
    "PushedPart",
    "are_dims",
    "far_posteriors",
    "near_posteriors",
    "noise",
    "posteriors_at",
    "pushed_parts",
]

SHELL = 1e-4
"""By how much of its size z may change where scale is free: what little is left of the radius."""
_ELSEWHERE = "see image.contract"


class PushedPart:
    """A mapping that reads y and is a `Pushforward`, in its own dimensions.

    Args:
        part: the mapping.
        about: put before what a check says; empty if it is all of the mapping.
    """

    def __init__(self, part: Any, about: str = "") -> None:
        self.part, self.about = part, about
        self.pushed: tuple[Any, ...] = tuple(part.pushed)
        self.m = len(self.pushed)

    @property
    def blocks(self) -> list[list[int]]:
        """Where the blocks that it says are free of scale stand among the pushed dimensions; those that do."""
        found = self.part.scale_free if isinstance(self.part, ScaleFree) else ()
        return [[self.pushed.index(d) for d in block] for block in found if block and set(block) <= set(self.pushed)]

    def z(self, y: Tensor) -> Tensor:
        """The image where all other dimensions of y are 0, ``(..., m) -> (..., z_dim)``."""
        whole = y.new_zeros(*y.shape[:-1], self.part.y_dim)
        whole[..., list(self.pushed)] = y
        z: Tensor = self.part(whole)
        return z

    def call(self, name: str, y: Tensor, *posterior: Tensor) -> Tensor:
        """The log density of that name, whatever its shape.

        Raises:
            Broken: if it raises anything, or is no tensor.
        """
        about = f"y of shape {tuple(y.shape)}, {str(y.dtype).removeprefix('torch.')}"
        try:
            found = getattr(self.part, name)(y, *posterior)
        except Exception as error:
            said = first_line(error)
            raise Broken(f"{self.about}{name} raised {type(error).__name__} for {about}: {said}") from error
        if not isinstance(found, Tensor):
            raise Broken(f"{self.about}{name} returned {type(found).__name__} for {about}, expected a tensor")
        return found

    def log_prob(self, y: Tensor, q: DiagonalGaussian) -> Tensor:
        """Log q(z) of each posterior, ``(..., k, m) -> (..., k)``.

        Raises:
            Skipped: if it breaks the contract, which `image.contract` reports.
        """
        return _sound(self.call("pushforward_log_prob", y, q.mean, q.log_variance), y)

    def log_prior(self, y: Tensor) -> Tensor:
        """Log p(z), ``(..., m) -> (...)``; raises as `log_prob`."""
        return _sound(self.call("pushforward_log_prior", y), y)

    def log_ratio(self, y: Tensor, q: DiagonalGaussian) -> Tensor:
        """Log q(z) - log p(z), ``(..., k, m) -> (..., k)``; raises as `log_prob`."""
        return self.log_prob(y, q) - self.log_prior(y)


def _sound(found: Tensor, y: Tensor) -> Tensor:
    if found.shape not in ((), y.shape[:-1]):
        raise Skipped(f"a log density has an unexpected shape, {_ELSEWHERE}")
    if not bool(torch.isfinite(found).all()):
        raise Skipped(f"a log density is not finite, {_ELSEWHERE}")
    return found.expand(y.shape[:-1])


def pushed_parts(candidate: Candidate, dtype: torch.dtype = torch.float64, *, valid: bool = True) -> list[PushedPart]:
    """The parts of the mapping whose image's density is used in the place of that of y.

    Args:
        candidate: what is checked.
        dtype: of the parameters.
        valid: whether `pushed` has to be dimensions of y.

    Raises:
        NotApplicable: if there is none.
        Skipped: if `pushed` has to be valid and is not.
    """
    parts = elements(candidate.mapping(dtype))
    known = [part.mapping for part in parts if part.reads_y and isinstance(part.mapping, Pushforward)]
    if not known:
        raise NotApplicable("it is not a Pushforward" if len(parts) == 1 else "no part that reads y is a Pushforward")
    about = [f"{type(part).__name__}: " if len(parts) > 1 else "" for part in known]
    found = [PushedPart(part, said) for part, said in zip(known, about, strict=True) if tuple(part.pushed)]
    if not found:
        raise NotApplicable("it forgets nothing about y: pushed is empty")
    if valid and not all(are_dims(one.pushed, one.part.y_dim) for one in found):
        raise Skipped(f"pushed is not valid, {_ELSEWHERE}")
    return found


def are_dims(dims: Any, y_dim: int) -> bool:
    """Whether these are different dimensions of y.

    >>> are_dims((0, 2), 3), are_dims((0, 0), 3), are_dims((3,), 3)
    (True, False, False)
    """
    return all(isinstance(d, int) and 0 <= d < y_dim for d in dims) and len(set(dims)) == len(dims)


# --- posteriors and draws -----------------------------------------------------------------------------------------


def posteriors_at(
    candidate: Candidate, name: str, m: int, rows: tuple[tuple[float, float, float], ...]
) -> DiagonalGaussian:
    """Posteriors with means of given lengths in random directions.

    Args:
        candidate: source of the randomness.
        name: of its stream.
        m: number of dimensions.
        rows: of each posterior the length of its mean, its log-variance, and by how much the latter varies.
    """
    length, log_variance, spread = (
        torch.tensor(column, dtype=torch.float64).unsqueeze(-1) for column in zip(*rows, strict=True)
    )
    generator = candidate.generator(name)
    direction = torch.randn(len(rows), m, generator=generator, dtype=torch.float64)
    mean = length * direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    # Up and down in turn, so that neighbours differ. In many dimensions each differs by less: what counts is the sum.
    size = 0.75 + 0.5 * torch.rand(len(rows), m, generator=generator, dtype=torch.float64)
    varied = spread * min(1.0, math.sqrt(4 / m)) * size * (-1.0) ** torch.arange(m)
    return DiagonalGaussian(mean.to(candidate.device), (log_variance + varied).to(candidate.device))


def near_posteriors(candidate: Candidate, m: int) -> DiagonalGaussian:
    """The prior, and three posteriors so near to it that the ratio of any two densities has a small variance."""
    rows = ((0.0, 0.0, 0.0), (0.3, 0.2, 0.1), (1.0, 0.3, 0.1), (0.0, 0.25, 0.12))
    return posteriors_at(candidate, "near posteriors", m, rows)


def far_posteriors(candidate: Candidate, m: int) -> DiagonalGaussian:
    """Four posteriors from near the prior to far from it and narrow, and one that is wider than the prior."""
    rows = ((0.5, -0.5, 0.2), (1.5, -1.0, 0.5), (2.0, -2.0, 0.5), (3.0, -4.0, 0.5), (0.0, 0.5, 0.3))
    return posteriors_at(candidate, "far posteriors", m, rows)


def noise(candidate: Candidate, name: str, *shape: int) -> Tensor:
    """Standard normal numbers, float64."""
    values = torch.randn(*shape, generator=candidate.generator(name), dtype=torch.float64)
    return values.to(candidate.device)
