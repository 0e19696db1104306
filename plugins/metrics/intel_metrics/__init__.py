"""Metrics of trained InteL-VAEs: did the bias take, and is the model better for it?

Names are loaded on first use, so that importing the package, or its `specs`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intel_metrics.class_shares import certainty
    from intel_metrics.clusters import matched_accuracy, normalised_mutual_information, purity
    from intel_metrics.forest import balanced_accuracy, few_shot_forest
    from intel_metrics.frechet import frechet_distance, frechet_of_moments
    from intel_metrics.neighbours import prdc
    from intel_metrics.probe import linear_probe

__version__ = "0.1.0"

_HOME_OF = {
    "balanced_accuracy": "forest",
    "certainty": "class_shares",
    "few_shot_forest": "forest",
    "frechet_distance": "frechet",
    "frechet_of_moments": "frechet",
    "linear_probe": "probe",
    "matched_accuracy": "clusters",
    "normalised_mutual_information": "clusters",
    "prdc": "neighbours",
    "purity": "clusters",
}

__all__ = [
    "balanced_accuracy",
    "certainty",
    "few_shot_forest",
    "frechet_distance",
    "frechet_of_moments",
    "linear_probe",
    "matched_accuracy",
    "normalised_mutual_information",
    "prdc",
    "purity",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_metrics.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
