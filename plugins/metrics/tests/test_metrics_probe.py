"""The linear probe: is the penalty chosen on validation alone, is the test part scored once, is it honest?"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from intel_metrics import linear_probe, probe
from intel_metrics.specs.downstream import ProbeSpec
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from intel_core import DataError, NotApplicableError


def part(seed, n, noise=1.0):
    rng = np.random.default_rng(seed)
    target = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    return noise * rng.normal(size=(n, 4)) * [1, 10, 100, 0] + 2 * np.eye(4)[target] * [1, 10, 100, 0], target


def test_it_is_scikit_learns_regression_with_the_penalty_that_validation_prefers():
    train, validation, test = part(0, 80, 1.5), part(1, 200, 1.5), part(2, 300, 1.5)
    found = linear_probe(train, validation, test)
    models = {
        c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500)).fit(*train) for c in probe.STRENGTHS
    }
    scores = {c: model.score(*validation) for c, model in models.items()}
    assert len(set(scores.values())) > 1
    assert (found.strength, found.validation_accuracy) == (max(scores, key=scores.get), max(scores.values()))
    assert found.accuracy == pytest.approx(models[found.strength].score(*test))
    predicted = models[found.strength].predict(test[0])
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(test[1], predicted))
    assert found.converged


def test_the_test_part_chooses_nothing(monkeypatch):
    """Whatever the test labels are, the same model predicts them, and does so once."""
    asked = []
    predict = LogisticRegression.predict
    monkeypatch.setattr(
        probe.LogisticRegression, "predict", lambda self, x: asked.append((self.C, len(x))) or predict(self, x)
    )
    train, validation, test = part(0, 80), part(1, 60), part(2, 70)
    first = linear_probe(train, validation, test)
    assert [n for _, n in asked] == [60] * len(probe.STRENGTHS) + [70]
    assert asked[-1][0] == first.strength
    second = linear_probe(train, validation, (test[0], 2 - test[1]))
    assert (second.strength, second.validation_accuracy) == (first.strength, first.validation_accuracy)


def test_of_equally_good_penalties_the_strongest_is_taken():
    """Classes far apart, which every penalty tells."""
    target = np.arange(60) % 2
    features = 100.0 * target[:, None] + np.random.default_rng(0).normal(size=(60, 1))
    assert linear_probe(*[(features, target)] * 3).strength == min(probe.STRENGTHS)


def test_the_baseline_is_the_training_parts_majority():
    train, validation, test = part(0, 200), part(1, 50), part(2, 100)
    shifted = (test[0], np.where(np.arange(100) < 90, 2, 0))  # the test part's own majority is another class
    assert linear_probe(train, validation, shifted).majority == pytest.approx(0.1)


def test_features_without_information_score_as_the_majority():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(n, 3)), part(n, n)[1]) for n in (900, 400, 2000)]
    found = linear_probe(*parts)
    assert found.accuracy == pytest.approx(found.majority, abs=0.03)
    assert found.balanced_accuracy == pytest.approx(1 / 3, abs=0.03)


def test_a_fit_that_does_not_end_is_said(monkeypatch):
    monkeypatch.setattr(probe, "_STEPS", 1)
    assert not linear_probe(part(0, 200), part(1, 50), part(2, 50)).converged


def subject_with(subject_of, attributes=None, labels=None, n=400):
    """Vectors that are their own encodings."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    subject = subject_of(x, None if labels is None else labels(x))
    if attributes is not None:
        subject.run.spec.data.attributes = lambda data_dir: attributes(subject)
    as_they_are = SimpleNamespace
    subject.encode = lambda name="test", limit=None, *, seed=0: as_they_are(
        z_mean=subject.split(name).x, z=-subject.split(name).x
    )
    subject.run.encode = lambda part, *, seed=0, standardised: as_they_are(z_mean=part.x, z=-part.x)
    return subject


def signs(subject, parts=("train", "validation", "test")):
    """Attributes that are the signs of the coordinates, and one that nothing tells."""
    columns = {}
    for name in parts:
        x = subject.split(name).x
        noise = torch.rand(len(x), 1, generator=torch.Generator().manual_seed(len(x))) < 0.2
        columns[name] = torch.cat([x > 0, noise], 1).to(torch.uint8)
    return SimpleNamespace(names=("a", "b", "c", "noise"), **columns)


def test_classes_are_probed(subject_of):
    found = ProbeSpec().measure(subject_with(subject_of, labels=lambda x: (x[:, 1] > 0).long()))
    accuracy = found.numbers["accuracy"]
    assert accuracy.value > 0.9
    assert accuracy.error > 0
    assert 0.3 < accuracy.beside["most frequent class"] < 0.7
    assert found.numbers["balanced accuracy"].beside == {"most frequent class": 0.5}
    assert (found.protocol["train"], found.protocol["validation"], found.protocol["test"]) == (320, 40, 40)
    assert found.protocol["targets"] == "classes"


def test_attributes_are_probed_one_by_one(subject_of):
    found = ProbeSpec().measure(subject_with(subject_of, signs))
    assert list(found.details) == ["a", "b", "c", "noise"]
    assert all(found.details[name]["accuracy"] > 0.9 for name in "abc")
    assert found.details["noise"]["balanced_accuracy"] < 0.7
    values = [one["accuracy"] for one in found.details.values()]
    assert found.numbers["accuracy"].value == pytest.approx(np.mean(values))
    assert found.numbers["accuracy"].beside["most frequent class"] == pytest.approx(
        np.mean([one["majority"] for one in found.details.values()])
    )
    assert found.protocol["targets"] == "4 binary attributes"


def test_an_attribute_that_all_have_is_left_out(subject_of):
    def attributes(subject):
        said = signs(subject)
        said.train[:, 1] = 1
        return said

    found = ProbeSpec().measure(subject_with(subject_of, attributes))
    assert list(found.details) == ["a", "c", "noise"]
    assert found.notes == ("All training examples are alike in b.",)


@pytest.mark.parametrize("harm", ["rows", "values", "type"])
def test_attributes_that_do_not_fit(subject_of, harm):
    def attributes(subject):
        said = signs(subject)
        if harm == "rows":
            said.test = said.test[:-1]
        if harm == "values":
            said.validation = said.validation * 2
        return 3 if harm == "type" else said

    with pytest.raises(DataError, match="made up"):
        ProbeSpec().measure(subject_with(subject_of, attributes))


def test_fewer_training_examples_are_drawn_with_their_labels(subject_of):
    """Rows and labels stay together where only some are taken."""
    subject = subject_with(subject_of, labels=lambda x: (x[:, 1] > 0).long())
    found = ProbeSpec(examples=100).measure(subject)
    assert found.protocol["train"] == 100
    assert found.numbers["accuracy"].value > 0.9
    assert found.numbers == ProbeSpec(examples=100).measure(subject).numbers


def test_a_training_part_on_disk_is_read_by_rows(subject_of):
    """It offers rows and no tensor; the numbers are those of the same part in memory."""
    subject = subject_with(subject_of, labels=lambda x: (x[:, 1] > 0).long())
    expected = ProbeSpec().measure(subject)
    train = subject.split("train")
    on_disk = type("Streamed", (), {"labels": train.labels, "__len__": lambda self: len(train)})()
    on_disk.part = train.part
    in_memory = subject.split
    subject.split = lambda name="test": on_disk if name == "train" else in_memory(name)
    assert ProbeSpec().measure(subject) == expected


def test_data_without_classes(subject_of):
    with pytest.raises(NotApplicableError, match="no labels"):
        ProbeSpec().measure(subject_with(subject_of))
