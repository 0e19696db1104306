"""Do the estimators do what scikit-learn's users do with estimators?"""

import os
import pickle
import pickletools
import signal
import tempfile
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from intel_sklearn import InteLVAEClusterer, InteLVAETransformer
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from intel_core import hookimpl, load_run

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = 100 + 20 * RNG.normal(size=(90, 1)) @ RNG.normal(size=(1, 4)) + RNG.normal(size=(90, 4))
BLOBS = 10 * np.array([[0, 0, 1], [4, 0, 2], [0, 4, 3]])[Y] + RNG.normal(size=(90, 3))
SMALL = {"network": "mlp:hidden=[8]", "steps": 40, "learning_rate": 0.02, "random_state": 0}


@pytest.fixture(autouse=True)
def _clusters_are_installed():
    pytest.importorskip("intel_cluster")
    pytest.importorskip("intel_starts")


@pytest.fixture(scope="module")
def fitted():
    return InteLVAETransformer(**SMALL).fit(X)


@pytest.fixture(scope="module")
def clustered():
    return InteLVAEClusterer(3, **{**SMALL, "steps": 150}).fit(BLOBS)


# --- features and rows --------------------------------------------------------------------------------------------


def test_features_are_the_means_of_the_run_mapped(fitted):
    z = fitted.transform(X)
    np.testing.assert_allclose(z, fitted.run_.encode(X).z_mean, atol=1e-4)
    assert fitted.transform(X.astype(np.float32)).dtype == np.float32
    rows = fitted.inverse_transform(z)
    np.testing.assert_allclose(rows, fitted.run_.reconstruct(X), rtol=1e-4)
    assert abs(rows.mean() - X.mean()) < 5  # in the units of X
    with pytest.raises(ValueError, match="X has 3 features, but z has 2 dimensions"):
        fitted.inverse_transform(np.zeros((2, 3)))


def test_more_steps_give_a_better_reconstruction_and_score():
    few, many = (InteLVAETransformer(**{**SMALL, "steps": steps}).fit(X) for steps in (10, 400))
    errors = [np.square(m.inverse_transform(m.transform(X)) - X).mean() for m in (few, many)]
    assert errors[1] < 0.5 * errors[0]
    assert many.score(X) > few.score(X) + 1
    assert (few.n_steps_, many.n_steps_) == (10, 400)


def test_frames_keep_their_index_and_name_the_features():
    frame = pd.DataFrame(X, columns=list("abcd"), index=range(5, 95))
    model = InteLVAETransformer(**SMALL).set_output(transform="pandas").fit(frame)
    z = model.transform(frame)
    assert list(z.columns) == ["intelvaetransformer0", "intelvaetransformer1"] == list(model.get_feature_names_out())
    assert list(z.index) == list(frame.index)
    assert model.run_.info["data"]["columns"] == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(frame[list("bacd")])


def test_images_have_a_shape():
    images = RNG.random((40, 64))
    model = InteLVAETransformer(shape=(1, 8, 8), encoder="conv:channels=[2]", decoder="mlp:hidden=[8]", latent=2,
                                steps=5, random_state=0)  # fmt: skip
    assert model.fit(images).inverse_transform(model.transform(images)).shape == (40, 64)
    assert str(model.run_.spec.likelihood) == "bernoulli"
    with pytest.raises(ValueError, match=r"shape=\(3, 5\) has 15 values, but X has 64 features"):
        clone(model).set_params(shape=(3, 5)).fit(images)
    with pytest.raises(ValueError, match=r"values from .* the run was trained on values in \[0, 1\]"):
        model.transform(255 * images)


# --- score --------------------------------------------------------------------------------------------------------


def test_the_score_is_of_rows_in_their_own_units():
    """Rows in other units are the same rows: the density is divided by the factor of each column."""
    model = InteLVAETransformer(**SMALL)
    ours = model.fit(X).score(X)
    assert clone(model).fit(1000 * X).score(1000 * X) == pytest.approx(ours - 4 * np.log(1000), abs=1e-3)


