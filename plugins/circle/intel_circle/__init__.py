"""Circles, spheres and tori as an inductive bias: the Gaussian latent is projected to them.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_circle.spec import CircleSpec, SphereSpec, TorusSpec

if TYPE_CHECKING:
    from intel_circle.mapping import SphereMapping
    from intel_circle.theory import kl_to_uniform, projected_normal_log_density

__version__ = "0.1.0"

_HOME_OF = {
    "SphereMapping": "mapping",
    "kl_to_uniform": "theory",
    "projected_normal_log_density": "theory",
}

__all__ = ["CircleSpec", "SphereMapping", "SphereSpec", "TorusSpec", "kl_to_uniform", "projected_normal_log_density"]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_circle' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_circle.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
