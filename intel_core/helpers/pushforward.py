r"""How large is KL(q(z|x) || p(z)) where g forgets something? By the densities that a mapping knows of its images.

.. math:: \log p(x) \ge E_q \log p(x|z) - KL(q(z|x) \| p(z)), \qquad KL(q(z|x) \| p(z)) \le KL(q(y|x) \| p(y))

with q(z|x) and p(z) the images of q(y|x) and p(y) under g (Theorem 1 of the paper). A circle forgets the radius of y,
and with it the part of the KL term that belongs to the radius. A bijection forgets nothing, and both terms are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from intel_core.helpers.directions_kl import Differentiated, DirectionsKL
from intel_core.helpers.parts_of_mapping import elements
from intel_core.mappings.contract import Mapping
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian

__all__ = ["Image", "KeepsDirections", "Pushforward", "ScaleFree", "ScaledFamily", "image_of", "scaled_family"]


@runtime_checkable
class Pushforward(Protocol):
    r"""A mapping that is no bijection, and knows the density of z = g(y) for a diagonal Gaussian y.

    With `pushed` its dimensions about which g forgets something, z consists of a part that depends on these alone and
    of one that a bijection makes of the others. Both densities are of the first part, with respect to one measure,
    whichever it is.
    """

    @property
    def pushed(self) -> tuple[int, ...]:
        """The dimensions of y about which g forgets something; none is a bijection."""
        ...

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Log density of g(Y) at g(y) for Y ~ N(mean, diag exp(log_variance)), in nats.

        All of the dimensions in `pushed` only: ``(..., n, m), (n, m), (n, m) -> (..., n)``.
        """
        ...

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        """The same for Y ~ N(0, I), ``(..., m) -> (...)``; or one number, where the prior is uniform."""
        ...


@runtime_checkable
class ScaleFree(Protocol):
    """A `Pushforward` that keeps only the direction of some blocks of dimensions."""

    @property
    def scale_free(self) -> tuple[tuple[int, ...], ...]:
        """The blocks: g(y) stays the same if those dimensions of y are multiplied by a positive number."""
        ...


@runtime_checkable
class KeepsDirections(Protocol):
    """A `Pushforward` that says of the dimensions in `pushed` what their directions are, no more and no less.

    Its densities are those of `intel_core.helpers.projected_normal.direction_log_prob`, up to a factor that both have.
    They are then computed for the whole KL term at once, which halves what it costs.
    """

    @property
    def kept_directions(self) -> tuple[tuple[int, ...], ...]:
        """The blocks: z and their directions determine each other, but for a set of measure 0. All of `pushed`."""
        ...


class _Pushed(NamedTuple):
    """A part of a mapping, and the dimensions of y about which it forgets something."""

    part: Pushforward
    dims: slice | list[int]


