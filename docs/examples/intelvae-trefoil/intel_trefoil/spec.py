"""What can be asked of the mapping? Listings and help import this, so torch is imported by `build` only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core import MappingSpec
from pydantic import Field

if TYPE_CHECKING:
    from intel_trefoil.mapping import TrefoilMapping

__all__ = ["TrefoilSpec"]


class TrefoilSpec(MappingSpec):
    """The plane, laid along the trefoil knot in space."""

    eps: float = Field(
        0.1, ge=1e-6, le=1, description="keeps g smooth at the origin: within about eps of it g leaves the knot"
    )

    def build(self, y_dim: int) -> TrefoilMapping:
        """The mapping from `y_dim` dimensions to three.

        Raises:
            ValueError: if there are not 2 of them; the user reads it as one line.
        """
        from intel_trefoil.mapping import TrefoilMapping

        if y_dim != 2:
            raise ValueError(f"a knot needs 2 latent dimensions, not {y_dim}; dims=0-1 chooses two")
        return TrefoilMapping(eps=self.eps)
