"""What can a linear classifier predict from z? Logistic regression on fixed features."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from intel_core.errors import DataError
from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.labels import as_classes
from intel_metrics.features import Floats
from intel_metrics.forest import balanced_accuracy
from intel_metrics.shares import share_error

__all__ = ["STRENGTHS", "Attributed", "Probe", "linear_probe"]

Integers = NDArray[np.int64]
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths C of the L2 penalty, of which one is chosen on the validation part."""
_STEPS = 500


@runtime_checkable
class Attributed(Protocol):
    """The result of the method `attributes(data_dir)` of a data set whose examples have several 0/1 attributes.

    The method is optional: a data set without it has only classes, or nothing that a probe could predict.

    Attributes:
        names: names of the A attributes.
        train: 0 or 1, shape ``(n, A)``, the rows in the order of the training part.
        validation: the same for the validation part.
        test: the same for the test part.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """See the class."""
        ...

    @property
    def train(self) -> Tensor:
        """See the class."""
        ...

    @property
    def validation(self) -> Tensor:
        """See the class."""
        ...

    @property
    def test(self) -> Tensor:
        """See the class."""
        ...


class Probe(NamedTuple):
    """A linear classifier's scores on the test part, in [0, 1].

    Attributes:
        accuracy: share of rows that are predicted correctly.
        balanced_accuracy: mean of that share over the classes.
        majority: accuracy of always predicting the training part's most frequent class.
        strength: the inverse penalty C that was chosen.
        validation_accuracy: the validation accuracy by which it was chosen.
        converged: whether the fit with it converged.
    """

    accuracy: float
    balanced_accuracy: float
    majority: float
    strength: float
    validation_accuracy: float
    converged: bool


def linear_probe(
    train: tuple[Floats, Integers], validation: tuple[Floats, Integers], test: tuple[Floats, Integers]
) -> Probe:
    """Multinomial logistic regression with an L2 penalty chosen on the validation part; the test part is used once.

    Each feature is standardised with its mean and standard deviation on the training rows.

    Args:
        train: features ``(n, d)`` and classes ``(n,)``.
        validation: the same, to choose C of `STRENGTHS`, the smallest of equally good ones.
        test: the same, to be scored.

    Raises:
        ValueError: if the training rows are all of one class.

    >>> rng = np.random.default_rng(0)
    >>> def part(n):
    ...     target = np.arange(n) % 2
    ...     return rng.normal(size=(n, 3)) + 4 * target[:, None], target
    >>> linear_probe(part(100), part(50), part(200)).accuracy > 0.95
    True
    """
    mean, scale = train[0].mean(0), train[0].std(0)
    scale = np.where(scale > 0, scale, 1.0)
    best: tuple[float, float, bool, LogisticRegression] | None = None
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=_STEPS)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit((train[0] - mean) / scale, train[1])
        right = float((model.predict((validation[0] - mean) / scale) == validation[1]).mean())
        if best is None or right > best[0]:
            best = right, strength, not any(issubclass(w.category, ConvergenceWarning) for w in caught), model
    assert best is not None
    right, strength, converged, model = best
    predicted, target = model.predict((test[0] - mean) / scale), test[1]
    classes, counts = np.unique(train[1], return_counts=True)
    return Probe(
        accuracy=float((predicted == target).mean()),
        balanced_accuracy=balanced_accuracy(target, predicted),
        majority=float((target == classes[counts.argmax()]).mean()),
        strength=strength,
        validation_accuracy=right,
        converged=converged,
    )


_PARTS = ("train", "validation", "test")


def measure_probe(
    subject: Subject,
    *,
    examples: int,
    source: Literal["mean", "sample"],
    seed: int,
) -> Measurement:
    """Accuracy of logistic regression on z of a run, of classes or attributes.

    The arguments are the fields of `intel_metrics.specs.downstream.ProbeSpec`; `source` is its `features`.
    """
    names, targets = _attributes(subject) or _classes(subject)
    rows = {name: _rows(subject, name, examples, seed) for name in _PARTS}
    features = {name: _features(subject, name, rows[name], source, seed) for name in _PARTS}
    found: dict[str, Probe] = {}
    left_out: list[str] = []
    for column, name in enumerate(names):
        subject.tell("linear probe", column / len(names))
        parts = [(features[part], targets[part][rows[part].numpy(), column]) for part in _PARTS]
        if len(np.unique(parts[0][1])) < 2:
            left_out.append(name)
            continue
        found[name] = linear_probe(parts[0], parts[1], parts[2])
    if not found:
        raise NotApplicableError(f"the {len(rows['train'])} training examples are all of one class")
    many = len(names) > 1
    n = len(rows["test"])
    numbers = {}
    for kind, attribute in (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy")):
        values = [float(getattr(one, attribute)) for one in found.values()]
        beside = {"most frequent class": float(np.mean([one.majority for one in found.values()]))}
        if kind == "balanced accuracy":
            beside = {"most frequent class": 0.5 if many else 1 / len(np.unique(targets["test"][rows["test"].numpy()]))}
        value = float(np.mean(values))
        numbers[kind] = Number(
            value=value,
            # Attributes of one image are not independent, so their mean has no simple error.
            error=share_error(value, n) if kind == "accuracy" and not many else None,
            better="higher",
            beside=beside,
            about=f"of logistic regression on z, test part{f', mean over {len(found)} attributes' if many else ''}",
        )
    protocol: dict[str, JsonValue] = {
        "data": subject.dataset.name,
        "fingerprint": subject.run.fingerprint,
        "features": ("g(posterior mean)" if source == "mean" else "g(posterior sample)")
        + ", standardised by the training rows",
        "targets": f"{len(names)} binary attributes" if many else "classes",
        "train": len(rows["train"]),
        "validation": len(rows["validation"]),
        "test": n,
        "model": f"scikit-learn LogisticRegression, L2 penalty, at most {_STEPS} steps",
        "penalty": f"C of {list(STRENGTHS)}, chosen by validation accuracy; the test part is scored once",
        "error": "of a share of independent rows",
        "seed": seed,
    }
    slow = [name for name, one in found.items() if not one.converged]
    notes = [f"Not converged in {_STEPS} steps: {', '.join(slow)}."] if slow else []
    if left_out:
        notes.append(f"All training examples are alike in {', '.join(left_out)}.")
    details: dict[str, Any] = {name: one._asdict() for name, one in found.items()}
    return Measurement(numbers=numbers, protocol=protocol, details=details, notes=tuple(notes))


def _attributes(subject: Subject) -> tuple[tuple[str, ...], dict[str, Integers]] | None:
    """Names and 0/1 columns of each part, if the data set's spec offers them; see `Attributed`."""
    offer = getattr(subject.run.spec.data, "attributes", None)
    if not callable(offer):
        return None
    said = offer(subject.data_dir)
    if not isinstance(said, Attributed):
        raise DataError(f"{subject.dataset.name}: attributes() gives {type(said).__name__}, without names and parts")
    columns = {name: np.asarray(getattr(said, name).numpy(), dtype=np.int64) for name in _PARTS}
    for name, values in columns.items():
        expected = (len(subject.split(name)), len(said.names))
        if values.shape != expected or not np.isin(values, (0, 1)).all():
            raise DataError(
                f"{subject.dataset.name}: attributes of the {name} part have shape {values.shape}, expected {expected} "
                "of 0 and 1"
            )
    return tuple(said.names), columns


