"""Runs with conditions (columns, values beside an array, or labels): what they learn, and what they are asked with."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from intel_core import IntelError, StopReason, fit, fit_replicates, hookimpl, load_run, make_dataset
from intel_core.fitting.resume import resume
from intel_core.reading.conditions import Conditions

R = np.random.default_rng(0)
N = 300
TABLE = pd.DataFrame({"batch": R.choice(["a", "b"], N), "age": R.normal(50, 10, N)})
TABLE["p"] = 4.0 * (TABLE.batch == "b") + 0.3 * R.normal(size=N)
TABLE["q"] = TABLE.age / 10 + 0.3 * R.normal(size=N)
VALUES = TABLE[["p", "q"]].to_numpy()
BESIDE = {"batch": TABLE.batch, "age": TABLE.age}
NAMES = ["batch", "age"]
BASE = {"latent": 1, "steps": 60, "batch_size": 20, "device": "cpu", "encoder": "mlp:hidden=[16]", "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditions") / "run"
    return fit(data=TABLE, conditions=NAMES, run_dir=folder, **{**BASE, "steps": 1500, "learning_rate": 0.005})


def test_samples_follow_their_conditions(trained):
    low = trained.sample(2000, conditions={"batch": "a", "age": 30}).mean(0)
    high = trained.sample(2000, conditions={"batch": "b", "age": 70}).mean(0)
    assert low.tolist() == pytest.approx([0.0, 3.0], abs=0.4)
    assert high.tolist() == pytest.approx([4.0, 7.0], abs=0.4)


def test_without_any_they_are_those_of_training_examples(trained):
    mine, data = trained.sample(4000), torch.from_numpy(VALUES)
    assert mine.double().mean(0).tolist() == pytest.approx(data.mean(0).tolist(), abs=0.3)
    assert torch.equal(mine, trained.sample(4000))


@pytest.mark.parametrize(
    "mapping", ["circle", "torus:planes=1", "holes:h=2", "sphere:dims=0-1", "cluster:k=3", "sparse"]
)
def test_a_run_begins_at_data_under_every_kind_of_mapping(mapping, tmp_path):
    """Those that keep directions alone lay the data around, by an encoder that sees the conditions."""
    run = fit(data=TABLE, conditions=NAMES, mapping=mapping, run_dir=tmp_path, **{**BASE, "latent": 2, "steps": 2})
    one, other = (run.sample(20, conditions={"batch": batch, "age": 50}) for batch in "ab")
    assert torch.isfinite(one).all()
    assert not torch.equal(one, other)


@pytest.mark.parametrize("way", ["csv", "parquet", "array", "polars", "data set"])
def test_every_way_gives_the_run_of_the_frame(way, tmp_path):
    polars = pytest.importorskip("polars")
    frame = fit(data=TABLE, conditions=NAMES, run_dir=tmp_path / "frame", **BASE)
    if way in ("csv", "parquet"):
        file = tmp_path / f"t.{way}"
        getattr(TABLE, f"to_{way}")(file, index=False)
        other = fit(data=f"{file}:standardize=false", conditions=NAMES, run_dir=tmp_path / "other", **BASE)
    elif way == "data set":
        other = fit(data=make_dataset("t", TABLE, conditions=NAMES), run_dir=tmp_path / "other", **BASE)
    else:
        given = {"array": (VALUES, BESIDE), "polars": (polars.from_pandas(TABLE), NAMES)}[way]
        other = fit(data=given[0], conditions=given[1], run_dir=tmp_path / "other", **BASE)
    for key, weight in frame.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[key]), key
    assert frame.metrics["test"]["elbo"] == other.metrics["test"]["elbo"]


def test_a_stored_run_reads_them_from_a_frame_with_the_same_columns(trained):
    run = load_run(trained.path)
    shuffled = TABLE[["age", "q", "batch", "p"]]
    assert torch.equal(run.encode(shuffled).mean, run.encode(VALUES, conditions=BESIDE).mean)
    assert not torch.equal(run.encode(VALUES, conditions={**BESIDE, "batch": "a"}).mean, run.encode(shuffled).mean)
    rebuilt = run.reconstruct(TABLE)
    assert float((rebuilt - torch.from_numpy(VALUES)).square().mean()) < 0.25


def test_a_traversal_keeps_the_conditions_of_its_example(trained):
    walk = trained.traverse(TABLE.iloc[:4], values=[0.0])[:, 0, 0]
    at_zero = trained.decode(torch.zeros(4, 1), conditions=TABLE[NAMES].iloc[:4])
    torch.testing.assert_close(walk, at_zero)


class StopAt:
    def __init__(self, step):
        self.step = step

    @hookimpl
    def step_end(self, trainer):
        if trainer.step == self.step:
            trainer.stop(StopReason("enough", "signal"))


def test_a_resumed_run_is_the_run_that_was_not_interrupted(tmp_path):
    whole = fit(data=TABLE, conditions=NAMES, run_dir=tmp_path / "whole", **BASE)
    fit(data=TABLE, conditions=NAMES, run_dir=tmp_path / "half", hooks=[StopAt(23)], **BASE)
    half = resume(tmp_path / "half", data=TABLE)
    for key, weight in whole.model.state_dict().items():
        assert torch.equal(weight, half.model.state_dict()[key]), key


def test_a_run_does_not_go_on_with_other_conditions(tmp_path):
    fit(data=TABLE, conditions=NAMES, run_dir=tmp_path / "half", hooks=[StopAt(23)], **BASE)
    other = TABLE.assign(batch=["b" if one == "a" else "a" for one in TABLE.batch])
    with pytest.raises(IntelError, match="conditions"):
        resume(tmp_path / "half", data=other)


def test_labels_are_conditions_too(tmp_path):
    run = fit(data="digits", conditions="labels", run_dir=tmp_path / "r", **{**BASE, "encoder": "mlp"})
    again = load_run(run.path)
    test = again.dataset().test
    assert again.model.condition_dim == 10
    assert torch.equal(test.conditions.argmax(1), test.labels)
    assert torch.equal(again.encode(test).mean, again.encode(test.x, conditions=test.labels, standardised=True).mean)
    three, four = (again.sample(10, conditions=label) for label in (3, 4))
    assert three.shape == (10, 1, 8, 8)
    assert not torch.equal(three, four)
    for found in again.measure("aggregate", "units", "probe", "likelihood:particles=4,limit=20"):
        assert found.measurement is not None, found


def test_several_seeds_are_trained_in_turn(tmp_path):
    group = fit_replicates(2, data=TABLE, conditions=NAMES, run_dir=tmp_path / "g", **BASE)
    alone = fit(data=TABLE, conditions=NAMES, run_dir=tmp_path / "one", seed=1, **BASE)
    for key, weight in alone.model.state_dict().items():
        assert torch.equal(weight, group.runs[1].model.state_dict()[key]), key


@pytest.mark.slow
def test_they_tell_what_the_latent_need_not(tmp_path):
    """The conditional model's bound on log p(x|c) is far above that on log p(x): c tells both columns but for noise."""
    settings = {**BASE, "steps": 1500, "learning_rate": 0.005, "standardize": False}
    plain = fit(data=VALUES, run_dir=tmp_path / "plain", **settings)
    given = fit(data=VALUES, conditions=BESIDE, run_dir=tmp_path / "given", **settings)
    assert given.metrics["test"]["elbo"] > plain.metrics["test"]["elbo"] + 1.0
    entropy = 1 + math.log(2 * math.pi) + 2 * math.log(0.3)  # of the noise that is left, in two columns
    assert given.metrics["test"]["elbo"] < -entropy + 0.3


