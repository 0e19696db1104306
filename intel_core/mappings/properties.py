"""What does a mapping promise about itself? Its declared properties, and those of compositions of mappings.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Hoelder", "Locus", "Properties"]


@dataclass(frozen=True)
class Locus:
    """A place in the space of y where g is not smooth: all y whose coordinates `dims` are `point`, or lie in a cone.

    A cone of one direction is a ray, that of none the point. With free dimensions it is a cylinder over one of these.

    Attributes:
        dims: the dimensions of y that are pinned; all others are free.
        point: their values, or where the cone begins.
        directions: independent, of length 1, in those dimensions; the cone is their sums with weights of at least 0.

    >>> Locus((0, 1), (0.0, 0.0), ((1.0, 0.0),)).codimension
    1
    """

    dims: tuple[int, ...]
    point: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...] = ()

    @property
    def codimension(self) -> int:
        """1 for a place that separates two sides (a seam), more for one that a path can go around (a centre)."""
        return len(self.dims) - len(self.directions)

    def on_dims(self, dims: Sequence[int]) -> Locus:
        """The same place in a larger space, of which the mapping reads `dims`.

        >>> Locus((1,), (0.5,)).on_dims((3, 7)).dims
        (7,)
        """
        return replace(self, dims=tuple(dims[d] for d in self.dims))


@dataclass(frozen=True)
class Hoelder:
    """The promise ``‖g(y) - g(y')‖ <= constant ‖y - y'‖^exponent`` for all y, y' at most 1 apart.

    With the exponent 1, Lipschitz continuity.
    """

    constant: float
    exponent: float = 1.0


@dataclass(frozen=True)
class Properties:
    """What a mapping promises about itself; every promise can be tested.

    Attributes:
        continuous: g is continuous.
        injective: g is injective, hence Theorem 1 holds with equality.
        norm_bound: an upper bound of ``‖g(y)‖`` for all y, if there is one.
        clusters: the number of clusters into which the prior's mass is separated, if any.
        betti: Betti numbers (b0, b1, …) of the set near which g carries all but a vanishing part of the prior's
            mass; higher ones are 0. For the circle (1, 1), although g of a plane with eps > 0 is the open disc.
        sparsity: lower and upper bound of the mean Hoyer score of ``g(y)`` under the prior, if they are known.
        hoelder: how steep g may be.
        planes: pairs of dimensions of `y` in which the mapping acts, for pictures.
        centres: places of codimension 2 or more at which g is not smooth, or steep in all directions.
        seams: places that separate two sides and at which g is not smooth; for a ray this may be true only far from
            its origin (an asymptote).
    """

    continuous: bool = True
    injective: bool = False
    norm_bound: float | None = None
    clusters: int | None = None
    betti: tuple[int, ...] | None = None
    sparsity: tuple[float, float] | None = None
    hoelder: Hoelder | None = None
    planes: tuple[tuple[int, int], ...] = ()
    centres: tuple[Locus, ...] = ()
    seams: tuple[Locus, ...] = ()

    def on_dims(self, dims: Sequence[int], y_dim: int) -> Properties:
        """What is left of the promises when the mapping acts on `dims` of `y_dim` dimensions, the rest passed through.

        The norm and the sparsity are no longer bounded; passing dimensions through does not change the topology.

        >>> Properties(norm_bound=1.0, betti=(1, 1), planes=((0, 1),)).on_dims((2, 3), 4).planes
        ((2, 3),)
        """
        alone = len(dims) == y_dim
        steep = self.hoelder
        if steep is not None and not alone:
            # ‖Δz‖² <= C² h^2α + h², and h <= h^α up to 1
            steep = Hoelder(math.hypot(steep.constant, 1.0), steep.exponent)
        return replace(
            self,
            norm_bound=self.norm_bound if alone else None,
            sparsity=self.sparsity if alone else None,
            hoelder=steep,
            planes=tuple((dims[a], dims[b]) for a, b in self.planes),
            centres=tuple(place.on_dims(dims) for place in self.centres),
            seams=tuple(place.on_dims(dims) for place in self.seams),
        )

    def then(self, after: Properties) -> Properties:
        """The promises of ``after ∘ self``.

        The second mapping acts on an already mapped latent, so its places are not places of y. Clusters and topology
        are kept if it is a homeomorphism onto its image.

        >>> Properties(betti=(1, 1)).then(Properties(injective=True, norm_bound=2.0)).norm_bound
        2.0
        """
        embedding = after.continuous and after.injective
        steep = None
        if self.hoelder and after.hoelder and self.hoelder.exponent == after.hoelder.exponent == 1:
            # Lipschitz on small steps is Lipschitz on all; a product of other exponents would not be.
            steep = Hoelder(self.hoelder.constant * after.hoelder.constant)
        return Properties(
            continuous=self.continuous and after.continuous,
            injective=self.injective and after.injective,
            norm_bound=after.norm_bound,
            clusters=self.clusters if embedding else None,
            betti=self.betti if embedding else None,
            hoelder=steep,
            planes=self.planes,
            centres=self.centres,
            seams=self.seams,
        )
