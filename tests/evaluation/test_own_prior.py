"""Does everything that looks at a run know its own prior and posterior?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from intel_core import PosteriorSpec, PriorSpec, Run, fit, group_runs, load_run, make_dataset, register
from intel_core.evaluation.bias.price import bounds_of
from intel_core.helpers.own_prior import clusters_of_prior, own_prior
from intel_core.mappings.contract import Clustering
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian


class TwoHills(nn.Module):
    """Components at -4 and 4 of the first dimension, of deviation 1 and shares of 1/4 and 3/4."""

    k = 2

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.noise_dim = y_dim + 1
        self.y_dim = y_dim

    def draw(self, noise: Tensor) -> Tensor:
        right = noise[..., :1] > -0.6744897501960817  # the quartile
        middle = torch.zeros_like(noise[..., 1:])
        middle[..., :1] = torch.where(right, 4.0, -4.0)
        return middle + noise[..., 1:]

    def _by_component(self, y: Tensor) -> Tensor:
        rest = -0.5 * y[..., 1:].square().sum(-1) - 0.5 * self.y_dim * math.log(2 * math.pi)
        hills = [math.log(share) - 0.5 * (y[..., 0] - at).square() + rest for share, at in ((0.25, -4.0), (0.75, 4.0))]
        return torch.stack(hills, -1)

    def log_prob(self, y: Tensor) -> Tensor:
        return torch.logsumexp(self._by_component(y), -1)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        return torch.log_softmax(self._by_component(y), -1)


class TwoHillsSpec(PriorSpec):
    """Two hills."""

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> TwoHills:
        return TwoHills(y_dim)


class Tilted(NamedTuple):
    """A Gaussian with one more noise than dimensions: the last one moves all of them."""

    mean: Tensor
    log_variance: Tensor

    @property
    def std(self) -> Tensor:
        return (0.5 * self.log_variance).exp() * math.sqrt(1.25)

    def rsample(self, noise: Tensor) -> Tensor:
        return DiagonalGaussian(self.mean, self.log_variance).rsample(
            (noise[..., :-1] + 0.5 * noise[..., -1:]) / math.sqrt(1.25)
        )

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        whole = (noise[..., :-1] + 0.5 * noise[..., -1:]) / math.sqrt(1.25)
        return DiagonalGaussian(self.mean, self.log_variance).draw(whole)


class TiltedFamily(DiagonalFamily):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.noise_dim = y_dim + 1

    def forward(self, features: Tensor) -> Any:
        return Tilted(*features.chunk(2, -1))


class TiltedSpec(PosteriorSpec):
    """One more noise than dimensions."""

    def build(self, y_dim: int) -> TiltedFamily:
        return TiltedFamily(y_dim)


def hills(n: int = 400) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = 0.2 * torch.randn(n, 2, generator=generator)
    x[: n // 4, 0] -= 2
    x[n // 4 :, 0] += 2
    return x[torch.randperm(n, generator=generator)]


@pytest.fixture
def registered() -> None:
    register("priors", "hills", TwoHillsSpec)
    register("posteriors", "tilted", TiltedSpec)


def trained(folder: Path, **settings: Any) -> Run:
    usual: dict[str, Any] = {"latent": 2, "steps": 40, "batch_size": 50, "warmup": 0, "device": "cpu"}
    return fit(data=hills(), run_dir=folder, **{**usual, **settings})


def test_the_prior_of_a_run_is_asked_on_the_cpu_and_none_means_the_standard_one(
    tmp_path: Path, registered: None
) -> None:
    run = trained(tmp_path / "run", prior="hills")
    prior = own_prior(run.model)
    assert prior is not None
    y = prior.draws(20_000, torch.Generator().manual_seed(1))
    assert float((y[:, 0] > 0).double().mean()) == pytest.approx(0.75, abs=0.02)
    assert own_prior(trained(tmp_path / "other").model) is None


def test_the_components_of_a_mixture_prior_are_clusters_with_the_shares_that_it_draws(
    tmp_path: Path, registered: None
) -> None:
    clusters = clusters_of_prior(trained(tmp_path / "run", prior="hills").model)
    assert isinstance(clusters, Clustering)
    assert clusters.assign(torch.tensor([[[-4.0, 0.0]], [[4.0, 3.0]]])).tolist() == [[0], [1]]
    assert clusters.proportions().tolist() == pytest.approx([0.25, 0.75], abs=0.01)


def test_clusters_of_a_mixture_prior_are_judged_as_those_of_a_mapping_are(tmp_path: Path, registered: None) -> None:
    run = trained(tmp_path / "run", prior="hills", steps=200)
    verdict = run.took(dataset=make_dataset("hills", hills()))
    questions = [finding.question for finding in verdict.findings]
    assert "Are the clusters as large as the model assumed?" in questions
    assert "Does each row lie clearly in one cluster?" in questions
    assert verdict.outcome in ("took", "partly", "not")
    assert any("--prior standard" in caveat for caveat in verdict.caveats)


def test_shares_that_a_mapping_declares_are_counted_under_another_prior_and_that_is_said(
    tmp_path: Path, registered: None
) -> None:
    run = trained(tmp_path / "run", prior="hills", mapping="cluster:k=2")
    verdict = run.took(dataset=make_dataset("hills", hills()))
    assert any("those of N(0, I)" in caveat and "hills" in caveat for caveat in verdict.caveats)
    usual = trained(tmp_path / "usual", mapping="cluster:k=2").took(dataset=make_dataset("hills", hills()))
    assert not any("N(0, I)" in caveat for caveat in usual.caveats)


def test_an_old_run_that_names_no_prior_is_one_with_the_usual_ones(tmp_path: Path, registered: None) -> None:
    new, other = trained(tmp_path / "new", seed=0), trained(tmp_path / "old", seed=1)
    path = other.path / "run.json"
    info = json.loads(path.read_text())
    for which in ("spec", "asked"):
        for name in ("prior", "posterior"):
            (info.get(which) or {}).pop(name, None)
    path.write_text(json.dumps(info))
    old = load_run(other.path)
    assert [len(group.runs) for group in group_runs([new, old])] == [2]
    rival = trained(tmp_path / "rival", prior="hills", posterior="tilted")
    assert [group.name for group in group_runs([old, rival])] == [
        "prior=standard, posterior=gaussian",
        "prior=hills, posterior=tilted",
    ]


def test_bounds_are_drawn_with_as_much_noise_as_the_posterior_takes(tmp_path: Path, registered: None) -> None:
    run = trained(tmp_path / "run", posterior="tilted")
    assert run.metrics["test"]["kl_per_dim"] == []
    assert bounds_of(run, hills()[:10]).shape == (10,)
