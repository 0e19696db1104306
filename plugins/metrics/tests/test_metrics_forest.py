"""Few-shot forests: is nothing scored that was learned from, and is the split what it says?"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_metrics import balanced_accuracy, few_shot_forest, forest
from intel_metrics.forest import majority_accuracy, round_robin
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score

from intel_core import measure, parse_spec

RNG = np.random.default_rng(0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.integers(1, 6), n=st.integers(1, 50))
def test_balanced_accuracy_is_scikit_learns(seed, classes, n):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, n)
    predicted = target[rng.permutation(n)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of a single class
        expected = balanced_accuracy_score(target, predicted)
    assert balanced_accuracy(target, predicted) == pytest.approx(expected)


def test_the_majority_baseline_is_the_dummys():
    target = RNG.integers(0, 3, 50) * RNG.integers(0, 2, 50)
    dummy = DummyClassifier(strategy="most_frequent").fit(target[:, None], target)
    assert majority_accuracy(target) == dummy.score(target[:, None], target)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_classes_take_turns(labels):
    target = np.array(labels)
    order = round_robin(target)
    assert sorted(order.tolist()) == list(range(len(target)))
    counts = np.unique(target, return_counts=True)[1]
    classes = len(counts)
    for n in range(counts.min() * classes + 1):
        chosen = np.bincount(target[order[:n]], minlength=5)
        assert chosen[np.unique(target)].max() - chosen[np.unique(target)].min() <= 1


class Watched:
    """Notes what a forest learns from and is asked."""

    seen: list = []  # noqa: RUF012

    def __init__(self, **settings):
        self.settings = settings

    def fit(self, x, target):
        self.learned, self.target = x[:, 0].astype(int), target
        return self

    def predict(self, x):
        self.seen.append((self.settings, self.learned, self.target, x[:, 0].astype(int)))
        return np.zeros(len(x), dtype=int)


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(forest, "RandomForestClassifier", Watched)
    monkeypatch.setattr(Watched, "seen", [])
    return Watched.seen


def test_no_row_is_both_learned_from_and_scored(watched):
    n = 900
    target = (np.arange(n) % 10 == 0).astype(int)  # a tenth of the rows
    found = few_shot_forest(np.arange(n)[:, None].astype(float), target, (10, 40, 400), repeats=3, seed=5)
    assert [(one.examples, one.repeat) for one in found] == [(n, r) for r in range(3) for n in (10, 40)]
    for one, (options, learned, classes, scored) in zip(found, watched, strict=True):
        assert options == {"n_estimators": 50, "max_depth": 4, "random_state": one.repeat}
        assert len(learned) == len(set(learned)) == one.examples
        assert np.bincount(classes).tolist() == [one.examples // 2] * 2
        assert len(scored) == 300
        assert not set(learned) & set(scored)
        # The scored rows keep the frequencies of the data; what is learned from does not.
        assert one.majority == one.accuracy == (target[scored] == 0).mean()
        assert one.majority == pytest.approx(0.9, abs=0.05)
    scored_sets = [frozenset(scored.tolist()) for *_, scored in watched]
    assert len(set(scored_sets)) == 3  # another set for each repeat, the same for all sizes


def test_at_most_2000_rows_are_scored(watched):
    few_shot_forest(np.arange(9000)[:, None].astype(float), np.arange(9000) % 2, (10,), repeats=1)
    assert len(watched[0][3]) == 2000


def test_more_examples_and_better_features_help():
    target = np.arange(3000) % 4
    features = RNG.normal(size=(3000, 6)) + 1.5 * np.eye(6)[target]
    found = few_shot_forest(features, target, (10, 500), repeats=3)
    few, many = (np.mean([one.accuracy for one in found if one.examples == n]) for n in (10, 500))
    assert 0.25 < few < many - 0.1
    nothing = few_shot_forest(RNG.normal(size=(3000, 6)), target, (500,), repeats=2)
    assert all(one.accuracy == pytest.approx(0.25, abs=0.05) for one in nothing)


def test_seeds_repeat_and_differ():
    target = np.arange(200) % 2
    features = RNG.normal(size=(200, 2)) + target[:, None]
    first, again, other = (few_shot_forest(features, target, (10,), repeats=2, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_size_that_is_named_twice_is_measured_once(digits):
    (found,) = measure(digits, [parse_spec("metrics", "forest:examples=[10,10],repeats=2")], again=True)
    assert found.status == "measured", found.reason
    assert len(found.measurement.details["accuracy at 10"]) == 2
