"""Do runs with these likelihoods train, go on, stack, and refuse what they cannot explain?"""

import re
import warnings

import numpy as np
import pytest
import torch

from intel_core import DataError, fit, fit_replicates, load_run, make_dataset
from intel_core.components.spec import parse_spec
from intel_core.fitting.resume import resume
from intel_core.recipe.contracts import check_likelihood

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(120, 1))
COUNTS = RNG.poisson(np.exp(0.7 * Z + np.array([[0.0, 0.5, 1.0, -0.5]]))).astype(np.float32)
ONE_HOT = np.concatenate(
    [np.eye(2)[(Z[:, 0] > 0).astype(int)], np.eye(3)[RNG.integers(0, 3, size=120)]], 1, dtype=np.float32
)
REAL = (Z + 0.1 * RNG.standard_t(2, size=(120, 3))).astype(np.float32)
TABLE = {
    "poisson": COUNTS,
    "poisson:mean=library": COUNTS,
    "negative_binomial": COUNTS,
    "negative_binomial:mean=library,dispersion=shared": COUNTS,
    "negative_binomial:dispersion=fixed,theta=2": COUNTS,
    "categorical:sizes=[2,3]": ONE_HOT,
    "student_t": REAL,
    "student_t:spread=shared,learn_df=true": REAL,
}
each_text = pytest.mark.parametrize("text", TABLE)
BASE = {
    "steps": 30, "batch_size": 16, "evaluate_every": 10, "latent": 2, "encoder": "mlp:hidden=[6]", "device": "cpu",
}  # fmt: skip


def data_of(text):
    return make_dataset("mine", TABLE[text], standardize=False)


@each_text
def test_the_contract_is_kept(text):
    for shape in [(5,), (5, 2, 3)]:
        check_likelihood(text, parse_spec("likelihoods", text).build(), shape)


@pytest.mark.promptly("poisson:mean=library", "negative_binomial", "categorical:sizes=[2,3]", "student_t")
@each_text
def test_a_run_improves_and_is_loaded_again(text, tmp_path):
    settings = {**BASE, "steps": 200, "learning_rate": 1e-2}
    run = fit(data=data_of(text), likelihood=text, run_dir=tmp_path / "run", **settings)
    elbos = [record["elbo"] for record in run.records() if record.get("event") == "evaluation" or "elbo" in record]
    assert elbos[-1] > elbos[0]
    again = load_run(run.path)
    assert again.spec.likelihood == parse_spec("likelihoods", text)
    for noise in (False, True):
        samples = run.sample(7, noise=noise)
        assert samples.shape == (7, TABLE[text].shape[1])
        assert torch.isfinite(samples).all()
        assert torch.equal(again.sample(7, noise=noise), samples)
    assert run.reconstruct(TABLE[text][:3]).shape == (3, TABLE[text].shape[1])


@pytest.mark.promptly(every=3)
@each_text
def test_a_run_that_was_interrupted_ends_as_the_one_that_was_not(text, tmp_path, stop_at):
    dataset = data_of(text)
    whole = fit(data=dataset, likelihood=text, run_dir=tmp_path / "whole", **BASE)
    fit(data=dataset, likelihood=text, run_dir=tmp_path / "parts", hooks=[stop_at(13)], **BASE)
    parts = resume(tmp_path / "parts", data=dataset)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(parts.model.state_dict()[name], value), name


