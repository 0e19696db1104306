"""Do the estimators pass scikit-learn's own checks, all of them?"""

import pytest
from intel_sklearn import InteLVAEClusterer, InteLVAETransformer
from sklearn.utils.estimator_checks import (
    check_clustering,
    check_estimators_overwrite_params,
    check_fit_check_is_fitted,
    check_n_features_in,
    parametrize_with_checks,
)

pytest.importorskip("intel_cluster")
pytest.importorskip("intel_starts")

SMALL = {"network": "mlp:hidden=[8]", "steps": 20, "learning_rate": 0.02}
CLUSTERER = InteLVAEClusterer(3, **{**SMALL, "steps": 60})


@parametrize_with_checks([InteLVAETransformer(**SMALL)])
def test_transformer(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check", [check_clustering, check_fit_check_is_fitted, check_estimators_overwrite_params, check_n_features_in]
)
def test_clusterer_in_short(check):
    check("InteLVAEClusterer", CLUSTERER)


@pytest.mark.slow
@parametrize_with_checks([CLUSTERER])
def test_clusterer(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([InteLVAEClusterer(prior="mog:k=3,preset=learned", start="kmeans", **{**SMALL, "steps": 60})])
def test_clusters_by_the_prior(estimator, check):
    check(estimator)