def test_the_score_is_the_elbo_of_the_run_where_nothing_is_scaled():
    model = InteLVAETransformer(**SMALL, standardize=False).fit(RNG.normal(size=(60, 2)))
    x = RNG.normal(size=(60, 2))
    refit = clone(model).fit(x)
    assert refit.score(x) == pytest.approx(refit.run_.metrics["test"]["elbo"], abs=1e-6)


def test_more_particles_give_a_tighter_bound(fitted):
    tighter = pickle.loads(pickle.dumps(fitted)).set_params(score_particles=50)
    assert tighter.score(X) > fitted.score(X)


# --- clusters -----------------------------------------------------------------------------------------------------


def test_clusters_are_found_and_have_probabilities(clustered):
    assert adjusted_rand_score(clustered.labels_, Y) > 0.9
    p = clustered.predict_proba(BLOBS)
    assert p.shape == (90, 3)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    np.testing.assert_array_equal(clustered.predict(BLOBS), clustered.labels_)
    encoding = clustered.run_.encode(BLOBS)
    assert (clustered.clusters_[clustered.labels_] == encoding.cluster.numpy()).mean() > 0.97
    np.testing.assert_allclose(p.max(1), encoding.cluster_probability, atol=0.02)


def test_labels_of_some_kind_guide_the_start():
    words = np.array(["red", "green", "blue"])[Y]
    model = InteLVAEClusterer(3, start="labels", **{**SMALL, "steps": 150}).fit(BLOBS, words)
    assert adjusted_rand_score(model.labels_, Y) > 0.9
    assert model.run_.info["data"]["classes"] == []


def test_a_mixture_prior_makes_clusters():
    model = InteLVAEClusterer(prior="mog:k=3,preset=learned", start="kmeans", **{**SMALL, "steps": 150}).fit(BLOBS)
    assert str(model.run_.spec.mapping[0]) == "identity"
    assert adjusted_rand_score(model.labels_, Y) > 0.9
    np.testing.assert_allclose(model.predict_proba(BLOBS).sum(1), 1, atol=1e-6)


def test_what_makes_no_clusters_is_refused():
    with pytest.raises(ValueError, match="neither mapping nor prior makes clusters"):
        InteLVAEClusterer(mapping="circle", **{**SMALL, "steps": 10**8}).fit(X)
    assert set(InteLVAEClusterer(1, **{**SMALL, "steps": 2}).fit_predict(X)) == {0}


# --- composition --------------------------------------------------------------------------------------------------


def test_in_a_pipeline_under_grid_search():
    pipeline = make_pipeline(StandardScaler(), InteLVAETransformer(**SMALL), LogisticRegression())
    search = GridSearchCV(
        pipeline,
        {"intelvaetransformer__latent": np.array([1, 2]), "intelvaetransformer__mapping": ["identity", ["identity"]]},
        cv=2,
    ).fit(BLOBS, Y)
    assert search.best_score_ > 0.8
    assert search.best_params_["intelvaetransformer__latent"] in (1, 2)


@pytest.mark.slow
def test_the_bound_chooses_a_model():
    search = GridSearchCV(InteLVAETransformer(**SMALL), {"steps": [2, 200]}, cv=2).fit(X)
    assert search.best_params_ == {"steps": 200}
    assert cross_val_score(InteLVAEClusterer(2, **SMALL), X, cv=2).shape == (2,)


def test_settings_that_are_wrong_are_value_errors_with_the_framework_s_line():
    for settings, said in (
        ({"mapping": "clutser:k=3"}, "did you mean 'cluster'"),
        ({"latent": 0}, "latent"),
        ({"standardize": "yes"}, "standardize='yes': expected True, False or 'auto'"),
        ({"steps": 5, "epochs": 5}, "steps or epochs"),
        ({"patience": 1, "validation_fraction": 2}, "validation_fraction=2 of 90 rows"),
    ):
        with pytest.raises(ValueError, match=said):
            InteLVAETransformer(**{**SMALL, **settings}).fit(X)


