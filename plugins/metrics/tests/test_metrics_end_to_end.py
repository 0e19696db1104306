"""From a run on scikit-learn's digits to stored measurements, as a user asks for them."""

import subprocess
import sys

import intel_metrics
import pytest

from intel_core import IntelError, measure, measurements, parse_spec

TEXTS = {
    "frechet:few=true": ["frechet distance"],
    "prdc": ["precision", "recall", "density", "coverage"],
    "certainty:n=500": ["uncertain", "classifier accuracy", *(f"share of {digit}" for digit in range(10))],
    "clusters": ["data in cluster 2", "prior in cluster 0", "distance of shares", "nmi", "matched accuracy", "purity"],
    "forest:examples=[10,50],repeats=2": ["accuracy at 10", "accuracy at 50", "balanced accuracy at 50"],
    "probe": ["accuracy", "balanced accuracy"],
}


def test_each_metric_is_measured_and_read_again(digits):
    specs = [parse_spec("metrics", text) for text in TEXTS]
    found = list(measure(digits, specs, again=True))
    assert [(one.status, one.reason) for one in found] == [("measured", "")] * len(TEXTS)
    for one, names in zip(found, TEXTS.values(), strict=True):
        numbers = one.measurement.numbers
        assert set(names) <= set(numbers)
        for name, number in numbers.items():
            assert number.about, name
            assert number.beside or name.startswith("learned"), name
        assert {"data", "fingerprint", "seed"} <= set(one.measurement.protocol)
        assert one.measurement.protocol["seed"] == 0
    assert list(measure(digits, specs)) == found
    stored = {one.metric: one for one in measurements(digits.run)}
    assert all(stored[one.metric] == one for one in found)


def test_what_has_nothing_to_say_gives_its_reason(digits, monkeypatch, tmp_path):
    import torch

    monkeypatch.delenv("INTEL_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    texts = ["frechet", "frechet:extractor=inception,few=true", "forest:examples=[1000]"]
    found = list(measure(digits, [parse_spec("metrics", text) for text in texts]))
    assert [one.status for one in found] == ["not applicable"] * 3
    assert "fewer than 2048" in found[0].reason
    assert "pt_inception-2015-12-05-6726825d.pth" in found[1].reason
    assert "cannot fill" in found[2].reason


def test_a_probe_beats_its_baseline_on_digits(digits):
    (found,) = measure(digits, [parse_spec("metrics", "probe")])
    accuracy = found.measurement.numbers["accuracy"]
    assert accuracy.value > accuracy.beside["most frequent class"] + 10 * accuracy.error


def test_a_sample_and_a_mean_are_other_features(digits):
    texts = ["probe", "probe:features=sample", "forest:examples=[20],repeats=1"]
    texts += ["forest:examples=[20],repeats=1,features=sample", "clusters", "clusters:features=sample"]
    found = [one.measurement for one in measure(digits, [parse_spec("metrics", text) for text in texts])]
    for mean, sample in zip(found[::2], found[1::2], strict=True):
        assert mean.numbers != sample.numbers
        assert mean.protocol != sample.protocol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frechet:extractor=lent", "extractor"),
        ("frechet:n=3", "n"),
        ("prdc:weights=a.pth", "weights are Inception's"),
        ("prdc:k=0", "k"),
        ("certainty:below=1.5", "below"),
        ("clusters:feature=mean", "did you mean 'features'"),
        ("forest:examples=[]", "examples"),
        ("probe:examples=1", "examples"),
    ],
)
def test_settings_out_of_bounds_are_refused(text, message):
    with pytest.raises(IntelError, match=message):
        parse_spec("metrics", text)


def test_specs_are_light():
    code = (
        "import sys; from intel_core import parse_spec; import intel_metrics;"
        "[parse_spec('metrics', text) for text in "
        f"{list(TEXTS)}];"
        "print([name for name in ('torch', 'numpy', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_the_same_whatever_was_imported():
    """A module of the name of a function would take its place in the package once it is imported."""
    import importlib
    import pkgutil

    names = set(intel_metrics.__all__)
    for module in pkgutil.iter_modules(intel_metrics.__path__):
        assert module.name not in names
        importlib.import_module(f"intel_metrics.{module.name}")
    for name in names:
        assert callable(getattr(intel_metrics, name))
        assert name in dir(intel_metrics)
    with pytest.raises(AttributeError, match="nothing"):
        intel_metrics.nothing  # noqa: B018