@pytest.mark.promptly(every=3)
@each_text
def test_replicates_that_are_trained_together_are_the_runs_of_their_seeds(text, tmp_path):
    dataset = data_of(text)
    group = fit_replicates(2, data=dataset, likelihood=text, seed=4, run_dir=tmp_path / "group", **BASE)
    assert group.summary["stacked"]
    for seed, run in zip((4, 5), group.runs, strict=True):
        alone = fit(data=dataset, likelihood=text, seed=seed, run_dir=tmp_path / f"alone-{seed}", **BASE)
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(run.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_bound_of_a_model_of_the_right_kind_is_above_that_of_another(tmp_path):
    """Overdispersed counts: a Poisson distribution of the same mean varies less."""
    counts = RNG.negative_binomial(0.5, 0.1, size=(400, 3)).astype(np.float32)
    dataset = make_dataset("counts", counts, standardize=False)
    elbo = {
        text: fit(
            data=dataset, likelihood=text, run_dir=tmp_path / text[:3], **{**BASE, "steps": 400, "learning_rate": 1e-2}
        ).metrics["test"]["elbo"]
        for text in ("poisson", "negative_binomial")
    }  # fmt: skip
    assert elbo["negative_binomial"] > elbo["poisson"] + 1


# --- networks -----------------------------------------------------------------------------------------------------

LARGE = RNG.poisson(np.exp(9 + 0.5 * Z) * np.array([[0.1, 0.2, 0.3, 0.4]])).astype(np.float32)
WITHOUT_NETWORK = {key: value for key, value in BASE.items() if key != "encoder"}


@pytest.mark.parametrize(
    ("settings", "networks"),
    [
        ({}, ("log_mlp", "log_mlp")),
        ({"encoder": "mlp:hidden=[6]"}, ("mlp", "mlp")),
        ({"decoder": "mlp:hidden=[6]"}, ("mlp", "mlp")),
        ({"network": "linear"}, ("linear", "linear")),
    ],
    ids=str,
)
def test_encoders_of_counts_see_logarithms_unless_a_network_is_named(settings, networks, tmp_path):
    run = fit(
        data=data_of("poisson"), likelihood="poisson", run_dir=tmp_path / "run", **{**WITHOUT_NETWORK, **settings}
    )
    assert tuple(str(part).partition(":")[0] for part in (run.spec.encoder, run.spec.decoder)) == networks
    assert torch.equal(load_run(run.path).encode(COUNTS).mean, run.encode(COUNTS).mean)


def test_an_encoder_of_reals_and_of_images_is_the_usual_one(tmp_path):
    spec = parse_spec("likelihoods", "poisson")
    assert str(spec.advised_encoder(parse_spec("networks", "conv"))) == str(parse_spec("networks", "conv"))
    run = fit(data=data_of("student_t"), likelihood="student_t", run_dir=tmp_path / "run", **WITHOUT_NETWORK)
    assert str(run.spec.encoder).startswith("mlp")


def test_what_is_encoded_is_the_logarithm():
    network = parse_spec("networks", "log_mlp:hidden=[5]").build_encoder((2, 3, 1), 4)
    x = torch.tensor([0.0, 9.0, 1e6, -9.0, 1e30, 2.0]).reshape(1, 2, 3, 1)
    torch.testing.assert_close(network(x), network[1](x.sign() * torch.log1p(x.abs())))


@pytest.mark.parametrize("text", ["poisson", "negative_binomial", "negative_binomial:mean=library"])
def test_thousands_of_counts_are_trained_on_resumed_and_stacked(text, tmp_path, stop_at):
    dataset = make_dataset("large", LARGE, standardize=False)
    settings = {**WITHOUT_NETWORK, "likelihood": text, "data": dataset, "seed": 4}
    whole = fit(**settings, run_dir=tmp_path / "whole")
    assert np.isfinite(whole.metrics["test"]["elbo"])
    fit(**settings, run_dir=tmp_path / "parts", hooks=[stop_at(13)])
    parts = resume(tmp_path / "parts", data=dataset)
    group = fit_replicates(2, **settings, run_dir=tmp_path / "group")
    assert group.summary["stacked"]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(parts.model.state_dict()[name], value), name
        torch.testing.assert_close(group.runs[0].model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


# --- what cannot be explained --------------------------------------------------------------------------------------


def refused(text, x, tmp_path, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError) as caught:
            fit(data=x, likelihood=text, run_dir=tmp_path / "run", **{**BASE, **settings})
    assert not (tmp_path / "run").exists()
    return str(caught.value)


@pytest.mark.parametrize("text", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("bad", [0.25, -1.0, 7.5])
def test_what_is_no_count_is_refused_with_its_row(text, bad, tmp_path):
    x = COUNTS.copy()
    x[17, 2] = bad
    said = refused(text, x, tmp_path, standardize=False)
    assert f"the value {bad:g} in row" in said
    assert re.search(r"of its (train|validation|test) part$", said)


def test_fractions_of_one_are_no_counts(tmp_path):
    assert "the value 0." in refused("poisson", RNG.random((50, 3)).astype(np.float32), tmp_path)


def test_standardised_values_are_refused_with_the_setting(tmp_path):
    assert "standardize=False" in refused("poisson", COUNTS, tmp_path, standardize=True)


def test_bytes_are_refused_with_what_they_stand_for(tmp_path):
    assert "x.astype('float32')" in refused("poisson", COUNTS.astype(np.uint8), tmp_path)


def test_a_mask_of_bytes_is_made_of_counts_and_of_categories(tmp_path):
    for number, text in enumerate(("poisson", "categorical:sizes=[2,3]")):
        run = fit(data=ONE_HOT.astype(np.uint8), likelihood=text, run_dir=tmp_path / str(number), **BASE)
        assert np.isfinite(run.metrics["test"]["elbo"])


def test_numbers_of_categories_are_refused_with_what_makes_columns_of_them(tmp_path):
    said = refused("categorical", RNG.integers(0, 4, size=(50, 3)).astype(np.float32), tmp_path)
    assert "pandas.get_dummies" in said


def test_a_row_with_two_categories_is_refused(tmp_path):
    x = ONE_HOT.copy()
    x[5, :2] = 1
    assert "groups of 2 to 3 columns" in refused("categorical:sizes=[2,3]", x, tmp_path)
    x = np.stack([np.eye(3, dtype=np.float32)[RNG.integers(0, 3, size=(60, 4))]])[0].transpose(0, 2, 1)[..., None]
    assert fit(data=x, likelihood="categorical", run_dir=tmp_path / "image", **BASE).metrics["test"]["elbo"] < 0
    x[7, :, 2] = 0
    assert "groups of 3 columns" in refused("categorical", x, tmp_path)


def test_sizes_that_do_not_fit_the_columns_are_refused(tmp_path):
    said = refused("categorical:sizes=[2,2]", ONE_HOT, tmp_path)
    assert "sizes=[2, 2], together 4, do not fit 5 columns of data" in said
    assert "groups of 2 do not fit 5 columns" in refused("categorical:sizes=[2]", ONE_HOT, tmp_path)


def test_large_counts_are_not_standardised_unless_that_is_asked_for(tmp_path):
    large, usual = 50 * COUNTS, {key: value for key, value in BASE.items() if key != "encoder"}
    run = fit(data=large, likelihood="poisson", run_dir=tmp_path / "counts", **usual)
    assert run.info["data"]["scaling"] is None
    with pytest.raises(DataError, match="were standardised"):
        fit(data=large, likelihood="poisson", standardize=True, run_dir=tmp_path / "asked", **usual)
    with pytest.warns(UserWarning, match="far from the scale"):
        assert fit(data=large, run_dir=tmp_path / "real", **usual).info["data"]["scaling"] is not None
