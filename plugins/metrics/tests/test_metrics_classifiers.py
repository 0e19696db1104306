"""Is a classifier of the data trained once, repeatable, kept, and honest about itself?"""

import json

import pytest
import torch
from intel_metrics import classifiers
from intel_metrics.classifiers import ClassifierSettings, LeNet, Logistic, classifier_of, settings_for

from intel_core import Dataset, NotApplicableError, Split

QUICK = {"epochs": 3, "batch": 32}


@pytest.fixture
def trainings(monkeypatch):
    """How often a classifier was trained."""
    seen = []
    train = classifiers.train_classifier

    def counted(*arguments, **keywords):
        seen.append(arguments)
        return train(*arguments, **keywords)

    monkeypatch.setattr(classifiers, "train_classifier", counted)
    return seen


@pytest.mark.parametrize("kind", ["lenet", "logistic"])
def test_it_learns_and_says_how_well(subject_of, stripes, kind):
    settings = settings_for(kind, 0).model_copy(update={"epochs": 15, "batch": 32})
    found = classifier_of(subject_of(*stripes), settings)
    assert found.accuracy > 0.95
    said = found.description
    assert said["test accuracy"] == found.accuracy
    assert said["hash"] == found.hash
    assert said["settings"] == settings.model_dump()
    assert said["trained on"] == "320 examples of the training part"


def test_it_is_trained_once_and_then_read(subject_of, stripes, trainings):
    subject = subject_of(*stripes)
    settings = ClassifierSettings(**QUICK)
    first, second = classifier_of(subject, settings), classifier_of(subject, settings)
    assert len(trainings) == 1
    assert first.description == second.description
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(first.probabilities(x), second.probabilities(x))
    assert torch.equal(first.features(x), second.features(x))


def test_a_seed_decides_the_weights(subject_of, stripes, tmp_path):
    subject = subject_of(*stripes)

    def hash_in(folder, seed):
        subject._cache_dir = tmp_path / folder
        return classifier_of(subject, ClassifierSettings(seed=seed, **QUICK)).hash

    torch.manual_seed(1)
    first = hash_in("a", 0)
    torch.manual_seed(2)
    assert hash_in("b", 0) == first
    assert hash_in("c", 1) != first


def test_the_callers_random_numbers_are_left_alone(subject_of, stripes):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    classifier_of(subject_of(*stripes), ClassifierSettings(**QUICK))
    assert torch.equal(torch.rand(3), expected)


def test_other_labels_or_another_split_are_another_classifier(subject_of, stripes, trainings):
    x, labels = stripes
    settings = ClassifierSettings(**QUICK)
    for subject in (subject_of(x, labels), subject_of(x, 1 - labels)):
        classifier_of(subject, settings)
    data = subject.dataset
    held = Split(data.validation.x.flip(0), data.validation.labels.flip(0))
    classifier_of(subject_of(Dataset("made up", data.train, held, data.test, data.support)), settings)
    assert len(trainings) == 3


@pytest.mark.parametrize("harm", ["weights", "record", "hash"])
def test_a_damaged_file_is_made_again(subject_of, stripes, trainings, harm):
    subject = subject_of(*stripes)
    settings = ClassifierSettings(**QUICK)
    first = classifier_of(subject, settings)
    (weights,), (record,) = (list(subject.cache("classifiers").glob(f"*.{end}")) for end in ("safetensors", "json"))
    if harm == "weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif harm == "record":
        record.write_text("{")
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"hash": "0" * 16}))
    assert classifier_of(subject, settings).hash == first.hash
    assert len(trainings) == 2
    classifier_of(subject, settings)
    assert len(trainings) == 2


def test_training_stops_where_validation_stops_improving(subject_of, stripes):
    """Labels that mean nothing: the validation loss is best near the start."""
    x, _ = stripes
    labels = torch.randint(0, 2, (400,), generator=torch.Generator().manual_seed(0))
    found = classifier_of(subject_of(x, labels), ClassifierSettings(rate=0.01, patience=2, epochs=200))
    assert found.about["epochs"] < 20
    assert found.accuracy < 0.75


def test_the_weights_of_the_best_epoch_are_kept(subject_of, stripes):
    """Those are the weights of whoever stops there."""
    x, _ = stripes
    labels = torch.randint(0, 2, (400,), generator=torch.Generator().manual_seed(0))
    subject, settings = subject_of(x, labels), ClassifierSettings(rate=0.01, patience=3, epochs=200)
    found = classifier_of(subject, settings)
    stopped = settings.model_copy(update={"epochs": found.about["epochs"]})
    assert classifier_of(subject, stopped).hash == found.hash


def test_a_class_that_training_has_not_seen_counts_as_wrong(subject_of, stripes):
    x, labels = stripes
    data = subject_of(x, labels).dataset
    test = Split(data.test.x, torch.full_like(data.test.labels, 9))
    subject = subject_of(Dataset("made up", data.train, data.validation, test, data.support))
    found = classifier_of(subject, ClassifierSettings(**QUICK))
    assert (found.accuracy, found.classes) == (0, [0, 1])


def test_progress_is_told(subject_of, stripes):
    subject, told = subject_of(*stripes), []
    subject.tell = lambda what, share: told.append((what, share))
    classifier_of(subject, ClassifierSettings(**QUICK))
    assert told[0] == ("training a lenet classifier of made up", 0)
    assert all(0 <= share <= 1 for _, share in told)


@pytest.mark.parametrize("labels", [None, torch.zeros(400, dtype=torch.int64)])
def test_data_without_two_classes_are_refused(subject_of, stripes, labels):
    with pytest.raises(NotApplicableError, match="made up"):
        classifier_of(subject_of(stripes[0], labels), ClassifierSettings())


def test_vectors_are_refused_by_a_lenet_only(subject_of):
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    subject = subject_of(x, (x[:, 0] > 0).long())
    with pytest.raises(NotApplicableError, match="a logistic classifier takes vectors"):
        classifier_of(subject, ClassifierSettings(kind="lenet"))
    assert classifier_of(subject, settings_for("logistic", 0)).accuracy > 0.85


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (3, 1, 5), (4, 218, 178)])
def test_a_lenet_takes_images_of_any_size(shape):
    net = LeNet(shape, 3)
    assert net(torch.zeros(2, *shape)).shape == (2, 3)
    assert net.features(torch.zeros(2, *shape)).shape == (2, 84)
    assert sum(p.numel() for p in net.parameters()) < 400_000


def test_logistic_probabilities_are_those_of_a_softmax(subject_of, stripes):
    net = Logistic((2,), 2)
    net.head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    about = {"settings": {"kind": "logistic"}, "classes": [0, 1], "hash": "", "test accuracy": 1.0}
    found = classifiers.Classifier(net, about).probabilities(torch.tensor([[2.0, 0.0]]))
    assert found[0, 0].item() == pytest.approx(1 / (1 + torch.e**-2))


def test_labels_of_other_classes_are_another_classifier(subject_of, stripes):
    """Classes 3 and 7 in place of 0 and 1: the same examples in the same order, and other names."""
    x, labels = stripes
    first = classifier_of(subject_of(x, labels), ClassifierSettings(**QUICK))
    second = classifier_of(subject_of(x, 4 * labels + 3), ClassifierSettings(**QUICK))
    assert (first.classes, second.classes) == ([0, 1], [3, 7])
