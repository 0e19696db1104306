"""In which features are examples compared?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from intel_core import files
from intel_core.evaluation.subject import Subject
from intel_core.runs import checkpoint
from intel_metrics.examples import require_images

if TYPE_CHECKING:
    from intel_metrics.classifiers import Classifier

__all__ = [
    "Extractor",
    "ExtractorName",
    "Floats",
    "LeNetExtractor",
    "RawExtractor",
    "features_of",
    "make_extractor",
    "real_features",
]

Floats: TypeAlias = NDArray[np.float64]
ExtractorName = Literal["lenet", "inception", "raw"]
_ROWS = 500


class Extractor(Protocol):
    """Turns examples, images in [0, 1] or vectors, into features; each row by itself."""

    @property
    def name(self) -> str:
        """The name of the features, in one word."""
        ...

    @property
    def hash(self) -> str:
        """Identifies these features, e.g. a hash of weights."""
        ...

    @property
    def description(self) -> dict[str, JsonValue]:
        """What another person needs to get the same features."""
        ...

    def __call__(self, x: Tensor, /) -> Floats:
        """Features ``(n, d)`` of examples ``(n, *x_shape)``, float64."""
        ...


class RawExtractor:
    """The values themselves: pixels or coordinates.

    >>> RawExtractor()(torch.ones(2, 1, 2, 2)).shape
    (2, 4)
    """

    name = "raw"
    hash = "raw"

    @property
    def description(self) -> dict[str, JsonValue]:
        """Nothing but the name."""
        return {"name": self.name}

    def __call__(self, x: Tensor, /) -> Floats:
        """Flattened values, ``(n, *x_shape) -> (n, d)``."""
        return np.asarray(x.flatten(1).double().numpy())


def make_extractor(name: ExtractorName, subject: Subject, *, weights: str | None, seed: int) -> Extractor:
    """An extractor by name.

    Args:
        name: ``lenet``, a classifier of these data; ``inception``, of ImageNet; ``raw``, the values themselves.
        subject: whose data are compared.
        weights: file of Inception's weights.
        seed: of the LeNet's training.

    Raises:
        NotApplicableError: if it needs images, labels or weights and there are none.
    """
    if name == "raw":
        return RawExtractor()
    require_images(subject, f"extractor={name}", "extractor=raw compares the values themselves")
    if name == "inception":
        from intel_metrics.inception import InceptionExtractor, find_weights

        return InceptionExtractor(find_weights(weights), subject.run.model_device)
    from intel_metrics.classifiers import classifier_of, settings_for

    return LeNetExtractor(classifier_of(subject, settings_for("lenet", seed)))


class LeNetExtractor:
    """The last hidden layer of a LeNet that was trained to classify the data."""

    name = "lenet"

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def hash(self) -> str:
        """Hash of the weights."""
        return self._classifier.hash

    @property
    def description(self) -> dict[str, JsonValue]:
        """Training and accuracy of the classifier."""
        return self._classifier.description

    def __call__(self, x: Tensor, /) -> Floats:
        """Activations of the last hidden layer, ``(n, *x_shape) -> (n, 84)``."""
        return np.asarray(self._classifier.features(x).double().numpy())


def features_of(subject: Subject, extract: Extractor, x: Tensor) -> Floats:
    """Features of many examples, a few at a time, with progress."""
    parts = []
    for start in range(0, len(x), _ROWS):
        subject.tell(f"{extract.name} features", start / len(x))
        parts.append(extract(x[start : start + _ROWS]))
    return np.concatenate(parts)


def real_features(subject: Subject, extract: Extractor, x: Tensor) -> Floats:
    """As `features_of`, for real examples: cached under their content and the extractor's hash."""
    if extract.name == "raw":
        return features_of(subject, extract, x)
    content = hashlib.sha256(f"{extract.name} {extract.hash} {tuple(x.shape)}".encode())
    content.update(x.contiguous().numpy().data)
    path = subject.cache("features") / f"{extract.name}-{content.hexdigest()[:24]}.safetensors"
    known = _read(path, len(x))
    if known is not None:
        return known
    found = features_of(subject, extract, x)
    # Networks compute in float32, so storing that loses nothing.
    files.write_bytes(path, checkpoint.to_bytes({"features": torch.from_numpy(found).float()}))
    return found


def _read(path: Path, n: int) -> Floats | None:
    """Features from the cache; None if there are none, or the file is damaged."""
    try:
        features = safetensors.torch.load_file(path)["features"]
    except (OSError, safetensors.SafetensorError, KeyError):
        return None
    return np.asarray(features.double().numpy()) if len(features) == n else None
