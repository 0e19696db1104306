"""Which settings has the mapping with holes? Its spec; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.mappings.contract import MappingSpec

if TYPE_CHECKING:
    from intel_holes.mapping import HolesMapping

__all__ = ["HolesSpec"]


class HolesSpec(MappingSpec):
    r"""A chain of h loops: the plane is projected to the circle, and h - 1 pairs of its points are glued.

    .. math:: g(y) = \left(c,\; s \left(\sqrt{4/3 - v(c)^2} - 1/\sqrt3\right)\right),
        \qquad (c, s) = \frac{y}{\|y\| + ε}

    where v is the distance of c from the loop's apex, scaled to be 1 at the loop's glue points. For h = 2,
    v = 1 - \|c\|.

    Source: Miao et al., section 6.1, equation (5), for h = 2; this plugin's README for other h.

    >>> HolesSpec(h=2).build(2).properties.betti
    (1, 2)
    """

    h: int = Field(2, ge=1, le=64, description="number of holes; h=2 is the paper's figure eight, h=1 an ellipse")
    spacing: Literal["mass", "width"] = Field(
        "mass", description="mass: every loop gets 1/h of the prior's mass; width: all loops have the same width"
    )
    size: Literal["natural", "equal"] = Field(
        "natural", description="natural: the loops as the circle makes them; equal: all have the same width and height"
    )
    scale: float = Field(1.0, gt=0, le=1e3, description="factor on z; the authors' notebook has 2")
    eps: float = Field(1e-7, ge=1e-12, le=1, description="keeps g continuous at the origin, as for the circle")
    form: Literal["paper", "smooth"] = Field(
        "paper", description="paper: y/(|y| + eps); smooth: y/sqrt(|y|^2 + eps^2), which is also smooth at the origin"
    )

    def build(self, y_dim: int) -> HolesMapping:
        """The mapping for `y_dim` dimensions; all but the first two pass through.

        Raises:
            ValueError: if there is only 1 dimension.
        """
        from intel_holes.loops import make_loops
        from intel_holes.mapping import HolesMapping

        loops = make_loops(self.h, self.spacing, self.size)
        return HolesMapping(loops, y_dim, scale=self.scale, eps=self.eps, form=self.form)
