r"""How does a Gaussian become a posterior whose dimensions depend on each other? By Sylvester flows.

.. math:: f(y) = y + Q R_1 \tanh(R_2 Q^T y + b)

Q has M orthonormal columns and R_1, R_2 are upper triangular, M by M, so that Sylvester's identity gives

.. math:: \log |\det f'(y)| = \sum_{i=1}^M \log\big(1 + \tanh'(R_2 Q^T y + b)_i\, R_{1,ii} R_{2,ii}\big)
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Sylvester", "SylvesterFamily"]

_PACE = 0.1
"""By which the features of the flows are multiplied."""
_USUAL_RANK = 8
_LARGEST = 0.999
"""Bound of the diagonals: their product stays above -1 by rounding, too, so that every flow can be inverted."""


class Sylvester(NamedTuple):
    """A Gaussian ``base_mean + std * noise`` of independent dimensions, then F flows, for each of n examples.

    Attributes:
        base_mean: mean of the Gaussian, ``(n, y_dim)``.
        base_log_variance: its log-variances, ``(n, y_dim)``.
        q: orthonormal columns, ``(n, F, y_dim, M)``.
        r1: upper triangular matrices, ``(n, F, M, M)``.
        r2: upper triangular matrices, ``(n, F, M, M)``.
        b: shifts, ``(n, F, M)``.
    """

    base_mean: Tensor
    base_log_variance: Tensor
    q: Tensor
    r1: Tensor
    r2: Tensor
    b: Tensor

    @property
    def mean(self) -> Tensor:
        """What the flows make of the Gaussian's mean, ``(n, y_dim)``."""
        return self._flow(self.base_mean)[0]

    @property
    def std(self) -> Tensor:
        r"""Deviations by the flows' derivative J at the Gaussian's mean: the roots of the diagonal of
        :math:`J \,\mathrm{diag}(\sigma^2) J^T`, ``(n, y_dim)``. Exact if the flows are affine, else an approximation.
        """
        y = self.base_mean
        columns = torch.diag_embed(torch.exp(0.5 * self.base_log_variance))
        for f in range(self.q.shape[-3]):
            y, slope = self._step(f, y)
            inner = self.r2[..., f, :, :] @ self.q[..., f, :, :].mT @ columns
            columns = columns + self.q[..., f, :, :] @ self.r1[..., f, :, :] @ (slope.unsqueeze(-1) * inner)
        return columns.square().sum(-1).sqrt()

    def rsample(self, noise: Tensor) -> Tensor:
        """Y, ``(..., n, y_dim) -> (..., n, y_dim)``."""
        return self._flow(self._base(noise))[0]

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""y, and the Gaussian's log density minus the flows' log-determinants, ``(..., n)``, nats."""
        y, log_det = self._flow(self._base(noise))
        base = -0.5 * (noise.square() + self.base_log_variance + math.log(2 * math.pi)).sum(-1)
        return y, base - log_det

    def _base(self, noise: Tensor) -> Tensor:
        return torch.addcmul(self.base_mean, noise, torch.exp(0.5 * self.base_log_variance))

    def _flow(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The flows' image of y, ``(..., n, y_dim)``, and their log-determinants, ``(..., n)``."""
        diagonal = torch.diagonal(self.r1, dim1=-2, dim2=-1) * torch.diagonal(self.r2, dim1=-2, dim2=-1)
        log_det = torch.zeros((), dtype=y.dtype, device=y.device)
        for f in range(self.q.shape[-3]):
            y, slope = self._step(f, y)
            log_det = log_det + torch.log1p(slope * diagonal[..., f, :]).sum(-1)
        return y, log_det

    def _step(self, f: int, y: Tensor) -> tuple[Tensor, Tensor]:
        """One flow, and the derivative of its tanh, ``(..., n, M)``."""
        q = self.q[..., f, :, :]
        # einsum, not matmul, which would copy each example's matrices for every draw.
        inner = torch.einsum("...nd,ndm->...nm", y, q)
        inner = torch.tanh(torch.einsum("...nm,nkm->...nk", inner, self.r2[..., f, :, :]) + self.b[..., f, :])
        step = torch.einsum("...nm,nkm->...nk", inner, self.r1[..., f, :, :])
        return y + torch.einsum("...nm,ndm->...nd", step, q), 1 - inner.square()


