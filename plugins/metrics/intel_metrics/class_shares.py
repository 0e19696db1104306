"""Do generated examples clearly show a class, and are all classes generated? A classifier of the data decides."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from intel_core.errors import RunError
from intel_core.evaluation.measurement import Measurement, Number
from intel_core.evaluation.subject import Subject
from intel_metrics.classifiers import classifier_of, settings_for
from intel_metrics.examples import grey_notes, is_images, take, treated
from intel_metrics.shares import share_error

__all__ = ["Certainty", "certainty"]

_ROWS = 1000


class Certainty(NamedTuple):
    """Share of uncertain rows, and of each class among the most likely ones, in [0, 1]."""

    uncertain: float
    shares: tuple[float, ...]


def certainty(probabilities: Tensor, below: float = 0.8) -> Certainty:
    """Share of rows that have no class of probability `below` or more, and how often each class is the most likely.

    Args:
        probabilities: shape ``(n, classes)``, rows that sum to 1.
        below: a row is uncertain if its largest probability is below this.

    Source: Miao et al., table 2 ("uncertainty", with 0.8).

    >>> certainty(torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.95, 0.05]]))
    Certainty(uncertain=0.25, shares=(0.75, 0.25))
    """
    n, classes = probabilities.shape
    top, which = probabilities.max(1)
    counts = torch.bincount(which, minlength=classes)
    return Certainty(int((top < below).sum()) / n, tuple((counts / n).tolist()))


def measure_certainty(
    subject: Subject,
    *,
    kind: Literal["logistic", "lenet"],
    n: int,
    below: float,
    classifier_seed: int,
    seed: int,
) -> Measurement:
    """Shares of generated examples that a classifier of the data is unsure of, and of each class.

    The arguments are the fields of `intel_metrics.specs.images.CertaintySpec`; `kind` is its `classifier`.
    """
    classifier = classifier_of(subject, settings_for(kind, classifier_seed))
    images = is_images(subject)
    x = treated(subject.generated(n, seed=seed), images)
    if not bool(torch.isfinite(x).all()):
        raise RunError(f"{subject.run.path} generates examples that are not finite numbers")
    subject.tell("classifying generated examples", 0.5)
    found = certainty(classifier.probabilities(x), below)
    test = subject.split("test")
    parts = (treated(take(test, rows), images) for rows in torch.split(torch.arange(len(test)), _ROWS))
    real = certainty(torch.cat([classifier.probabilities(part) for part in parts]), below)
    labels = subject.labels("test").cpu()
    counts = {label: int((labels == label).sum()) for label in classifier.classes}
    names = _names(classifier.classes, subject.dataset.class_names)
    numbers = {
        "uncertain": Number(
            value=100 * found.uncertain,
            error=100 * share_error(found.uncertain, n),
            unit="%",
            better="lower",
            beside={"real test data": 100 * real.uncertain},
            about=f"share of generated examples whose likeliest class has probability below {below:g}",
        ),
        "classifier accuracy": Number(
            value=100 * classifier.accuracy,
            error=100 * share_error(classifier.accuracy, len(test)),
            unit="%",
            beside={"most frequent class": 100 * max(counts.values()) / len(test)},
            about="of the classifier itself, on real test data: how far it can be trusted",
        ),
    }
    for place, (label, name, share) in enumerate(zip(classifier.classes, names, found.shares, strict=True)):
        numbers[f"share of {name}"] = Number(
            value=100 * share,
            error=100 * share_error(share, n),
            unit="%",
            beside={
                "real test data, classified": 100 * real.shares[place],
                "real test data, labels": 100 * counts[label] / len(test),
            },
            about=f"share of generated examples classified as {name}",
        )
    return Measurement(
        numbers=numbers,
        protocol={
            "data": subject.dataset.name,
            "fingerprint": subject.run.fingerprint,
            "generated": f"{n} means of p(x|z) at draws of the prior",
            "n": n,
            "real": f"all {len(test)} examples of the test part",
            "preprocessing": "clipped to [0, 1], real and generated alike" if images else "none; in the model's units",
            "below": below,
            "classifier": classifier.description,
            "hash": classifier.hash,
            "error": "of a share of independent draws",
            "seed": seed,
        },
        notes=grey_notes(subject),
    )


def _names(classes: list[int], known: tuple[str, ...]) -> list[str]:
    """A different name for each class: if names are equal, the label is added."""
    names = [known[label] if 0 <= label < len(known) else str(label) for label in classes]
    return [f"{name} ({label})" if names.count(name) > 1 else name for label, name in zip(classes, names, strict=True)]