# --- what a fit decides, keeps and leaves --------------------------------------------------------------------------


def test_random_state_decides_everything():
    one, again, other = (InteLVAETransformer(**{**SMALL, "random_state": s}).fit(X).transform(X) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    generator = np.random.RandomState(3)
    model = InteLVAETransformer(**{**SMALL, "random_state": generator, "steps": 3})
    assert model.fit(X).run_.seed != model.fit(X).run_.seed


def test_a_pickle_has_bytes_and_no_code_of_torch(fitted, clustered):
    for model, name in ((fitted, "transform"), (clustered, "predict_proba")):
        data = X if model is fitted else BLOBS
        before = getattr(model, name)(data)
        stored = pickle.dumps(model)
        words = [str(value) for _, value, _ in pickletools.genops(stored)]
        assert not [word for word in words if word.partition(".")[0].partition(" ")[0] == "torch"]
        np.testing.assert_array_equal(getattr(pickle.loads(stored), name)(data), before)


@pytest.mark.slow
def test_work_is_done_in_other_processes(fitted):
    parts = joblib.Parallel(n_jobs=2)(joblib.delayed(fitted.transform)(part) for part in np.array_split(X, 2))
    np.testing.assert_allclose(np.concatenate(parts), fitted.transform(X), atol=1e-9)


def test_no_file_is_left_unless_a_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")
    model = InteLVAETransformer(**{**SMALL, "steps": 5}).fit(X)
    pickle.loads(pickle.dumps(model)).score(X)
    assert not [*(tmp_path / "temporary").iterdir(), *(tmp_path / "here").iterdir()]
    assert model.run_path_ is None
    kept = clone(model).set_params(run_dir="runs")
    for number in (1, 2):
        z = kept.fit(X).transform(X)
        assert os.path.samefile(kept.run_path_, f"runs/fit-{number}")
        run = load_run(kept.run_path_)
        np.testing.assert_allclose(run.encode(X).z_mean, z, atol=1e-4)


def test_rows_are_held_out_with_patience_only():
    for patience, sizes in ((None, (90, 90)), (2, (72, 18))):
        model = InteLVAETransformer(**SMALL, patience=patience, validation_fraction=0.2).fit(X)
        data = model.run_.info["data"]
        assert (data["train"], data["validation"]) == sizes


def test_threads_change_nothing_but_rounding(fitted):
    several = InteLVAETransformer(**SMALL, n_jobs=2).fit(X)
    np.testing.assert_allclose(several.transform(X), fitted.transform(X), atol=1e-9)
    with joblib.parallel_config(n_jobs=2):
        np.testing.assert_allclose(fitted.transform(X), several.transform(X), atol=1e-9)


def test_likelihoods_of_counts_see_counts():
    pytest.importorskip("intel_likelihoods")
    counts = RNG.poisson(20, size=(60, 3))
    model = InteLVAETransformer(**SMALL, likelihood="poisson").fit(counts)
    assert model.run_.info["data"]["scaling"] is None
    assert model.inverse_transform(model.transform(counts)).min() > 0
    with pytest.raises(ValueError, match="standardize=False"):
        clone(model).set_params(standardize=True).fit(counts)


class _Interrupt:
    @hookimpl
    def step_end(self, trainer):
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_fit_is_an_interrupt(monkeypatch):
    import intel_sklearn.training as training

    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda hooks, **settings: fit(**settings, hooks=[_Interrupt()]))
    model = InteLVAETransformer(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert not hasattr(model, "fitted_")


def test_fitting_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InteLVAETransformer(**{**SMALL, "steps": 3}).fit(1e6 * X).transform(1e6 * X)


def test_fits_in_threads_are_those_of_one():
    model = InteLVAETransformer(**{**SMALL, "steps": 10})
    alone = cross_val_score(model, X, cv=3)
    with joblib.parallel_config("threading", n_jobs=3):
        np.testing.assert_array_equal(cross_val_score(model, X, cv=3), alone)
