"""How does a latent space get the shape of a circle, a sphere or a torus? The Gaussian latent is projected to it.

Names are loaded on first use, so that importing the package or a spec does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_circle.mapping import SphereMapping as SphereMapping
    from intel_circle.spec import CircleSpec as CircleSpec
    from intel_circle.spec import SphereSpec as SphereSpec
    from intel_circle.spec import TorusSpec as TorusSpec
    from intel_circle.theory import kl_to_uniform as kl_to_uniform
    from intel_circle.theory import projected_normal_log_density as projected_normal_log_density

__version__ = "0.1.0"

_HOMES = {
    "mapping": ("SphereMapping",),
    "spec": ("CircleSpec", "SphereSpec", "TorusSpec"),
    "theory": ("kl_to_uniform", "projected_normal_log_density"),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
