"""Which data can InteL-VAEs be trained on? Digits, MNIST, CelebA, synthetic sets, arrays, tables and image folders.

`intel_datasets.specs` holds the specs, which import neither torch nor any reader; every other module is one reader,
imported when its data are loaded. `intel_datasets.synthetic` also serves metrics, with samples and exact distances.
Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_datasets.specs.images import CelebASpec as CelebASpec
    from intel_datasets.specs.images import DigitsSpec as DigitsSpec
    from intel_datasets.specs.images import FashionMNISTSpec as FashionMNISTSpec
    from intel_datasets.specs.images import MNISTSpec as MNISTSpec
    from intel_datasets.specs.own import ArraysSpec as ArraysSpec
    from intel_datasets.specs.own import ImagesSpec as ImagesSpec
    from intel_datasets.specs.own import TableSpec as TableSpec
    from intel_datasets.specs.synthetic import CircleSpec as CircleSpec
    from intel_datasets.specs.synthetic import InfinitySpec as InfinitySpec
    from intel_datasets.specs.synthetic import MixtureSpec as MixtureSpec
    from intel_datasets.specs.synthetic import SphereSpec as SphereSpec
    from intel_datasets.specs.synthetic import SquareSpec as SquareSpec
    from intel_datasets.specs.synthetic import StarSpec as StarSpec
    from intel_datasets.specs.synthetic import ThreeLoopsSpec as ThreeLoopsSpec

__version__ = "0.1.0"

_HOMES = {
    "specs.images": ("CelebASpec", "DigitsSpec", "FashionMNISTSpec", "MNISTSpec"),
    "specs.own": ("ArraysSpec", "ImagesSpec", "TableSpec"),
    "specs.synthetic": (
        "CircleSpec",
        "InfinitySpec",
        "MixtureSpec",
        "SphereSpec",
        "SquareSpec",
        "StarSpec",
        "ThreeLoopsSpec",
    ),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
