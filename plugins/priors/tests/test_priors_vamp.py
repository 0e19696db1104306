"""Is the VampPrior the mean of its inputs' posteriors, does it learn where the data are, and what does it refuse?"""

from __future__ import annotations

import math

import pytest
import torch
from intel_priors import MixtureOfPosteriors, VampPrior
from intel_priors.spreading import spread_rows
from torch import nn

from intel_core import (
    DiagonalGaussian,
    SpecError,
    fit,
    fit_replicates,
    load_run,
    make_dataset,
    resume,
)
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.process_group import ProcessGroup

X = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
BASE = {"prior": "vamp:components=7", "steps": 40, "batch_size": 20, "device": "cpu", "latent": 3}
NETS = {"dense": {"network": "mlp:hidden=[16]"}, "conv": {"network": "conv:channels=[4,8]"}}
each_net = pytest.mark.parametrize("net", NETS)


def components(k, d, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    mean = 5 * torch.randn(k, d, generator=generator, dtype=torch.float64)
    log_variance = torch.randn(k, d, generator=generator, dtype=torch.float64) + 2 * math.log(scale)
    return MixtureOfPosteriors(mean.to(dtype), log_variance.to(dtype))


def by_loop(prior, y):
    """Log densities of all pairs, one component after another, in float64."""
    pairs = zip(prior.mean.double(), prior.log_variance.double(), strict=True)
    each = [torch.distributions.Normal(m, (0.5 * v).exp()).log_prob(y.double()).sum(-1) for m, v in pairs]
    return torch.stack(each, -1) - math.log(prior.k)


# --- the mixture -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-3])
def test_the_density_against_a_loop_over_components(scale, dtype):
    prior = components(60, 50, scale, dtype)
    y = prior.draw(torch.randn(4, 90, 51, generator=torch.Generator().manual_seed(2), dtype=dtype))
    expected = by_loop(prior, y)
    found = prior.log_prob(y)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected.logsumexp(-1), rtol=1e-6, atol=1e-5)
    responsible = prior.log_responsibilities(y).double()
    torch.testing.assert_close(responsible.exp(), expected.softmax(-1), rtol=0, atol=1e-5)


def test_the_density_integrates_to_one():
    prior = components(4, 1, 0.5)
    grid = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    assert torch.trapezoid(prior.log_prob(grid.unsqueeze(-1)).exp(), grid).item() == pytest.approx(1, abs=1e-9)


def test_many_draws_are_computed_in_parts_and_no_draw_is_lost():
    prior = components(2, 2)
    y = torch.randn(3, 9001, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(y), by_loop(prior, y).logsumexp(-1))


