"""Which clusters do the data have before a mapping with clusters is trained? Mixtures, k-means, labels, a file.

Names are loaded on first use, so that importing the package or its specs imports neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_starts.fits import best_mixture as best_mixture
    from intel_starts.fits import joined_mixture as joined_mixture
    from intel_starts.fits import nearest_centres as nearest_centres
    from intel_starts.from_file import FileStartSpec as FileStartSpec
    from intel_starts.labels import LabelsStartSpec as LabelsStartSpec
    from intel_starts.specs import KMeansStartSpec as KMeansStartSpec
    from intel_starts.specs import MixtureStartSpec as MixtureStartSpec
    from intel_starts.spreading import classes_by_labels as classes_by_labels
    from intel_starts.spreading import spread_labels as spread_labels

__version__ = "0.1.0"

_HOMES = {
    "fits": ("best_mixture", "joined_mixture", "nearest_centres"),
    "from_file": ("FileStartSpec",),
    "labels": ("LabelsStartSpec",),
    "specs": ("KMeansStartSpec", "MixtureStartSpec"),
    "spreading": ("classes_by_labels", "spread_labels"),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
