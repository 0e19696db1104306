"""Do the components of a mixture go to the clusters that a start has found, and what does training make of them?"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

from intel_core import PriorSpec, SpecError, fit, parse_spec, register, resume
from intel_core.fitting.starting import FILE
from intel_core.helpers.shares import TakesClusters

MEANS = torch.tensor([[2.0, 0.0, 1.0], [-1.0, 1.0, 0.0], [0.0, -3.0, 0.5], [4.0, 4.0, 4.0]])
STDS = torch.tensor([[0.5, 1.0, 0.2], [0.3, 0.4, 1.5], [1.0, 1.0, 1.0], [0.1, 2.0, 0.7]])
SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
Y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 2
LEARNED = ["mog:k=4,preset=learned,means=line", "mog:k=4,learn=true,weights=equal", "gmvae:k=4,w=1,hidden=7"]


def prior_of(text: str, y_dim: int = 3) -> Any:
    return parse_spec("priors", text).build(y_dim, (1,))


def log_standard(y: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(multivariate_normal(cov=np.eye(y.shape[-1])).logpdf(y.double().numpy()))


@pytest.mark.parametrize("text", LEARNED)
def test_what_is_learned_is_one_gaussian_until_clusters_are_found(text: str) -> None:
    prior = prior_of(text)
    assert isinstance(prior, TakesClusters)
    prior.forget_clusters()
    torch.testing.assert_close(prior.log_prob(Y).double(), log_standard(Y), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(prior.log_responsibilities(Y), torch.full((50, 4), -math.log(4)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", LEARNED)
def test_before_the_start_its_components_stay_alike_while_they_learn(text: str) -> None:
    """Equal components have equal gradients, so that they are one learned Gaussian."""
    prior = prior_of(text)
    prior.forget_clusters()
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        (-prior.log_prob(Y + 1).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(prior.log_responsibilities(Y), torch.full((50, 4), -math.log(4)), atol=1e-4, rtol=0)


def test_a_mixture_is_the_gaussians_of_the_clusters() -> None:
    prior = prior_of(LEARNED[0])
    prior.take_clusters(MEANS, STDS, SHARES)
    parts = [
        math.log(share) + multivariate_normal(mean, np.diag(np.square(std))).logpdf(Y.double().numpy())
        for share, mean, std in zip(SHARES.tolist(), MEANS.tolist(), STDS.tolist(), strict=True)
    ]
    expected = torch.as_tensor(np.logaddexp.reduce(parts))
    torch.testing.assert_close(prior.log_prob(Y).double(), expected, atol=1e-4, rtol=1e-5)


def test_shares_that_are_said_to_be_equal_stay_equal() -> None:
    prior = prior_of(LEARNED[1])
    prior.take_clusters(MEANS, STDS, SHARES)
    torch.testing.assert_close(prior.log_shares().exp(), torch.full((4,), 0.25))
    assert torch.equal(prior.means, MEANS)


def test_components_of_a_gmvae_lie_on_the_clusters_whatever_w_is() -> None:
    prior = prior_of(LEARNED[2])
    prior.take_clusters(MEANS, STDS, SHARES)
    parts = [
        math.log(0.25) + multivariate_normal(mean[:2], np.diag(np.square(std[:2]))).logpdf(Y[:, :2].double().numpy())
        for mean, std in zip(MEANS.tolist(), STDS.tolist(), strict=True)
    ]
    expected = torch.as_tensor(np.logaddexp.reduce(parts)) + log_standard(Y[:, 2:])
    torch.testing.assert_close(prior.log_prob(Y).double(), expected, atol=1e-4, rtol=1e-5)


def test_a_cluster_without_width_is_no_infinite_density() -> None:
    for text in LEARNED:
        prior = prior_of(text)
        prior.take_clusters(MEANS, torch.zeros_like(STDS), SHARES)
        assert bool(prior.log_prob(torch.cat([Y, MEANS])).isfinite().all()), text


def test_means_that_are_fixed_stay_where_they_are() -> None:
    prior = prior_of("mog:k=4")
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    prior.forget_clusters()
    prior.take_clusters(MEANS, STDS, SHARES)
    assert all(torch.equal(value, before[name]) for name, value in prior.state_dict().items())


# --- in a run ----------------------------------------------------------------------------------------------------

CENTRES = np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
X = np.concatenate([c + 0.3 * np.random.default_rng(i).normal(size=(n, 4)) for i, (n, c) in enumerate(
    zip((60, 30, 20), CENTRES, strict=True)
)]).astype(np.float32)  # fmt: skip
LABELS = np.repeat(np.arange(3), (60, 30, 20))
BASE: dict[str, Any] = {
    "data": X, "labels": LABELS, "steps": 200, "batch_size": 10, "learning_rate": 0.01, "device": "cpu", "latent": 3,
    "encoder": "mlp:hidden=[16]", "seed": 2, "log_every": 50, "evaluate_every": 50,
}  # fmt: skip
RIVALS: dict[str, dict[str, Any]] = {
    "mog": {"prior": "mog:k=3,preset=learned"},
    "gmvae": {"prior": "gmvae:k=3,w=2,hidden=8", "mapping": "first:keep=3", "latent": 5},
}
each_rival = pytest.mark.parametrize("name", RIVALS)
START = "mixture:fits=2,after=0.25,hold=0.5"


def agreement(run: Any) -> float:
    """Of the components with the clusters that the data were made from, the adjusted Rand index."""
    cluster = run.model.prior.log_responsibilities(run.encode(X).mean).argmax(-1)
    return float(adjusted_rand_score(LABELS, cluster.numpy()))


@each_rival
def test_with_a_start_its_components_are_the_clusters_of_the_data(name: str, tmp_path: Path) -> None:
    run = fit(**BASE | RIVALS[name], start=START, run_dir=tmp_path / "run")
    assert agreement(run) > 0.9
    assert len(run.metrics["start"]["sizes"]) == 3


@each_rival
def test_without_a_word_it_has_none(name: str, tmp_path: Path) -> None:
    """A rival is what its authors made it, unless one says otherwise."""
    run = fit(**BASE | RIVALS[name] | {"steps": 4}, run_dir=tmp_path / "run")
    assert str(run.spec.start) == "none"


@pytest.mark.promptly("60-mog")
@each_rival
@pytest.mark.parametrize("at", [20, 60, 180])
def test_cut_off_before_while_and_after_it_is_pulled_it_goes_on_bit_for_bit(
    name: str, at: int, stop_at: Any, tmp_path: Path
) -> None:
    whole = fit(**BASE | RIVALS[name], start=START, run_dir=tmp_path / "whole")
    fit(**BASE | RIVALS[name], start=START, run_dir=tmp_path / "cut", hooks=[stop_at(at)])
    again = resume(tmp_path / "cut", data=X, labels=LABELS)
    weights, same = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(value, same[key]) for key, value in weights.items())
    assert (tmp_path / "whole" / FILE).read_bytes() == (tmp_path / "cut" / FILE).read_bytes()


class Strange:
    """Three fixed Gaussians that can be told apart and nothing more."""

    k, noise_dim = 3, 4

    def __init__(self) -> None:
        self.own = prior_of("mog:k=3,means=simplex")

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        return self.own.draw(noise)

    def log_prob(self, y: torch.Tensor) -> torch.Tensor:
        return self.own.log_prob(y)

    def log_responsibilities(self, y: torch.Tensor) -> torch.Tensor:
        return self.own.log_responsibilities(y)


class StrangeSpec(PriorSpec):
    """See `Strange`."""

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        return Strange()


def test_a_strangers_mixture_that_takes_nothing_is_pulled_all_the_same(tmp_path: Path) -> None:
    register("priors", "strange", StrangeSpec)
    run = fit(**BASE, prior="strange", start=START, run_dir=tmp_path / "run")
    assert agreement(run) > 0.9


def test_more_components_than_examples_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"200 clusters are more than the \d+ training examples; use fewer clusters"):
        fit(**BASE, prior="mog:k=200,preset=learned", start="mixture", run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prior_without_clusters_has_no_start(tmp_path: Path) -> None:
    for prior in ("standard", "vamp:components=5", "mog:k=1"):
        with pytest.raises(SpecError, match="a mapping or a prior with clusters, not for identity"):
            fit(**BASE, prior=prior, start="mixture", run_dir=tmp_path / "run")
