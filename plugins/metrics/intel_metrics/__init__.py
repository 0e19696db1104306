"""Metrics of trained InteL-VAEs: did the bias take, and is the model better for it?

Names are loaded on first use, so that importing the package, or its `specs`, does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_metrics.class_shares import certainty as certainty
    from intel_metrics.clusters import matched_accuracy as matched_accuracy
    from intel_metrics.clusters import normalised_mutual_information as normalised_mutual_information
    from intel_metrics.clusters import purity as purity
    from intel_metrics.forest import balanced_accuracy as balanced_accuracy
    from intel_metrics.forest import few_shot_forest as few_shot_forest
    from intel_metrics.frechet import frechet_distance as frechet_distance
    from intel_metrics.frechet import frechet_of_moments as frechet_of_moments
    from intel_metrics.neighbours import prdc as prdc
    from intel_metrics.probe import linear_probe as linear_probe

__version__ = "0.1.0"

_HOMES = {
    "class_shares": ("certainty",),
    "clusters": (
        "matched_accuracy",
        "normalised_mutual_information",
        "purity",
    ),
    "forest": (
        "balanced_accuracy",
        "few_shot_forest",
    ),
    "frechet": (
        "frechet_distance",
        "frechet_of_moments",
    ),
    "neighbours": ("prdc",),
    "probe": ("linear_probe",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
