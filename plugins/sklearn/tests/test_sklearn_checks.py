"""Do the estimators pass scikit-learn's own checks, all of them?"""

import pytest
from intel_sklearn import InteLVAEClusterer, InteLVAETransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

pytest.importorskip("intel_cluster")
pytest.importorskip("intel_starts")

SMALL = {"network": "mlp:hidden=[8]", "steps": 20, "learning_rate": 0.02}


@parametrize_with_checks(
    [
        InteLVAETransformer(**SMALL),
        InteLVAEClusterer(3, **{**SMALL, "steps": 60}),
    ]
)
def test_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([InteLVAEClusterer(prior="mog:k=3,preset=learned", start="kmeans", **{**SMALL, "steps": 60})])
def test_clusters_by_the_prior(estimator, check):
    check(estimator)