class Image:
    """What a mapping leaves of the KL term of diagonal Gaussians and N(0, I).

    Every part that reads y itself and is a `Pushforward` is taken in z; the dimensions that are left keep their closed
    form. Whatever later parts forget is not subtracted: the result lies between KL in z and KL in y.

    Args:
        parts: which parts, and which dimensions of y they forget something about; disjoint.
        y_dim: number of dimensions of y.
        blocks: those of which only the direction is kept.
        directions: blocks of dimensions of y whose directions all of the parts together keep; None if they do not.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Pushforward, Sequence[int]]],
        y_dim: int,
        blocks: Sequence[Sequence[int]] = (),
        directions: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.at_once = None if directions is None else DirectionsKL(directions, y_dim, self._by_densities)
        self._blocks = [_indices(block) for block in blocks]
        self._parts = [_Pushed(part, _indices(dims)) for part, dims in parts]
        pushed = {d for _, dims in parts for d in dims}
        rest = [d for d in range(y_dim) if d not in pushed]
        self._rest = _indices(rest) if rest else None

    def kl(self, posterior: DiagonalGaussian, y: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)) of each example: an unbiased estimate by the draws y, ``(..., n, y_dim) -> (..., n)``."""
        total: Tensor | float = 0.0
        if self._rest is not None:
            total = DiagonalGaussian(*(value[..., self._rest] for value in posterior)).kl().sum(-1)
        for ratio in self._ratios(posterior, y):
            total = total + ratio
        assert isinstance(total, Tensor)
        return total

    def draw(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draws of y as `rsample` makes them, and the means over n of `kl` and, without gradient, of `kl_in_y`."""
        if self.at_once is not None and self.at_once.applies(posterior, noise):
            return self.at_once.draw(posterior, noise)
        y = posterior.rsample(noise)
        with torch.no_grad():
            in_y = self.kl_in_y(posterior).mean(-1)
        return y, self.kl(posterior, y).mean(-1), in_y

    def differentiated(self, posterior: DiagonalGaussian, noise: Tensor, weight: float) -> Differentiated | None:
        """What `draw` gives with the gradients of the weighted `kl`, without autograd; None if they are not known."""
        if self.at_once is None or not self.at_once.applies(posterior, noise):
            return None
        return self.at_once.differentiated(posterior, noise, weight)

    def weigh(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws of y as `rsample` makes them, and `log_ratio` of each."""
        if self.at_once is not None and self.at_once.applies(posterior, noise):
            return self.at_once.weigh(posterior, noise)
        y = posterior.rsample(noise)
        return y, self.log_ratio(posterior, y, noise)

    def log_ratio(self, posterior: DiagonalGaussian, y: Tensor, noise: Tensor) -> Tensor:
        """``log q(z|x) - log p(z)`` at the draws ``y = mean + std * noise``, ``(..., n)``."""
        total: Tensor | float = 0.0
        if self._rest is not None:
            rest = self._rest
            squares = noise[..., rest].square() + posterior.log_variance[..., rest] - y[..., rest].square()
            total = -0.5 * squares.sum(-1)  # the constants cancel
        for ratio in self._ratios(posterior, y):
            total = total + ratio
        assert isinstance(total, Tensor)
        return total

    def kl_in_y(self, posterior: DiagonalGaussian) -> Tensor:
        r"""KL(q(y|x) || p(y)) of each example, ``(..., n)``, at the length of y at which it is smallest.

        With :math:`S = \sum_j (\mu_j^2 + \sigma_j^2)` in a block of d dimensions whose length is free, that is
        :math:`(S - d - d \log(S / d)) / 2` less than the closed form; for a posterior of a `ScaledFamily` nothing.
        """
        squares = posterior.mean.square() + posterior.log_variance.exp()
        doubled = (squares - posterior.log_variance - 1).sum(-1)
        for block in self._blocks:
            d = squares[..., block].shape[-1]
            length = squares[..., block].sum(-1) / d
            doubled = doubled - d * (length - 1 - length.log())
        return 0.5 * doubled

    def at_prior_lengths(self, y: Tensor, generator: torch.Generator) -> Tensor:
        """The rows of y with lengths of N(0, I) in the blocks of which only the direction is kept.

        g(y) stays the same, so that what is left of a difference from N(0, I) is one in z.

        Args:
            y: ``(n, y_dim)``, on the CPU.
            generator: of the lengths.
        """
        y = y.clone()
        for block in self._blocks:
            part = y[:, block]
            drawn = torch.randn(part.shape, generator=generator, dtype=y.dtype)
            length = torch.linalg.vector_norm(drawn, dim=-1, keepdim=True)
            y[:, block] = part * (length / torch.linalg.vector_norm(part, dim=-1, keepdim=True))
        return y

    def _by_densities(self, posterior: DiagonalGaussian, y: Tensor, noise: Tensor | None) -> Tensor:
        return self.kl(posterior, y).mean(-1) if noise is None else self.log_ratio(posterior, y, noise)

    def _ratios(self, posterior: DiagonalGaussian, y: Tensor) -> list[Tensor]:
        ratios = []
        for part, dims in self._parts:
            at = y[..., dims]
            q = part.pushforward_log_prob(at, posterior.mean[..., dims], posterior.log_variance[..., dims])
            ratios.append(q - part.pushforward_log_prior(at))
        return ratios


def image_of(mapping: Mapping) -> Image | None:
    """What a mapping leaves of the KL term; None if no part of it that reads y is a `Pushforward`.

    By the data processing inequality whatever is applied later only makes the KL smaller, so that the number is a bound
    in any composition.

    >>> from intel_core import load_mapping
    >>> image_of(load_mapping("identity", 2)) is None
    True
    >>> q = DiagonalGaussian(torch.tensor([[1.0, 0.0, 0.5]]), torch.zeros(1, 3))
    >>> y = torch.tensor([[2.0, 0.0, 3.0]])
    >>> kl = image_of(load_mapping("circle", 3)).kl(q, y)  # log 2 pi p(angle = 0), and 0.125 for the last dimension
    >>> round(float(kl), 4)
    1.124
    """
    pushed = [
        (part, part.mapping)
        for part in elements(mapping)
        if part.reads_y and isinstance(part.mapping, Pushforward) and part.mapping.pushed
    ]
    if not pushed:
        return None
    directions: list[list[int]] | None = None
    if all(isinstance(known, KeepsDirections) for _, known in pushed):
        kept = [(part, block) for part, known in pushed for block in cast(KeepsDirections, known).kept_directions]
        directions = [[part.dims[d] for d in block] for part, block in kept]
    parts = [(known, [part.dims[d] for d in known.pushed]) for part, known in pushed]
    return Image(parts, mapping.y_dim, _free_blocks(mapping), directions)


class ScaledFamily(DiagonalFamily):
    r"""Diagonal Gaussians whose scale is that of N(0, I) in blocks of dimensions of which g keeps the direction only.

    With :math:`c^2 = d / \sum_j (\mu_j^2 + \sigma_j^2)` in a block of d dimensions, mean and deviations are
    :math:`c \mu` and :math:`c \sigma`, so that :math:`E \|y\|^2 = d`. The length of y is free there: neither z nor KL
    in z depends on c. In training, where nothing else is looked at, nothing is scaled; whoever looks at y finds it
    where the prior is, wherever training has left it.

    Args:
        y_dim: number of dimensions of y.
        blocks: disjoint blocks of them.

    >>> q = ScaledFamily(2, [(0, 1)]).eval()(torch.tensor([[30.0, 40.0, 0.0, 0.0]]))
    >>> (q.mean.square() + q.std.square()).sum().round(decimals=4)
    tensor(2.)
    """

    def __init__(self, y_dim: int, blocks: Sequence[Sequence[int]]) -> None:
        super().__init__(y_dim)
        self.blocks = [list(block) for block in blocks]
        member = torch.zeros(y_dim, len(blocks))
        for index, block in enumerate(blocks):
            member[list(block), index] = 1.0
        self.register_buffer("_member", member, persistent=False)
        self.register_buffer("_sizes", member.sum(0).log(), persistent=False)
        self._member: Tensor
        self._sizes: Tensor

    def forward(self, features: Tensor) -> DiagonalGaussian:
        """See `PosteriorFamily`."""
        mean, log_variance = features.chunk(2, dim=-1)
        if self.training:
            return DiagonalGaussian(mean, log_variance)
        lengths = (mean.square() + log_variance.exp()) @ self._member
        log_square = (self._sizes - lengths.log()) @ self._member.T
        return DiagonalGaussian(mean * torch.exp(0.5 * log_square), log_variance + log_square)


def scaled_family(mapping: Mapping) -> ScaledFamily | None:
    """The family for a mapping some of whose blocks are free of scale; None if there are none."""
    blocks = _free_blocks(mapping)
    return ScaledFamily(mapping.y_dim, blocks) if blocks else None


def _free_blocks(mapping: Mapping) -> list[list[int]]:
    """Blocks of dimensions of y of which only the direction is kept."""
    return [
        [part.dims[d] for d in block]
        for part in elements(mapping)
        if part.reads_y and isinstance(part.mapping, ScaleFree)
        for block in part.mapping.scale_free
    ]


def _indices(dims: Sequence[int]) -> slice | list[int]:
    """A slice, which copies nothing, where the dimensions follow each other."""
    if list(dims) == list(range(dims[0], dims[0] + len(dims))):
        return slice(dims[0], dims[0] + len(dims))
    return list(dims)
