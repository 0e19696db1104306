"""The map itself: a direction of the plane, taken to a point of the trefoil knot by a polynomial."""

from __future__ import annotations

import torch
from intel_core import Hoelder, Locus, Properties
from intel_core.helpers.geometry import project_to_sphere, widened
from torch import Tensor, nn

__all__ = ["TrefoilMapping"]


class TrefoilMapping(nn.Module):
    r"""The projection to the unit disc, ``w = (y0 + i y1) / sqrt(‖y‖² + ε²)``, and then a polynomial of w.

    .. math:: g(y) = (\Im(w + 2 w^2),\ \Re(w - 2 w^2),\ -\Im w^3)

    On the circle ``w = exp(it)`` this is the usual trefoil, (sin t + 2 sin 2t, cos t - 2 cos 2t, -sin 3t). Powers of w
    rather than sines of the angle go on into the disc, where an angle would have no limit at the origin.

    Args:
        eps: ε > 0.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.y_dim, self.z_dim = 2, 3
        self.eps = eps

    def forward(self, y: Tensor) -> Tensor:
        """``z = g(y)``, ``(..., 2) -> (..., 3)``."""
        c, s = project_to_sphere(widened(y), self.eps, "smooth").unbind(-1)
        c2, s2 = c * c - s * s, 2 * c * s  # w²
        s3 = s2 * c + c2 * s  # the imaginary part of w³
        return torch.stack([s + 2 * s2, c - 2 * c2, -s3], dim=-1).to(y.dtype)

    @property
    def properties(self) -> Properties:
        """Continuous, bounded, one loop; not injective, and how steep.

        Read the first two coordinates as one complex number, second + i first = w - 2 conj(w)², and let r = |w| < 1,
        c = cos(3 arg w).

        - Norm: ‖g‖² = r² + 4r⁴ - 4r³c + r⁶(1 - c²) falls with c, so it is at most (r + 2r²)² < 9.
        - Not injective: g = 0 for w = 0 and for w = 1/2 times each third root of 1. No polynomial could mend that: a
          knot that bounds an embedded disc is trivial.
        - Steepness: w has slope at most 1 / sqrt(‖y‖² + ε²) = sqrt(1 - r²) / ε, the polynomial at most
          sqrt((1 + 4r)² + (3r²)²). The product is largest at r = 0.69, where it is 2.912 / ε.
        - One loop: for small ε nearly all of the prior's mass is near the knot, which is a circle; that it is knotted,
          its Betti numbers do not say.
        """
        return Properties(
            continuous=True,
            injective=False,
            norm_bound=3.0,
            betti=(1, 1) if self.eps <= 0.1 else None,
            hoelder=Hoelder(2.92 / self.eps),
            planes=((0, 1),),
            centres=(Locus((0, 1), (0.0, 0.0)),),
        )

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"eps={self.eps:g}"
