"""How does a latent space get holes? The Gaussian latent is projected to a circle, glued into a chain of loops.

Names are loaded on first use, so that importing the package or its spec does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_holes.loops import Loops as Loops
    from intel_holes.mapping import HolesMapping as HolesMapping
    from intel_holes.spec import HolesSpec as HolesSpec

__version__ = "0.1.0"

_HOMES = {"loops": ("Loops",), "mapping": ("HolesMapping",), "spec": ("HolesSpec",)}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
