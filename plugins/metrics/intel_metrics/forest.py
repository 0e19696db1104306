"""How many labels does a random forest on z need? Few-shot classification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.labels import as_classes
from intel_metrics.features import Floats

__all__ = ["FewShot", "balanced_accuracy", "few_shot_forest", "majority_accuracy", "round_robin"]

Integers = NDArray[np.int64]
DEPTH, TREES = 4, 50
_SCORED = 2000
_SCORED_SHARE = 3


class FewShot(NamedTuple):
    """One forest: how many examples it was trained on, and its scores on rows on which no forest is trained."""

    examples: int
    repeat: int
    accuracy: float
    balanced_accuracy: float
    majority: float


def balanced_accuracy(target: Integers, predicted: Integers) -> float:
    """Mean over the classes in `target` of the share of their rows that are predicted correctly.

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    classes, place = np.unique(target, return_inverse=True)
    right = np.bincount(place, weights=predicted == target, minlength=len(classes))
    return float((right / np.bincount(place)).mean())


def majority_accuracy(target: Integers) -> float:
    """Accuracy of always predicting the most frequent class of these rows: slightly too high, never too low.

    >>> majority_accuracy(np.array([0, 0, 0, 1]))
    0.75
    """
    return float(np.unique(target, return_counts=True)[1].max() / len(target))


def round_robin(target: Integers) -> Integers:
    """Row numbers, taken from each class in turn and in their order, until a class is used up.

    >>> round_robin(np.array([5, 5, 5, 7, 7])).tolist()
    [0, 3, 1, 4, 2]
    """
    _, place = np.unique(target, return_inverse=True)
    turn = np.empty(len(target), dtype=np.int64)
    for one in range(place.max() + 1):
        rows = np.flatnonzero(place == one)
        turn[rows] = np.arange(len(rows))
    return np.lexsort((place, turn)).astype(np.int64)


def few_shot_forest(
    features: Floats,
    target: Integers,
    examples: tuple[int, ...],
    *,
    repeats: int = 10,
    seed: int = 0,
    tell: Callable[[float], None] | None = None,
) -> list[FewShot]:
    """Random forests of depth 4 and 50 trees on a few examples of each class.

    For each repeat the rows are shuffled with a seed of its own, and the last 2000 (a third, if there are fewer than
    6000) are set aside for scoring: they keep the class frequencies of the data. Of the others, the first n, taken from
    the classes in turn, are for training, for each n for which every class has enough rows.

    Source: Miao et al., figure 7, whose code takes rows from the classes in turn before it sets rows aside, so that
    frequent classes are over-represented among the latter.

    Args:
        features: shape ``(m, d)``.
        target: class of each row, shape ``(m,)``.
        examples: numbers n of training examples.
        repeats: number of repeats.
        seed: with the number of a repeat it decides its order; the seed of the forest itself is that number.
        tell: called with the share of repeats that are done.

    >>> rng = np.random.default_rng(0)
    >>> target = np.arange(300) % 2
    >>> found = few_shot_forest(rng.normal(size=(300, 2)) + 5 * target[:, None], target, (10, 5000), repeats=1)
    >>> [(one.examples, one.accuracy > 0.9) for one in found]
    [(10, True)]
    """
    scored = min(_SCORED, len(features) // _SCORED_SHARE)
    found = []
    for repeat in range(repeats):
        if tell is not None:
            tell(repeat / repeats)
        order = np.random.default_rng([seed, repeat]).permutation(len(features))
        rest, held = order[: len(order) - scored], order[len(order) - scored :]
        turns = rest[round_robin(target[rest])]
        classes, counts = np.unique(target[rest], return_counts=True)
        for n in examples:
            if n < len(classes) or -(-n // len(classes)) > counts.min():
                continue
            forest = RandomForestClassifier(n_estimators=TREES, max_depth=DEPTH, random_state=repeat)
            predicted = forest.fit(features[turns[:n]], target[turns[:n]]).predict(features[held])
            truth = target[held]
            right, balanced = float((predicted == truth).mean()), balanced_accuracy(truth, predicted)
            found.append(FewShot(n, repeat, right, balanced, majority_accuracy(truth)))
    return found


def measure_forest(
    subject: Subject,
    *,
    examples: Sequence[int],
    repeats: int,
    source: Literal["mean", "sample"],
    seed: int,
) -> Measurement:
    """Accuracy of random forests that were trained on z of few labelled examples of a run.

    The arguments are the fields of `intel_metrics.specs.downstream.ForestSpec`; `source` is its `features`.
    """
    labels = subject.labels("test")
    known = as_classes(labels, len(labels))
    if known is None or len(known[0]) < 2:
        raise NotApplicableError(f"the labels of {subject.dataset.name} are no classes that a forest could tell apart")
    encoding = subject.encode("test", seed=seed)
    features = np.asarray((encoding.z_mean if source == "mean" else encoding.z).double().numpy())
    target = np.asarray(known[1].numpy())

    def tell(share: float) -> None:
        subject.tell("random forests", share)

    asked = tuple(dict.fromkeys(examples))
    found = few_shot_forest(features, target, asked, repeats=repeats, seed=seed, tell=tell)
    sizes = [n for n in asked if sum(one.examples == n for one in found) == repeats]
    if not sizes:
        raise NotApplicableError(
            f"the test part of {subject.dataset.name} ({len(target)} examples, {len(known[0])} classes) cannot fill "
            f"any of examples={list(examples)} with equally many of each class"
        )
    numbers: dict[str, Number] = {}
    details: dict[str, Any] = {"examples": sizes}
    for kind, attribute in (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy")):
        for n in sizes:
            rows = [one for one in found if one.examples == n]
            values = [float(getattr(one, attribute)) for one in rows]
            details[f"{kind} at {n}"] = values
            baseline = float(np.mean([one.majority for one in rows])) if kind == "accuracy" else 1 / len(known[0])
            numbers[f"{kind} at {n}"] = Number(
                value=float(np.mean(values)),
                error=float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None,
                better="higher",
                beside={"most frequent class": baseline},
                about=f"of a random forest that learned from {n} labelled examples",
            )
    left_out = [n for n in asked if n not in sizes]
    return Measurement(
        numbers=numbers,
        protocol={
            "data": subject.dataset.name,
            "fingerprint": subject.run.fingerprint,
            "features": "g(posterior mean)" if source == "mean" else "g(posterior sample)",
            "rows": f"the test part's {len(target)} examples, shuffled for each repeat",
            "learned from": "classes in turn, never a row that is scored",
            "scored": min(_SCORED, len(target) // _SCORED_SHARE),
            "forest": f"scikit-learn, depth {DEPTH}, {TREES} trees",
            "repeats": repeats,
            "error": "standard deviation of the repeats over the root of their number; they share examples",
            "seed": seed,
        },
        details=details,
        notes=(f"Too few examples of some class for {left_out}.",) if left_out else (),
    )