def _classes(subject: Subject) -> tuple[tuple[str, ...], dict[str, Integers]]:
    """The labels as one column of each part."""
    labels = {name: subject.labels(name) for name in _PARTS}
    if any(as_classes(values, len(values)) is None for values in labels.values()):
        raise NotApplicableError(f"the labels of {subject.dataset.name} are no classes")
    return ("class",), {name: np.asarray(values.cpu().numpy())[:, None] for name, values in labels.items()}


def _rows(subject: Subject, name: str, examples: int, seed: int) -> Tensor:
    """Row numbers of a part; if the training part is larger than asked for, a random choice of them."""
    n = len(subject.split(name))
    if name != "train" or n <= examples:
        return torch.arange(n)
    return torch.randperm(n, generator=subject.generator(seed, "probe"))[:examples]


def _features(subject: Subject, name: str, rows: Tensor, source: Literal["mean", "sample"], seed: int) -> Floats:
    subject.tell(f"encoding the {name} part", _PARTS.index(name) / len(_PARTS))
    if name == "train":  # only some rows of it, and it may be on disk
        encoding = subject.run.encode(subject.split(name).part(rows), seed=seed, standardised=True)
    else:
        encoding = subject.encode(name, seed=seed)
    return np.asarray((encoding.z_mean if source == "mean" else encoding.z).double().numpy())