class SylvesterFamily(nn.Module):
    r"""Features are means, log-variances, and for each flow what makes Q, R_1, R_2 and b.

    The features of the flows count a tenth, so that the flows begin close to the identity and change more slowly than
    means and log-variances do; with their full size the ELBO was a nat behind a diagonal Gaussian's after 20 epochs of
    MNIST (one seed), with a tenth it was 0.2 nats ahead after 8 (another seed).

    - ``orthogonal``: M = rank; Q from a QR decomposition, its signs fixed by those of R's diagonal.
    - ``householder``: M = y_dim; Q is a product of `rank` reflections :math:`I - 2 v v^T / |v|^2`.
    - ``triangular``: M = y_dim; Q is the identity and the reversal of the dimensions in turn.

    Both kinds of vectors are added to unit vectors, others for each flow, so that features of zeros give a
    Q as well. The diagonals are 0.999 tanh of features. With features of zeros every flow is the identity.

    Source: van den Berg et al., 2018, sections 4.1 to 4.3; all parameters depend on x there, too.

    Args:
        y_dim: number of dimensions.
        flows: number of flows F.
        rank: see above; by default 8, or `y_dim` where that is less. It must be None for ``triangular``.
        form: which Q.

    Raises:
        ValueError: if `rank` is more than `y_dim`.

    >>> family = SylvesterFamily(3, flows=2, rank=2)
    >>> q = family(torch.randn(4, family.features)).q
    >>> q.shape, bool(((q.mT @ q - torch.eye(2)).abs() < 1e-5).all())
    (torch.Size([4, 2, 3, 2]), True)
    """

    def __init__(
        self,
        y_dim: int,
        flows: int = 4,
        rank: int | None = None,
        form: Literal["orthogonal", "householder", "triangular"] = "orthogonal",
    ) -> None:
        super().__init__()
        if rank is not None and rank > y_dim:
            raise ValueError(
                f"rank={rank} is more than the {y_dim} {'dimension' if y_dim == 1 else 'dimensions'} of y, which "
                f"have no more orthonormal vectors; at most rank={y_dim}"
            )
        self.y_dim, self.flows, self.form = y_dim, flows, form
        self.rank = min(_USUAL_RANK, y_dim) if rank is None else rank
        self.m = self.rank if form == "orthogonal" else y_dim
        # In one dimension there is one direction, of which vectors would say nothing.
        self.vectors = 0 if form == "triangular" or y_dim == 1 else self.rank
        self.sizes = [y_dim * self.vectors, self.m * self.m, self.m, self.m]
        self.features, self.noise_dim = 2 * y_dim + flows * sum(self.sizes), y_dim

    def forward(self, features: Tensor) -> Sylvester:
        """``(n, features)`` -> q(y|x) of n examples."""
        width = sum(self.sizes)
        mean, log_variance, rest = torch.split(features, [self.y_dim, self.y_dim, self.flows * width], -1)
        rest = _PACE * rest
        vectors, both, second, b = torch.split(torch.unflatten(rest, -1, (self.flows, width)), self.sizes, -1)
        both = torch.unflatten(both, -1, (self.m, self.m))
        # Above the diagonal is R1's, below it R2's, transposed; the diagonal itself is R1's.
        first = torch.diagonal(both, dim1=-2, dim2=-1)
        r1 = torch.triu(both, 1) + torch.diag_embed(_LARGEST * torch.tanh(first))
        r2 = torch.tril(both, -1).mT + torch.diag_embed(_LARGEST * torch.tanh(second))
        return Sylvester(mean, log_variance, self._q(vectors), r1, r2, b)

    def _q(self, vectors: Tensor) -> Tensor:
        """Q of each example and flow, ``(n, F, y_dim, M)``."""
        eye = torch.eye(self.y_dim, dtype=vectors.dtype, device=vectors.device)
        if not self.vectors:
            turns = torch.stack([eye if f % 2 == 0 else eye.flip(-1) for f in range(self.flows)])
            return turns.expand(*vectors.shape[:-2], *turns.shape)
        # Another flow starts with other unit vectors, so that together they reach as many dimensions as they can.
        start = torch.stack([eye.roll(-f * self.rank, -1)[:, : self.rank] for f in range(self.flows)])
        vectors = torch.unflatten(vectors, -1, (self.y_dim, self.rank)) + start
        return _orthonormal(vectors) if self.form == "orthogonal" else _reflected(vectors, eye)


def _orthonormal(vectors: Tensor) -> Tensor:
    """The columns, made orthonormal one after another; unlike LAPACK's Q, a continuous function of them."""
    q: Tensor
    q, r = torch.linalg.qr(vectors)
    negative = torch.diagonal(r, dim1=-2, dim2=-1) < 0
    return torch.where(negative.unsqueeze(-2), -q, q)


def _reflected(vectors: Tensor, eye: Tensor) -> Tensor:
    """The product of the reflections along the columns."""
    q = eye.expand(*vectors.shape[:-2], *eye.shape)
    lengths = torch.linalg.vector_norm(vectors, dim=-2, keepdim=True)
    units = vectors / lengths.clamp_min(torch.finfo(vectors.dtype).tiny)
    for h in range(units.shape[-1]):
        v = units[..., h : h + 1]
        q = q - 2 * (q @ v) @ v.mT
    return q
