"""Are real and generated examples treated alike, and are the real ones that make the floor others?"""

import pytest
import torch
from intel_metrics.examples import grey_notes, require_images, sides, treated
from intel_metrics.specs.images import CertaintySpec, FrechetSpec, PRDCSpec

from intel_core import NotApplicableError, RunError


def test_values_outside_of_bytes_do_not_wrap_around():
    """Cast to bytes, 1.02 would become 4 of 255: almost black."""
    x = torch.tensor([[-0.02, 0.0, 0.5, 1.0, 1.02]])
    assert treated(x, images=True).tolist() == [[0, 0, 0.5, 1, 1]]


def test_no_image_is_rescaled_by_itself():
    dim = torch.full((3, 1, 4, 4), 0.1)
    dim[:, :, 0, 0] = 0.3
    assert torch.equal(treated(dim, images=True), dim)


def test_bytes_and_floats_are_the_same_image():
    x = torch.arange(256).to(torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(treated(x, images=True), treated(x.float() / 255, images=True))


def test_real_and_generated_images_go_through_one_rule(subject_of, stripes):
    x, labels = stripes
    subject = subject_of(x, labels, generated=2 * x.float() / 255 - 0.3)
    found = sides(subject, 10, seed=0)
    assert (found.generated.min(), found.generated.max()) == (0, 1)
    assert float(found.real.max()) == pytest.approx(float(x[:400].max()) / 255, abs=0.05)
    assert found.protocol["preprocessing"] == "clipped to [0, 1], real and generated alike"


def numbered(n):
    """Vectors that tell which they are."""
    return torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 2)


@pytest.mark.parametrize(("n", "test"), [(20, 0.5), (60, 0.2), (1000, 0.2)])
def test_the_floor_is_made_of_other_examples(subject_of, n, test):
    subject = subject_of(numbered(100), generated=torch.zeros(1000, 2), test=test)
    found = sides(subject, n, seed=0)
    kept = set(subject.dataset.test.x[:, 0].tolist())
    real, other = set(found.real[:, 0].tolist()), set(found.other[:, 0].tolist())
    size = min(n, len(kept))
    assert len(real) == len(other) == len(found.generated) == found.protocol["n"] == size
    assert real <= kept
    assert not real & other
    assert (other <= kept) == (len(kept) >= 2 * size)
    assert ("validation" in found.protocol["floor"]) == (len(kept) < 2 * size)


def test_other_seeds_choose_other_examples(subject_of):
    subject = subject_of(numbered(100), generated=torch.zeros(1000, 2), test=0.5)
    first, again, second = (sides(subject, 10, seed=seed).real for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_generated_values_that_are_not_finite_are_an_error(subject_of):
    subject = subject_of(numbered(100), generated=torch.full((100, 2), torch.nan))
    with pytest.raises(RunError, match="not finite"):
        sides(subject, 5, seed=0)


def test_a_part_that_lies_on_disk_is_read_by_rows(subject_of):
    """A part may offer read(rows) and no tensor; only the rows that are needed are read."""

    class Streamed:
        labels = None

        def __len__(self):
            return 1000

        def read(self, rows):
            assert len(rows) <= 20
            return rows.float()[:, None].repeat(1, 2) + 0.5

    subject = subject_of(numbered(100), generated=torch.zeros(100, 2))
    parts = {"test": subject.dataset.test, "validation": subject.dataset.validation, "train": Streamed()}
    subject.split = lambda name="test": parts[name]
    found = sides(subject, 10, seed=0)
    assert len(found.real) == len(found.other) == 10
    parts["validation"] = subject.dataset.validation.__class__(numbered(1))
    assert sum(float(v) % 1 == 0.5 for v in sides(subject, 10, seed=0).other[:, 0]) == 9


def test_binary_images_against_grey_means_are_said(subject_of, stripes):
    x, labels = stripes
    assert grey_notes(subject_of(x, labels)) == ()
    subject = subject_of((x > 120).to(torch.uint8), labels, generated=x.float() / 255)
    for spec in (FrechetSpec(extractor="raw", few=True), PRDCSpec(extractor="raw"), CertaintySpec(n=10)):
        assert any("binary" in note for note in spec.measure(subject).notes)
    assert torch.equal(treated(subject.generated(5), images=True), x[:5].float() / 255)  # the means are kept


def test_vectors_are_no_images(subject_of):
    with pytest.raises(NotApplicableError, match=r"a LeNet needs images in \[0, 1\], made up has no images"):
        require_images(subject_of(numbered(100)), "a LeNet")


def test_images_of_other_values_are_not_clipped_in_silence(subject_of):
    x = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(NotApplicableError, match=r"outside \[0, 1\]"):
        require_images(subject_of(x), "extractor=lenet")
