"""Does whatever looks at a run say what is true of one with another prior or posterior? One table for four of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from intel_cli.explore.scene import Scene
from intel_cli.main import intel
from intel_cli.report.gather import gather
from intel_metrics.aggregate import sliced_wasserstein
from torch import Tensor

from intel_core import Run, Subject, fit, parse_spec
from intel_core.helpers.own_prior import own_prior
from intel_core.model.prior import StandardNormal

RIVALS: dict[str, dict[str, Any]] = {
    "mog and full": {"prior": "mog:k=3,radius=4,std=0.5", "posterior": "full", "latent": 2},
    "gmvae": {"prior": "gmvae:k=3,w=1,hidden=16", "mapping": "first:keep=2", "latent": 3},
    "sylvester": {"posterior": "sylvester:flows=2,rank=2", "latent": 2},
    "full": {"posterior": "full", "latent": 2},
}
each = pytest.mark.parametrize("name", RIVALS)


def clouds(n: int = 900) -> tuple[Tensor, Tensor]:
    """Three clouds around a circle, and which one each point is of."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(n) % 3
    angle = 2 * math.pi * label / 3
    x = torch.stack([angle.cos(), angle.sin()], 1) * 3 + 0.4 * torch.randn(n, 2, generator=generator)
    return x, label


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("rivals")
    x, label = clouds()
    np.savez(folder / "clouds.npz", x=x.numpy(), kind=label.numpy())
    usual = {"data": f"arrays:path={folder}/clouds.npz,key=x,labels_key=kind", "steps": 300, "batch_size": 50}
    usual |= {"warmup": 0, "network": "mlp:hidden=[32]", "device": "cpu"}
    found = {}
    for name, settings in RIVALS.items():
        found[name] = fit(run_dir=folder / name.replace(" ", "-"), **{**usual, **settings})
    return found


def measured(run: Run, text: str) -> Any:
    spec: Any = parse_spec("metrics", text)
    return spec.measure(Subject(run))


def mean_divergence(run: Run, x: Tensor, other: Any = None, draws: int = 400) -> float:
    """Mean of log q(y|x) - log p(y) over draws, by the run's own parts and not by a metric."""
    model = run.model
    with torch.no_grad():
        q, prior = model.infer(x)
        noise = torch.randn(draws, len(x), model.noise_dim, generator=torch.Generator().manual_seed(9))
        y, log_q = q.draw(noise)
        return float((log_q - (other or prior).log_prob(y)).mean())


@each
def test_the_kl_of_units_is_to_the_own_prior(name: str, runs: dict[str, Run]) -> None:
    run = runs[name]
    found = measured(run, "units")
    expected = mean_divergence(run, run.dataset().test.x)
    assert found.numbers["kl"].value == pytest.approx(expected, abs=0.1)
    if name == "mog and full":  # it is not that of N(0, I), which would be another number
        assert abs(mean_divergence(run, run.dataset().test.x, StandardNormal(2)) - expected) > 0.5
    assert run.spec.prior.is_usual or str(run.spec.prior) in found.numbers["kl"].about


@each
def test_units_active_by_variance_are_counted_and_by_kl_only_where_it_is_a_sum_over_dimensions(
    name: str, runs: dict[str, Run]
) -> None:
    run = runs[name]
    found = measured(run, "units")
    means = run.encode(run.dataset().test.x, standardised=True).mean
    varies = int((means.double().var(0, correction=0) > 0.01).sum())
    assert found.numbers["active by variance"].value == varies >= 1
    if name == "full":  # which has its KL to N(0, I) in closed form
        per_dim = found.details["kl per dimension"]
        assert found.numbers["active by KL"].value == sum(value > 0.01 for value in per_dim)
        assert sum(per_dim) == pytest.approx(found.numbers["kl"].value, rel=1e-6)
    else:
        assert "active by KL" not in found.numbers
        assert any("no closed form" in note and "by variance" in note for note in found.notes)
    # The information about the example needs the density of q at any y, which a diagonal Gaussian alone has.
    assert ("mutual information" in found.numbers) == (name == "gmvae")


class _Encoding(NamedTuple):
    y: Tensor