REFUSED = {
    "an unknown word": ({"batch": "c", "age": 1}, "no training example has 'c'"),
    "a number that is none": ({"batch": "a", "age": "old"}, "'old' is no number"),
    "one is missing": ({"batch": "a"}, "condition 'age' is missing; the run was trained with"),
    "one too many": ({"batch": "a", "age": 1, "sex": "f"}, "not trained with a condition 'sex'"),
    "a missing value": ({"batch": "a", "age": math.nan}, "age: missing in 1 of 1"),
    "an infinite value": ({"batch": "a", "age": math.inf}, "age: a value is infinite"),
    "too few": ({"batch": ["a", "b"], "age": 1}, "2 values for 5 examples"),
    "no names": ([1, 2, 3, 4, 5], "expected values by name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_conditions_of_samples_are_told(name, trained):
    given, said = REFUSED[name]
    with pytest.raises(IntelError, match=said) as caught:
        trained.sample(5, conditions=given)
    assert len(str(caught.value)) < 300


WRONG = {
    "no such column": ({"data": TABLE, "conditions": "bach"}, "did you mean 'batch'"),
    "columns of an array": ({"data": VALUES, "conditions": ["batch"]}, "has no named columns"),
    "other lengths": ({"data": VALUES, "conditions": {"k": [1, 2]}}, "k has 2 values for 300"),
    "columns of named data": ({"data": "digits", "conditions": ["batch"]}, "no named columns"),
    "labels where there are none": ({"data": "circle", "conditions": "labels"}, "has no labels"),
    "a prior that encodes": ({"data": "digits", "conditions": "labels", "prior": "vamp"}, "have no conditions"),
    "missing values": (
        {"data": TABLE.assign(batch=[None, *TABLE.batch[1:]]), "conditions": NAMES},
        "batch: missing in 1",
    ),
    "of three parts": ({"data": (VALUES, VALUES, VALUES), "conditions": BESIDE}, "named columns of theirs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_trained_is_told_and_leaves_nothing(name, tmp_path):
    settings, said = WRONG[name]
    with pytest.raises(IntelError, match=said):
        fit(run_dir=tmp_path / "run", **BASE | settings)
    assert not (tmp_path / "run").exists()


def test_examples_without_theirs_are_refused_and_so_are_conditions_of_a_run_without(trained, tmp_path):
    with pytest.raises(IntelError, match="trained with conditions, batch"):
        trained.encode(VALUES)
    with pytest.raises(IntelError, match="say which"):
        trained.decode(torch.zeros(2, 1))
    plain = fit(data=VALUES, run_dir=tmp_path / "plain", **BASE)
    with pytest.raises(IntelError, match="without any"):
        plain.sample(2, conditions={"batch": "a"})


def test_what_a_run_keeps_is_read_back_or_refused(trained):
    kept = json.loads((trained.path / "run.json").read_text())["data"]["conditions"]
    found = Conditions.of({"conditions": kept})
    assert found is not None
    assert found.summary() == kept
    assert found.names == ("batch", "age")
    for broken in ({"columns": [{"name": "a"}], "seen": []}, {"columns": kept["columns"], "seen": [[1.0]]}, [1]):
        with pytest.raises(IntelError, match="cannot be understood"):
            Conditions.of({"conditions": broken})
