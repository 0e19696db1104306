"""Are data that a run on arrays is asked about on the run's own scale, or refused with the way that works?"""

import numpy as np
import pytest
import torch

from intel_core import (
    DataError,
    DatasetSpec,
    IntelError,
    RunError,
    SpecError,
    fit,
    load_run,
    make_dataset,
    register,
    resume,
)

MEASURE = "likelihood:particles=2,limit=20"


@pytest.fixture(scope="module")
def far():
    """Values far from the scale of about 1, which `fit` standardises."""
    return np.random.default_rng(0).normal(size=(80, 3)) * 30 + 500


@pytest.fixture(scope="module")
def run(far, tmp_path_factory):
    with pytest.warns(UserWarning, match="standardised"):
        return fit(data=far, steps=3, run_dir=tmp_path_factory.mktemp("runs") / "scaled", device="cpu")


def likelihood(run, dataset):
    (found,) = run.measure(MEASURE, dataset=dataset, again=True)
    assert found.status == "measured", found.reason
    return found.measurement


def test_a_run_is_measured_and_judged_on_the_array_it_was_given(run, far):
    same = make_dataset("mine", far, standardize=True)
    assert likelihood(run, far) == likelihood(run, same)
    assert str(run.took(dataset=far)) == str(run.took(dataset=same))


def test_a_data_set_that_is_not_standardised_is_brought_onto_the_scale_of_the_run(tmp_path):
    counts = np.random.default_rng(1).integers(0, 256, (80, 3))
    with pytest.warns(UserWarning, match="standardised"):
        run = fit(data=counts, steps=3, run_dir=tmp_path / "run", device="cpu")
    with pytest.warns(UserWarning, match="far from the scale"):
        as_given = make_dataset("counts", counts)
    assert likelihood(run, as_given) == likelihood(run, counts)


def test_what_float32_has_rounded_is_refused_with_the_way_that_works(run, far):
    as_given = make_dataset("mine", far, standardize=False)
    for ask in (run.took, lambda dataset: run.measure(MEASURE, dataset=dataset)):
        with pytest.raises(RunError, match=r"give the array itself, or make_dataset\(…, standardize=True\)"):
            ask(dataset=as_given)


def test_standardised_values_are_refused_where_the_run_has_seen_raw_ones(tmp_path):
    near = np.random.default_rng(0).normal(size=(80, 3))
    run = fit(data=near, steps=3, run_dir=tmp_path / "run", device="cpu")
    with pytest.raises(RunError, match=r"make_dataset\(…, standardize=False\)"):
        run.took(dataset=make_dataset("mine", near, standardize=True))
    assert likelihood(run, near) == likelihood(run, make_dataset("mine", near))


def test_labels_are_given_beside_the_data_and_missed_where_there_were_some(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(200, 3)).astype("float32"), np.arange(200) % 3
    run = fit(data=x, labels=y, mapping="cluster:k=3", steps=3, batch_size=20, run_dir=tmp_path / "run", device="cpu")
    asked = "Do the clusters match the labels?"
    beside = run.took(dataset=x, labels=y)
    assert asked in [finding.question for finding in beside.findings]
    assert str(beside) == str(run.took(dataset=make_dataset("mine", x, y)))
    (counted,) = run.measure("clusters", dataset=x, labels=y)
    assert "nmi" in counted.measurement.numbers
    with pytest.warns(UserWarning, match=r"was trained with labels, and these data have none: .*labels=…"):
        assert asked not in [finding.question for finding in run.took(dataset=x).findings]
    with pytest.raises(DataError, match="labels= goes with dataset="):
        run.took(labels=y)


def test_a_run_with_the_same_bias_is_no_reference(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    settings = {"data": x, "steps": 3, "batch_size": 20, "device": "cpu"}
    first, second, plain = (
        fit(mapping=mapping, run_dir=tmp_path / name, **settings)
        for name, mapping in (("first", "circle"), ("second", "circle"), ("plain", "identity"))
    )
    with pytest.raises(RunError, match=r"second has the bias of .*first too \(circle\); .* intel compare"):
        first.took(second, dataset=x)
    assert first.took(plain, dataset=x).headline


def test_a_reference_with_conditions_that_the_run_lacks_is_refused_and_the_reverse_is_said(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    settings = {"data": x, "steps": 3, "batch_size": 20, "device": "cpu"}
    batch = {"batch": ["a", "b"] * 100}
    with_them = fit(mapping="circle", conditions=batch, run_dir=tmp_path / "with", **settings)
    without = fit(mapping="circle:eps=0.1", run_dir=tmp_path / "without", **settings)
    with pytest.raises(RunError, match=r"with was trained with conditions \(batch .*without; compare"):
        without.took(with_them, dataset=x)


def test_something_else_than_data_is_refused(run):
    with pytest.raises(DataError, match="data: a dict with 'a'; expected its parts"):
        run.took(dataset={"a": 1})


def test_fit_takes_a_data_set_with_a_split_of_its_own(tmp_path):
    x, labels = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), np.arange(60) % 2
    dataset = make_dataset("mine", x, labels, test=0.3, split_seed=4)
    run = fit(data=dataset, steps=3, run_dir=tmp_path / "run", device="cpu")
    assert (run.info["data"]["test"], run.info["data"]["name"]) == (18, "mine")
    assert likelihood(load_run(tmp_path / "run"), dataset)
    with pytest.raises(RunError, match="finished"):
        resume(tmp_path / "run", data=dataset)
    with pytest.raises(SpecError, match=r"labels= goes .* a Dataset has it from make_dataset"):
        fit(data=dataset, labels=labels, run_dir=tmp_path / "other")


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ((np.ones((9, 2)), np.ones(9)), r"a tuple of 2; .* labels go beside the examples: data=x, labels=y"),
        ({"a": [1.0, 2.0]}, r"a dict with 'a'; .* pandas.DataFrame\(data\)"),
        ((row for row in np.ones((9, 2))), r"a generator; .* list\(data\)"),
        (3.5, r"a float; expected an array.*or a text such as \"digits\"$"),
    ],
)
def test_what_is_no_data_is_named_with_what_would_make_data_of_it(given, advice, tmp_path):
    with pytest.raises(IntelError, match=advice):
        fit(data=given, run_dir=tmp_path / "run")


def test_a_text_is_the_data_set_of_that_name(tmp_path):
    run = fit(data="circle:n=60", steps=2, run_dir=tmp_path / "run", device="cpu")
    assert likelihood(run, "circle:n=60") == likelihood(run, None)
    with pytest.warns(UserWarning, match="was trained on other data"):
        run.measure(MEASURE, dataset="circle:n=70", again=True)


class InAFolder(DatasetSpec):
    """Values in a file of the data folder."""

    def load(self, data_dir):
        return make_dataset("in a folder", np.load(data_dir / "x.npy"))


def test_a_text_is_loaded_from_the_folder_that_is_said(tmp_path):
    register("datasets", "in_a_folder", InAFolder)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    run = fit(data="in_a_folder", data_dir=tmp_path, steps=2, run_dir=tmp_path / "run", device="cpu")
    (found,) = run.measure(MEASURE, dataset="in_a_folder", data_dir=tmp_path)
    assert found.status == "measured"


def test_a_metric_that_fails_is_told(run):
    with pytest.warns(UserWarning, match="likelihood cannot be measured: .*is not kept; give it again"):
        (found,) = run.measure(MEASURE, again=True)
    assert found.status == "failed"
