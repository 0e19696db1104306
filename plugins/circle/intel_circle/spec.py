"""Which settings have the circle, the sphere and the torus? Their specs; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.mappings.contract import MappingSpec

if TYPE_CHECKING:
    from intel_circle.mapping import SphereMapping

__all__ = ["CircleSpec", "SphereSpec", "TorusSpec"]


class _ProjectionSpec(MappingSpec):
    eps: float = Field(
        1e-7, ge=1e-12, le=1, description="keeps g continuous at the origin: nearer to it than eps, g is about y/eps"
    )
    form: Literal["paper", "smooth"] = Field(
        "paper", description="paper: y/(|y| + eps); smooth: y/sqrt(|y|^2 + eps^2), which is also smooth at the origin"
    )

    def _spheres(self, y_dim: int, sphere_dim: int, count: int) -> SphereMapping:
        from intel_circle.mapping import SphereMapping

        return SphereMapping(y_dim, sphere_dim, count, self.eps, self.form)


class CircleSpec(_ProjectionSpec):
    r"""The plane of the first two dimensions, projected to the unit circle.

    .. math:: g(y) = \frac{y}{\|y\|_2 + \varepsilon}

    Source: Miao et al., section 6.1.

    >>> CircleSpec().build(2).properties.betti
    (1, 1)
    """

    def build(self, y_dim: int) -> SphereMapping:
        """The mapping for `y_dim` dimensions; all but the first two pass through.

        Raises:
            ValueError: if there is only 1 dimension.
        """
        if y_dim < 2:
            raise ValueError("a circle needs 2 latent dimensions, there is 1")
        return self._spheres(y_dim, 2, 1)


class SphereSpec(_ProjectionSpec):
    """All dimensions (or those chosen by `dims`), projected to the unit sphere.

    Source: the circle of Miao et al., section 6.1, in any dimension.

    >>> SphereSpec().build(3).properties.betti
    (1, 0, 1)
    """

    def build(self, y_dim: int) -> SphereMapping:
        """The mapping for `y_dim` dimensions.

        Raises:
            ValueError: if there is only 1 dimension.
        """
        if y_dim < 2:
            raise ValueError("a sphere needs at least 2 latent dimensions, there is 1")
        return self._spheres(y_dim, y_dim, 1)


class TorusSpec(_ProjectionSpec):
    """The flat torus: each of several planes, projected to its own unit circle.

    >>> TorusSpec().build(4).properties.betti
    (1, 2, 1)
    """

    planes: int | None = Field(
        None, ge=1, le=64, description="number of planes (y0,y1), (y2,y3), …; as many as fit if unset"
    )

    def build(self, y_dim: int) -> SphereMapping:
        """The mapping for `y_dim` dimensions; those after the planes pass through.

        Raises:
            ValueError: if there are too few dimensions for the planes, or for a single one.
        """
        planes = self.planes or y_dim // 2
        if planes < 1 or y_dim < 2 * planes:
            there = "there is 1" if y_dim == 1 else f"there are {y_dim}"
            raise ValueError(
                f"a torus of {max(planes, 1)} planes needs {2 * max(planes, 1)} latent dimensions, {there}"
            )
        return self._spheres(y_dim, 2, planes)
