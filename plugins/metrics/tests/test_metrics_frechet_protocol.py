"""What is said with a Fréchet distance: a floor at the same size, few examples refused, features kept."""

import pytest
import torch
from intel_metrics import frechet_distance
from intel_metrics.features import RawExtractor, real_features
from intel_metrics.specs.images import FrechetSpec, PRDCSpec

from intel_core import NotApplicableError


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def vectors(subject_of):
    """6000 of them, half of which test; what is generated is twice as wide."""
    return subject_of(normal(6000, 3), generated=2 * normal(6000, 3, seed=1), test=0.5)


RAW = {"extractor": "raw"}


def test_few_examples_are_refused_unless_they_are_wanted(vectors):
    for spec in (FrechetSpec(n=2047, **RAW), FrechetSpec(n=2047, few=False, **RAW)):
        with pytest.raises(NotApplicableError, match=r"2047 examples a side are fewer than 2048.*few=true"):
            spec.measure(vectors)
    assert FrechetSpec(n=2048, **RAW).measure(vectors).protocol["n"] == 2048
    few = FrechetSpec(n=100, few=True, **RAW).measure(vectors)
    assert any("Fewer than 2048" in note for note in few.notes)


def test_a_small_test_part_is_as_few(subject_of):
    subject = subject_of(normal(4000, 3), generated=normal(6000, 3), test=0.5)
    with pytest.raises(NotApplicableError, match="2000 examples a side"):
        FrechetSpec(n=5000, **RAW).measure(subject)


def test_numbers_are_those_of_the_formula_at_equal_sizes(vectors):
    found = FrechetSpec(n=2500, **RAW).measure(vectors)
    number = found.numbers["frechet distance"]
    assert number.value == pytest.approx(3.0, abs=4 * number.error)  # of a standard normal and one twice as wide
    assert 0.01 < number.error < 0.3
    assert number.better == "lower"
    assert 0 < number.beside["real against real"] < 0.1
    assert found.protocol["n"] == 2500
    assert any("not comparable with published FID" in note for note in found.notes)


def test_the_floor_is_what_real_data_would_score(subject_of):
    """Generate other real examples of the same source, and the distance is the floor but for chance."""
    subject = subject_of(normal(6000, 3), generated=normal(6000, 3, seed=5), test=0.5)
    number = FrechetSpec(n=2048, **RAW).measure(subject).numbers["frechet distance"]
    assert number.value < 3 * number.beside["real against real"] < 0.05


def test_every_word_of_the_protocol(digits):
    found = FrechetSpec(few=True).measure(digits)
    classifier = found.protocol["extractor"]
    assert found.protocol["hash"] == classifier["hash"]
    assert classifier["test accuracy"] > 0.9
    assert set(classifier["settings"]) == {"kind", "seed", "epochs", "patience", "batch", "rate"}
    assert found.protocol["fingerprint"] == digits.dataset.summary()["fingerprint"]
    assert found.protocol["features"] == 84
    assert {"data", "real", "floor", "generated", "n", "preprocessing", "seed", "error"} <= set(found.protocol)
    assert found.protocol["preprocessing"] == "clipped to [0, 1], real and generated alike"


@pytest.mark.parametrize("spec", [FrechetSpec(few=True), PRDCSpec()])
def test_a_seed_gives_the_same_numbers_and_another_one_others(digits, spec):
    first, again = spec.measure(digits), spec.measure(digits)
    other = spec.model_copy(update={"seed": 1}).measure(digits)
    assert first == again
    assert first.numbers != other.numbers
    assert first.protocol["hash"] == other.protocol["hash"]


def test_prdc_of_generated_data_that_are_the_real_ones(subject_of):
    x = normal(300, 2)
    subject = subject_of(x, test=0.3)
    order = torch.randperm(90, generator=subject.generator(0, "real/test"))
    subject.generated = lambda n, *, seed=0: subject.dataset.test.x[order][:n]
    found = PRDCSpec(extractor="raw", k=3).measure(subject)
    assert [found.numbers[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert found.numbers["density"].value == pytest.approx(4 / 3)
    assert found.numbers["density"].beside["real against real"] < 1.3
    assert all(number.beside["real against real"] > 0 for number in found.numbers.values())
    assert found.protocol["k"] == 3


def test_few_neighbours_are_refused(subject_of):
    subject = subject_of(normal(40, 2), generated=normal(40, 2), test=0.2)
    with pytest.raises(NotApplicableError, match="8 examples a side are too few for k=8"):
        PRDCSpec(extractor="raw", k=8).measure(subject)


class Counting(RawExtractor):
    """A network, as far as the cache is concerned, that counts how often it is asked."""

    name = "counting"

    def __init__(self, hash):
        self.hash, self.asked = hash, 0

    def __call__(self, x):
        self.asked += 1
        return super().__call__(x)


def test_features_of_real_examples_are_kept(subject_of):
    x = normal(1200, 2)
    subject, extract = subject_of(x), Counting("a")
    first = real_features(subject, extract, x)
    assert extract.asked == 3
    assert real_features(subject, extract, x) == pytest.approx(first)
    assert extract.asked == 3
    real_features(subject, Counting("b"), x)
    real_features(subject, extract, x + 1)
    assert extract.asked == 6
    (one,) = (path for path in subject.cache("features").iterdir() if path.stat().st_mtime_ns == min(
        other.stat().st_mtime_ns for other in subject.cache("features").iterdir()
    ))  # fmt: skip
    one.write_bytes(b"damaged")
    assert real_features(subject, extract, x) == pytest.approx(first)
    assert extract.asked == 9


def test_raw_features_are_not_copied_into_the_cache(subject_of):
    x = normal(10, 2)
    subject = subject_of(x)
    assert frechet_distance(real_features(subject, RawExtractor(), x), x.double().numpy()) < 1e-12
    assert not list(subject.cache("features").iterdir())


def test_vectors_are_refused_where_images_are_needed(vectors):
    for spec in (FrechetSpec(), PRDCSpec(), FrechetSpec(extractor="inception")):
        with pytest.raises(NotApplicableError, match=r"needs images.*extractor=raw"):
            spec.measure(vectors)


def test_images_without_labels(subject_of, stripes):
    with pytest.raises(NotApplicableError, match="no labels"):
        FrechetSpec(few=True).measure(subject_of(stripes[0], generated=stripes[0].float() / 255))
