"""How are consecutive blocks of dimensions projected to unit spheres, and which properties has that mapping?"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn

from intel_core.helpers.geometry import forgets_radius, project_to_sphere, widened
from intel_core.helpers.projected_normal import direction_log_prob, log_sphere_area
from intel_core.mappings.properties import Hoelder, Locus, Properties

__all__ = ["SphereMapping"]

_MOST_BETTI = 16
"""Products that need more dimensions than this declare no Betti numbers, which nobody would compute from samples."""


class SphereMapping(nn.Module):
    r"""Each of several blocks of `sphere_dim` dimensions is projected to its own unit sphere; the rest passes through.

    ==========  =============================================  ==================================================
    form        g of one block                                 log |det| of one block of d dimensions, r = ‖y‖
    ==========  =============================================  ==================================================
    ``paper``   :math:`y / (\|y\| + \varepsilon)`              :math:`\log ε - (d + 1) \log(r + ε)`
    ``smooth``  :math:`y / \sqrt{\|y\|^2 + \varepsilon^2}`     :math:`2 \log ε - \frac{d + 2}{2} \log(r^2 + ε^2)`
    ==========  =============================================  ==================================================

    One block of two dimensions gives the circle, one block of all dimensions the sphere, and several blocks of two
    dimensions the flat torus. The image of the prior is the uniform distribution on the product of spheres, up to a
    shell inside it of thickness ε / r (``paper``) or ε² / 2r² (``smooth``).

    For ε > 0 the map is a homeomorphism onto a product of open balls, hence injective, so that Theorem 1 holds with
    equality. But all radii are squeezed into that shell, where a decoder cannot tell them apart (in float32 with
    ε = 1e-7 the radii from 0.5 to 3 are rounded to five numbers). The decoder sees only the direction, whose KL
    `intel_circle.kl_to_uniform` computes.

    Source: Miao et al., section 6.1.

    Args:
        y_dim: number of dimensions of y.
        sphere_dim: d, dimensions of each block; the sphere in it has d - 1.
        count: number of blocks.
        eps: ε > 0.
        form: see the table.

    Raises:
        ValueError: if the blocks need more dimensions than there are.

    >>> SphereMapping(y_dim=3, sphere_dim=2)(torch.tensor([[3.0, 4.0, 5.0]]))
    tensor([[0.6000, 0.8000, 5.0000]])
    """

    def __init__(
        self,
        y_dim: int,
        sphere_dim: int,
        count: int = 1,
        eps: float = 1e-7,
        form: Literal["paper", "smooth"] = "paper",
    ) -> None:
        super().__init__()
        if sphere_dim < 2 or count < 1 or sphere_dim * count > y_dim:
            raise ValueError(f"{count} spheres in {sphere_dim} dimensions each do not fit into {y_dim} dimensions")
        self.y_dim = self.z_dim = y_dim
        self.sphere_dim, self.count, self.eps, self.form = sphere_dim, count, eps, form
        self._used = sphere_dim * count

    def _blocks(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The blocks, ``(..., count, sphere_dim)``, and the other dimensions; both in float32 or float64."""
        y = widened(y)
        blocks = y[..., : self._used].reshape(*y.shape[:-1], self.count, self.sphere_dim)
        return blocks, y[..., self._used :]

    def _join(self, blocks: Tensor, rest: Tensor, like: Tensor) -> Tensor:
        mapped = blocks.flatten(-2)
        return (torch.cat([mapped, rest], dim=-1) if self._used < self.y_dim else mapped).to(like.dtype)

    def forward(self, y: Tensor) -> Tensor:
        """``z = g(y)``, ``(..., y_dim) -> (..., y_dim)``."""
        if self.count == 1 and self._used == self.y_dim:
            return project_to_sphere(widened(y), self.eps, self.form).to(y.dtype)
        blocks, rest = self._blocks(y)
        return self._join(project_to_sphere(blocks, self.eps, self.form), rest, y)

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``, for z of norm below 1 in each block; ``(..., y_dim) -> (..., y_dim)``.

        ``z ε / (1 - ‖z‖)``, or ``z ε / sqrt(1 - ‖z‖²)`` in the smooth form. The radius r of y is computed from 1 - ‖z‖,
        most of whose digits are lost to rounding. With u the rounding unit (1e-16 in float64, 6e-8 in float32) expect a
        relative error of about ``u r / ε``, or ``u r² / ε²`` in the smooth form. With the default ε this leaves useful
        digits only in float64 and in the paper's form.

        >>> g = SphereMapping(2, 2, eps=1e-3)
        >>> y = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
        >>> torch.allclose(g.inverse(g(y)), y)
        True
        """
        blocks, rest = self._blocks(z)
        squared = blocks.square().sum(-1, keepdim=True)
        tiny = torch.finfo(squared.dtype).eps  # for norms that were rounded to 1 or above
        room = (1 - squared.sqrt()).clamp(min=tiny) if self.form == "paper" else (1 - squared).clamp(min=tiny).sqrt()
        return self._join(blocks * (self.eps / room), rest, z)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log |det dg/dy|`` of each row, summed over the blocks, ``(..., y_dim) -> (...)``.

        >>> float(SphereMapping(2, 2, eps=1.0).log_abs_det_jacobian(torch.zeros(2)))
        0.0
        """
        blocks, _ = self._blocks(y)
        radius = torch.linalg.vector_norm(blocks, dim=-1)
        d = self.sphere_dim
        if self.form == "paper":
            terms = math.log(self.eps) - (d + 1) * torch.log(radius + self.eps)
        else:
            terms = 2 * math.log(self.eps) - (d + 2) * torch.log(torch.hypot(radius, radius.new_tensor(self.eps)))
        return terms.sum(-1).to(y.dtype)

    # --- Pushforward, ScaleFree and KeepsDirections ------------------------------------------------------------

    @property
    def pushed(self) -> tuple[int, ...]:
        """The blocks' dimensions, whose radius is forgotten; none if ε is so large that a decoder can read it in z."""
        return tuple(range(self._used)) if forgets_radius(self.eps, self.form) else ()

    @property
    def scale_free(self) -> tuple[tuple[int, ...], ...]:
        """The blocks."""
        d = self.sphere_dim
        return tuple(tuple(range(start, start + d)) for start in range(0, len(self.pushed), d))

    @property
    def kept_directions(self) -> tuple[tuple[int, ...], ...]:
        """The blocks."""
        return self.scale_free

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Log density of the directions of the blocks with respect to the area of the spheres (the limit ε → 0).

        See `intel_core.helpers.projected_normal.direction_log_prob`, whose sum over the blocks it is.
        """
        if self.count == 1:
            return direction_log_prob(y, mean, log_variance)
        shape = (self.count, self.sphere_dim)
        blocks = (value.reshape(*value.shape[:-1], *shape) for value in (y, mean, log_variance))
        return direction_log_prob(*blocks).sum(-1)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        """That of uniform directions: minus the logarithm of the area."""
        return y.new_full((), -self.count * log_sphere_area(self.sphere_dim))

    @property
    def properties(self) -> Properties:
        """Continuous and injective; bounded if no dimension passes through; Betti numbers by the Künneth formula."""
        d, whole = self.sphere_dim, self._used == self.y_dim
        starts = range(0, self._used, d)
        origin = tuple(0.0 for _ in range(d))
        pairs = itertools.combinations(range(d), 2) if d <= 3 else ((2 * i, 2 * i + 1) for i in range(d // 2))
        inside = list(pairs)
        return Properties(
            continuous=True,
            injective=True,
            norm_bound=math.sqrt(self.count) if whole else None,
            betti=_betti_of_product(d - 1, self.count) if d * self.count <= _MOST_BETTI else None,
            hoelder=Hoelder(1 / self.eps),
            planes=tuple((start + a, start + b) for start in starts for a, b in inside),
            centres=tuple(Locus(tuple(range(start, start + d)), origin) for start in starts),
        )

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{self.count} x S^{self.sphere_dim - 1} in R^{self.y_dim}, eps={self.eps:g}, form={self.form}"


def _betti_of_product(sphere: int, count: int) -> tuple[int, ...]:
    """Coefficients of ``(1 + t^n)^count``, the Poincaré polynomial of a product of n-spheres."""
    betti = [0] * (sphere * count + 1)
    for k in range(count + 1):
        betti[sphere * k] = math.comb(count, k)
    return tuple(betti)
