"""What do the metrics of latents, likelihood and manifold say of real, tiny runs? Through `measure`, end to end."""

import math

import numpy as np
import pytest
import torch

from intel_core import Measured, Subject, fit, load_run, make_dataset, measure, parse_spec
from intel_core.helpers.hoyer import gaussian_floor

BY_NAME = {
    "likelihood": "particles=20",
    "hoyer": "",
    "units": "",
    "aggregate": "limit=100,permutations=39,pairs=3,directions=10",
    "diagnosis": "",
    "manifold": "n=500,places=200",
    "betti": "n=300,mass=0.05,bootstraps=20",
}
TINY = {"steps": 30, "encoder": "mlp:hidden=[8]", "decoder": "mlp:hidden=[8]", "evaluate_every": 10**6, "device": "cpu"}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr("intel_metrics.homology.CELLS", {1: 100, 2: 24, 3: 10})


def ask(run, *names, **settings):
    specs = [parse_spec("metrics", f"{name}:{settings.get(name, BY_NAME[name])}".rstrip(":")) for name in names]
    return dict(zip(names, measure(Subject(run), specs), strict=True))


@pytest.fixture(scope="module")
def circle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "circle"
    settings = {**TINY, "data": "circle:n=500,standardize=true", "mapping": "holes:h=2", "latent": 2}
    return fit(run_dir=folder, **settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (400, 1, 3, 3)).astype(np.uint8)
    settings = {**TINY, "mapping": "hierarchy:levels=[1,2]", "latent": 3}
    run = fit(data=x, labels=np.arange(400) % 3, run_dir=tmp_path_factory.mktemp("runs") / "images", **settings)
    return run, make_dataset("images", x, np.arange(400) % 3)


def test_every_metric_says_something_of_a_synthetic_run_and_the_same_again(circle, monkeypatch):
    first = ask(circle, *BY_NAME)
    assert {name: found.status for name, found in first.items()} == dict.fromkeys(BY_NAME, "measured")
    for found in first.values():
        assert isinstance(found, Measured)
        assert found.measurement.protocol["seed"] == 0
        assert all(number.about for name, number in found.measurement.numbers.items() if found.name != "diagnosis")
        # whatever decides the numbers is in the protocol
        own = {
            k: v for k, v in parse_spec("metrics", found.metric).model_dump().items() if k in ("particles", "n", "mass")
        }
        for value in own.values():
            assert value in found.measurement.protocol.values()
    again = {
        one.name: one.measurement
        for one in measure(
            Subject(load_run(circle.path)), [parse_spec("metrics", f.metric) for f in first.values()], again=True
        )
    }
    assert again == {name: found.measurement for name, found in first.items()}
    other = ask(circle, "aggregate", aggregate=BY_NAME["aggregate"] + ",seed=1")["aggregate"].measurement
    assert other.numbers != first["aggregate"].measurement.numbers


def test_likelihood_of_a_run(circle):
    found = ask(circle, "likelihood")["likelihood"].measurement
    numbers = found.numbers
    assert numbers["gap"].value == pytest.approx(numbers["log p"].value - numbers["elbo"].value)
    assert numbers["gap"].value > 0
    assert 1 <= numbers["effective sample size"].value <= 20
    # the standardised circle of radius 2 has deviations √2
    moved = numbers["log p"].value - numbers["log p"].beside["in the data's own units"]
    assert moved == pytest.approx(2 * math.log(math.sqrt(2)), abs=0.1)
    assert any("standardised" in note for note in found.notes)
    assert found.protocol["examples"] == 100


def test_cross_entropies_and_doubtful_estimates_are_called_so(images):
    run, dataset = images
    found = next(iter(measure(Subject(run, dataset=dataset), [parse_spec("metrics", "likelihood:particles=2")])))
    assert found.status == "measured", found.reason
    assert any("cross-entropies" in note for note in found.measurement.notes)
    assert found.measurement.numbers["doubtful"].value == 100  # no two particles are ten
    assert any("too low" in note for note in found.measurement.notes)


def test_hoyer_of_samples_of_a_gaussian_is_the_floor(tmp_path):
    x = np.random.default_rng(0).normal(size=(3000, 60))
    settings = {**TINY, "mapping": "identity", "latent": 50, "steps": 3}
    run = fit(data=x, run_dir=tmp_path / "wide", **settings)
    subject = Subject(run, dataset=make_dataset("wide", x))
    (found,) = measure(subject, [parse_spec("metrics", "hoyer")])
    score = found.measurement.numbers["samples"]
    assert score.beside["Gaussian floor"] == pytest.approx(gaussian_floor(50)) == pytest.approx(0.2307, abs=1e-4)
    assert abs(score.value - 0.2307) < max(5 * score.error, 0.004)
    assert score.beside["z of the prior"] == pytest.approx(0.2307, abs=0.01)
    assert 0 < score.error < 0.01
    assert gaussian_floor(128) == pytest.approx(0.2200, abs=1e-4)


def test_units_of_a_run_add_up(circle):
    found = ask(circle, "units")["units"].measurement
    numbers = found.numbers
    assert numbers["kl"].value == pytest.approx(sum(found.details["kl per dimension"]))
    assert numbers["kl"].value == pytest.approx(numbers["mutual information"].value + numbers["aggregate KL"].value)
    assert numbers["mutual information"].value <= numbers["mutual information"].beside["most that can be seen"] + 1e-9
    assert numbers["active by KL"].beside == {"dimensions": 2}