@each
def test_the_aggregate_is_compared_with_the_own_prior(
    name: str, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, spec = runs[name], parse_spec("metrics", "aggregate:permutations=99")
    own = own_prior(run.model)

    def with_encodings(y: Tensor) -> Any:
        subject = Subject(run)
        monkeypatch.setattr(subject, "encode", lambda *args, **settings: _Encoding(y))
        return spec.measure(subject).numbers["sliced W2"]  # type: ignore[attr-defined]

    generator = torch.Generator().manual_seed(5)
    normal = torch.randn(300, run.model.y_dim, generator=generator)
    same = normal if own is None else own.draws(300, generator)
    found = with_encodings(same)
    floor, spread = found.beside["prior against prior"], found.beside["its standard deviation"]
    assert found.beside["p"] > 0.02
    assert found.value < floor + 5 * spread
    assert ("N(0, I)" if own is None else str(run.spec.prior)) in found.about
    if name == "mog and full":
        assert with_encodings(normal).beside["p"] <= 0.01
    y = Subject(run).encode().y.double()
    n = len(y)
    draws = torch.randn(n, run.model.y_dim, generator=generator) if own is None else own.draws(n, generator)
    mine = float(sliced_wasserstein(y, draws.double(), 100, generator=generator))
    value = spec.measure(Subject(run)).numbers["sliced W2"].value  # type: ignore[attr-defined]
    assert value == pytest.approx(mine, abs=0.2)


def test_clusters_are_the_components_by_responsibility(runs: dict[str, Run]) -> None:
    run = runs["mog and full"]
    means = run.encode(run.dataset().test.x, standardised=True).mean
    # Of three equal components at equal distances, the nearest one is the most responsible.
    turn = 2 * math.pi * torch.arange(3) / 3
    places = 4 * torch.stack([turn.cos(), turn.sin()], 1)
    nearest = torch.cdist(means, places).argmin(1)
    shares = torch.bincount(nearest, minlength=3).double() / len(means)
    found = measured(run, "clusters")
    assert [found.numbers[f"data in cluster {i}"].value for i in range(3)] == pytest.approx(shares.tolist())
    assert [found.numbers[f"prior in cluster {i}"].value for i in range(3)] == pytest.approx([1 / 3] * 3, abs=0.03)
    table = torch.zeros(3, 3)
    for cluster, label in zip(nearest.tolist(), run.dataset().test.labels.tolist(), strict=True):
        table[cluster, label] += 1
    assert found.numbers["purity"].value == pytest.approx(float(table.amax(1).sum() / table.sum()))
    assert any("components of the prior" in note for note in found.notes)


def test_clusters_of_a_gmvae_are_by_the_responsibility_of_its_components(runs: dict[str, Run]) -> None:
    run = runs["gmvae"]
    means = run.encode(run.dataset().test.x, standardised=True).mean
    with torch.no_grad():
        component = run.model.current_prior().log_responsibilities(means).argmax(-1)  # type: ignore[attr-defined]
    shares = torch.bincount(component, minlength=3).double() / len(means)
    found = measured(run, "clusters")
    assert [found.numbers[f"data in cluster {i}"].value for i in range(3)] == pytest.approx(shares.tolist())


def test_there_are_no_clusters_where_neither_prior_nor_mapping_has_some(runs: dict[str, Run]) -> None:
    (found,) = runs["sylvester"].measure("clusters")
    assert found.status == "not applicable"


@pytest.mark.parametrize(("name", "pieces"), [("mog and full", 3), ("sylvester", 1)])
def test_pieces_of_z_are_those_of_the_own_prior(name: str, pieces: int, runs: dict[str, Run]) -> None:
    pytest.importorskip("gudhi")
    found = measured(runs[name], "betti:n=300,mass=0.1,level=0.9,bootstraps=20")
    assert found.numbers["b0 of z"].value == pieces


@each
def test_a_report_names_prior_and_posterior(name: str, runs: dict[str, Run]) -> None:
    run = runs[name]
    page = gather(run, None, None)
    facts = {key: value for key, value, _ in page.facts}
    assert (facts["prior"], facts["posterior"]) == (str(run.spec.prior), str(run.spec.posterior))
    said = page.summary[0]
    assert (f"the prior {run.spec.prior}" in said) == (not run.spec.prior.is_usual)
    assert (f"the posterior {run.spec.posterior}" in said) == (not run.spec.posterior.is_usual)
    # 0 is the mean of N(0, I), and need not be that of another prior.
    assert (page.walks.bases[0].name == "the prior’s mean, y = 0") == run.spec.prior.is_usual


@each
def test_a_report_judges_clusters_where_there_are_some(name: str, runs: dict[str, Run], tmp_path: Path) -> None:
    done = CliRunner().invoke(intel, ["report", str(runs[name].path), "-o", str(tmp_path / "r.html")])
    assert done.exit_code in (0, 6), done.output
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert ("Are the clusters as large as the model assumed?" in text) == (name in ("mog and full", "gmvae"))
    assert str(runs[name].spec.posterior) in text


@each
def test_the_explorer_draws_from_the_own_prior(name: str, runs: dict[str, Run]) -> None:
    run = runs[name]
    scene = Scene(run, run.dataset())
    y = torch.tensor([scene.draw(seed)["y"] for seed in range(400)])
    prior = run.model.current_prior()
    generator = torch.Generator().manual_seed(1)
    reference = run.model.sample_prior(5000, generator)
    with torch.no_grad():
        found, expected = prior.log_prob(y), prior.log_prob(reference)
        assert float(found.mean()) == pytest.approx(float(expected.mean()), abs=5 * float(expected.std()) / 20)
        if name == "mog and full":
            assert float(prior.log_prob(torch.randn(400, 2, generator=generator)).mean()) < float(found.mean()) - 3
    assert scene.start()["prior"] == ("" if run.spec.prior.is_usual else str(run.spec.prior))


@each
def test_the_explorer_shows_each_example_at_its_posterior_mean(name: str, runs: dict[str, Run]) -> None:
    run = runs[name]
    x = run.dataset().test.x[:3]
    with torch.no_grad():
        q, _ = run.model.infer(x)
        mean = q.mean
    scene = Scene(run, run.dataset())
    assert [scene.example(i)["y"] for i in range(3)] == [
        pytest.approx(row, rel=1e-2, abs=1e-3) for row in mean.tolist()
    ]