def test_every_component_is_drawn_equally_often():
    prior = components(5, 1, 1e-9)
    y = prior.draw(torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    shares = torch.bincount((y - prior.mean.T).abs().argmin(-1), minlength=5) / 100_000
    assert float((shares - 0.2).abs().max()) < 0.01
    ends = prior.draw(torch.tensor([[-40.0, 0.0], [40.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(ends, prior.mean[[0, 4]])


def test_gradients_of_the_density_are_those_of_the_loop():
    prior = MixtureOfPosteriors(*(part.requires_grad_() for part in components(6, 4)))
    y = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    inputs = (prior.mean, prior.log_variance, y)
    ours = torch.autograd.grad(prior.log_prob(y).sum(), inputs)
    theirs = torch.autograd.grad(by_loop(prior, y).logsumexp(-1).sum(), inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


# --- pseudo-inputs ---------------------------------------------------------------------------------------------


def test_images_lie_in_the_unit_interval_and_rows_of_tables_anywhere():
    torch.manual_seed(0)
    images, rows = VampPrior(50, (1, 8, 8)).inputs().detach(), VampPrior(50, (4,)).inputs().detach()
    assert bool((images > 0).all() and (images < 1).all())
    assert 0.05 < float(images.mean()) < 0.5, "a dark ground, as pictures of digits have"
    assert bool((rows < 0).any() and (rows > 1).any())
    forced = VampPrior(50, (4,), "sigmoid").inputs()
    assert bool((forced > 0).all() and (forced < 1).all())


def test_every_value_of_a_pseudo_image_can_learn():
    prior = VampPrior(5, (1, 8, 8))
    prior.inputs().sum().backward()
    assert float(prior.raw.grad.min()) > 0


def test_no_component_and_other_posteriors_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 component"):
        VampPrior(0, (4,))
    with pytest.raises(SpecError, match="components=0"):
        fit(data=X, **{**BASE, "prior": "vamp:components=0"})
    with pytest.raises(SpecError, match="prior vamp needs posterior gaussian"):
        VampPrior(2, (4,)).given(object())


# --- runs ------------------------------------------------------------------------------------------------------


@each_net
def test_interrupted_and_resumed_it_is_the_run_that_was_not(net, tmp_path, stop_at):
    whole = fit(data=X, run_dir=tmp_path / "whole", **BASE, **NETS[net])
    part = fit(data=X, run_dir=tmp_path / "part", hooks=[stop_at(17)], **BASE, **NETS[net])
    again = resume(part.path, data=X)
    ours, theirs = (load_run(run.path).model.state_dict() for run in (again, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.metrics["test"] == whole.metrics["test"]
    assert whole.sample(4).shape == (4, 1, 8, 8)


def test_replicates_are_stacked(tmp_path):
    found = fit_replicates(2, data=X, run_dir=tmp_path / "group", **{**BASE, "steps": 10}, **NETS["dense"])
    assert found.summary["stacked"] is True


def trainer_for(net, processes=None):
    data = make_dataset("noise", X)
    spec = resolve(make_run_spec(data="memory:examples=4,shape=[1]", **BASE, **NETS[net]), data)
    return make_trainer(spec, data, hook_manager(), *([processes] if processes else []))


def test_batch_normalisation_sees_data_and_pseudo_inputs_as_one_batch():
    model = trainer_for("conv").model.train()
    norms = [part for part in model.encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    sizes = []
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    posterior, prior = model.infer(X[:20])
    assert sizes == [27] * len(norms)
    assert (len(posterior.mean), prior.k) == (20, 7)
    together = model.encode(torch.cat([X[:20], model.prior.inputs()]))
    assert isinstance(together, DiagonalGaussian)
    torch.testing.assert_close(together.mean[20:], prior.mean)


class TwoProcesses(ProcessGroup):
    """As if there were another."""

    size = 2


def test_in_several_processes_only_networks_without_batch_normalisation_train():
    with pytest.raises(SpecError, match="which batch normalisation would count once for each process"):
        trainer_for("conv", TwoProcesses())
    assert trainer_for("dense", TwoProcesses()) is not None


# --- where it begins, and where it ends ------------------------------------------------------------------------

CENTRES = torch.tensor([[3.0, 0.0], [-1.5, 2.6], [-1.5, -2.6]])
TABLE = {"latent": 2, "network": "mlp:hidden=[64,64]", "likelihood": "gaussian", "batch_size": 200, "device": "cpu"}


def three_clusters(n, shares=(1 / 3, 1 / 3, 1 / 3)):
    """Rows of three Gaussians in the plane."""
    generator = torch.Generator().manual_seed(0)
    which = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=generator)
    return CENTRES[which] + 0.3 * torch.randn(n, 2, generator=generator)


def shares_of(rows):
    """Of the three clusters, by the nearest centre."""
    return torch.bincount(torch.cdist(torch.as_tensor(rows), CENTRES).argmin(-1), minlength=3) / len(rows)


@pytest.mark.parametrize("k", [3, 7, 30, 100])
@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.6, 0.3, 0.1), (0.9, 0.05, 0.05)])
def test_each_cluster_has_components_in_proportion_at_first_and_at_random_it_has_not(k, shares):
    x = three_clusters(3000, shares)
    chosen = x[spread_rows(x, k)]
    assert len(chosen.unique(dim=0)) == k
    assert float((shares_of(chosen) - shares_of(x)).abs().max()) < 1.5 / k + 1e-6


def test_a_run_on_a_table_begins_at_its_rows_and_a_run_on_images_at_shapes():
    x = three_clusters(600)

    def prior(**settings):
        settings = {**BASE, "steps": 1, "lr": 1e-12, **settings}
        return fit(data=settings.pop("data"), **settings).model.prior

    one = {"data": x, **TABLE, "batch_size": 20}
    found = prior(**one, prior="vamp:components=30").raw.detach()
    distance = torch.cdist(found, x).min(-1).values
    assert 0 < float(distance.max()) < 0.2, "next to rows, but not at them"
    assert float((shares_of(found) - 1 / 3).abs().max()) < 1.5 / 30
    torch.testing.assert_close(prior(**one, prior="vamp:components=30").raw, found)
    elsewhere = prior(**one, prior="vamp:components=30,start=noise").raw.detach()
    assert float(torch.cdist(elsewhere, x).min(-1).values.max()) > 0.5
    shapes, pictures = (
        prior(data=X, prior=f"vamp:components=7{more}").inputs().detach() for more in ("", ",start=data")
    )
    nearest = [float(torch.cdist(u.flatten(1), X.flatten(1)).min(-1).values.max()) for u in (shapes, pictures)]
    assert nearest[1] < 0.5 < nearest[0]


def test_more_components_than_rows_and_equal_rows_still_begin_apart():
    prior = VampPrior(12, (2,))
    before = prior.raw.detach().clone()
    prior.begin_at(lambda n: torch.tensor([[5.0, 5.0], [5.0, 5.0], [9.0, 9.0]]))
    found = prior.raw.detach()
    assert torch.equal(found[3:], before[3:])
    assert float(found[:3].min()) > 4
    assert len(found.unique(dim=0)) == 12


def test_a_run_on_a_table_goes_on_as_if_it_had_not_been_interrupted(tmp_path, stop_at):
    settings = {**TABLE, "data": three_clusters(600), "prior": "vamp:components=6", "steps": 30, "batch_size": 50}
    whole = fit(run_dir=tmp_path / "whole", **settings)
    part = fit(run_dir=tmp_path / "part", hooks=[stop_at(17)], **settings)
    again = resume(part.path, data=settings["data"])
    ours, theirs = (run.model.state_dict() for run in (again, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    group = fit_replicates(2, run_dir=tmp_path / "group", **settings)
    assert group.summary["stacked"] is True
    torch.testing.assert_close(group.runs[0].model.prior.raw, whole.model.prior.raw, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_at_convergence_its_mass_is_where_the_data_are(seed, tmp_path):
    """Three equal Gaussians in the plane: nearly all samples are at one of them, a third at each.

    The shares are as even as they can be with K components: within 1/K, and the error of 3,000 samples. The best ELBO
    is minus the entropy of the data.
    """
    k, n = 30, 3000
    settings = {**TABLE, "data": three_clusters(6000), "steps": 6000, "warmup": 2000, "seed": seed}
    runs = {
        name: fit(run_dir=tmp_path / name.partition(":")[0], prior=name, **settings)
        for name in (f"vamp:components={k}", "standard")
    }
    vamp = runs[f"vamp:components={k}"]
    samples = torch.as_tensor(vamp.sample(n))
    assert float((torch.cdist(samples, CENTRES).min(-1).values < 1.2).float().mean()) > 0.99
    assert float((shares_of(samples) - 1 / 3).abs().max()) < 1 / k + 3 * math.sqrt(2 / 9 / n)
    entropy = math.log(3) + math.log(2 * math.pi * math.e * 0.3**2)
    elbos = {name: run.metrics["test"]["elbo"] for name, run in runs.items()}
    assert -entropy - 0.1 < elbos[f"vamp:components={k}"] < -entropy + 0.05
    assert elbos[f"vamp:components={k}"] > elbos["standard"] + 0.1