def test_an_encoder_that_says_nothing_is_the_prior(circle):
    """With q(y|x) = N(0, I) nothing is active, and the test does not reject; with another, it does."""
    run = load_run(circle.path)
    last = [layer for layer in run.model.encoder.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    found = {
        one.name: one.measurement.numbers
        for one in measure(
            Subject(run), [parse_spec("metrics", f"{n}:{BY_NAME[n]}".rstrip(":")) for n in ("units", "aggregate")]
        )
    }
    assert [found["units"][f"active by {by}"].value for by in ("variance", "KL")] == [0, 0]
    assert found["units"]["kl"].value == found["units"]["mutual information"].value == 0
    for number in found["aggregate"].values():
        spread = number.beside["its standard deviation"]
        assert abs(number.value - number.beside["prior against prior"]) < 8 * spread
        assert number.beside["p"] > 0.01
    with torch.no_grad():
        last.bias[:2] = 1.5
    (moved,) = measure(Subject(run), [parse_spec("metrics", "aggregate:permutations=39,pairs=3,directions=500")])
    assert all(number.beside["p"] == 1 / 40 for number in moved.measurement.numbers.values())
    assert moved.measurement.numbers["sliced W2"].value > 0.5  # of directions: their lengths are the prior's


def test_what_a_mapping_says_becomes_numbers_and_details(circle, images):
    found = ask(circle, "diagnosis")["diagnosis"].measurement
    assert sum(found.details["loop shares"]) == pytest.approx(1)
    run, dataset = images
    (found,) = measure(Subject(run, dataset=dataset), [parse_spec("metrics", "diagnosis")])
    shares = [found.measurement.numbers[f"level {i} change"].value for i in range(2)]
    assert sum(shares) == pytest.approx(100)
    assert found.measurement.details["levels"] == [[0], [1, 2]]


def test_a_mapping_is_asked_where_its_parameters_are(circle, monkeypatch):
    """Encodings come back to the CPU; centres of clusters, say, stay on the accelerator."""
    run, asked = load_run(circle.path), []
    subject = Subject(run)
    subject.encode(limit=2000, seed=0)

    def diagnose(mapping, y, labels):
        asked.append(y.device.type)
        return {"width": y.shape[1]}

    monkeypatch.setattr("intel_metrics.diagnosis.diagnose", diagnose)
    monkeypatch.setattr(type(run), "model_device", torch.device("meta"))
    assert parse_spec("metrics", "diagnosis").measure(subject).numbers["width"].value == 2
    assert asked == ["meta"]


def test_support_of_a_run_is_measured_in_the_units_of_the_data(circle, monkeypatch):
    numbers = ask(circle, "manifold")["manifold"].measurement.numbers
    assert numbers["off"].beside["test data"] == 0
    assert numbers["coverage"].beside["test data"] > 50
    # A run that generates the manifold itself, standardised, is on it and covers it.
    run = load_run(circle.path)
    raw = run.spec.data.along_manifold(500)
    true = run.standardise(raw).float()
    monkeypatch.setattr(type(run), "sample", lambda self, n, **_: raw[torch.arange(n) * 7 % 500])
    for factor, off, coverage in ((1, 0, 100), (3, 100, 0)):
        monkeypatch.setattr(
            Subject, "generated", lambda self, n, factor=factor, **_: factor * true[torch.arange(n) * 7 % 500]
        )
        (found,) = measure(Subject(run), [parse_spec("metrics", "manifold:n=500,near=0.3")], again=True)
        numbers = found.measurement.numbers
        assert (numbers["off"].value, numbers["coverage"].value) == (0, 100)
        assert (numbers["off of means"].value, numbers["coverage of means"].value) == (off, coverage)
    assert numbers["off"].error > 0


def test_betti_numbers_of_z_beside_what_the_mapping_declares(circle):
    found = ask(circle, "betti", betti="n=800,mass=0.04,bootstraps=20")["betti"].measurement
    assert found.numbers["b0 of z"].value == found.numbers["b0 of z"].beside["declared"] == 1
    assert found.numbers["b1 of z"].beside == {"declared": 2}
    assert found.numbers["b1 of x"].beside == {"data": 1}
    assert found.details["z"]["band"] > 0


def test_who_has_nothing_to_say_says_why(images, tmp_path):
    dataset = images[1]
    plain = fit(data=dataset.train.x, run_dir=tmp_path / "plain", mapping="identity", latent=5, **TINY)
    subject = Subject(plain, dataset=make_dataset("plain", dataset.train.x))
    names = ("manifold", "betti", "diagnosis")
    found = {one.name: one for one in measure(subject, [parse_spec("metrics", name) for name in names])}
    assert {one.status for one in found.values()} == {"not applicable"}
    assert "has no known manifold" in found["manifold"].reason
    assert "at most 3 dimensions; here z has 5 and x 9" in found["betti"].reason
    assert "identity says nothing" in found["diagnosis"].reason
    single = fit(data=dataset.train.x, run_dir=tmp_path / "single", mapping="identity", latent=1, **TINY)
    (found,) = measure(Subject(single, dataset=make_dataset("one", dataset.train.x)), [parse_spec("metrics", "hoyer")])
    assert "needs 2 dimensions of z that vary over the data; here are 1" in found.reason
