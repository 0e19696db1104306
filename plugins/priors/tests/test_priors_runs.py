"""Can a run with each prior be trained, sampled, resumed bit for bit, and stacked with its replicates?"""

import pytest
import safetensors.torch
import torch

from intel_core import fit, fit_replicates, load_run, resume

X = (torch.rand(120, 1, 6, 6, generator=torch.Generator().manual_seed(0)) > 0.5).float()
BASE = {"steps": 40, "batch_size": 20, "evaluate_every": 10, "device": "cpu", "latent": 5, "encoder": "mlp:hidden=[8]"}
RUNS = {
    "mog": {"prior": "mog"},
    "mog as coded": {"prior": "mog:preset=as_coded,k=4"},
    "mog learned": {"prior": "mog:preset=learned,k=6,means=simplex"},
    "mog iwae": {"prior": "mog:weights=learned", "objective": "iwae:particles=3"},
    "gmvae": {"prior": "gmvae:k=3,w=2,hidden=16", "mapping": "first:keep=3"},
    "sparse mixture": {"prior": "sparse_mixture"},
    "realnvp": {"prior": "flow:hidden=[16]"},
    "nsf": {"prior": "flow:form=nsf,transforms=2,hidden=[16]"},
    "maf": {"prior": "flow:form=maf,hidden=[16]"},
    "dd": {"prior": "sparse_mixture", "objective": "dd"},
    "dd with a mapping": {"prior": "mog:k=3", "objective": "dd:alpha=10", "mapping": "sparse:gamma=2"},
}
each_run = pytest.mark.parametrize("name", RUNS)


@pytest.mark.promptly("maf", "dd with a mapping", "gmvae", "mog learned")
@each_run
def test_interrupted_and_resumed_it_is_the_run_that_was_not(name, tmp_path, stop_at):
    whole = fit(data=X, run_dir=tmp_path / "whole", **BASE, **RUNS[name])
    part = fit(data=X, run_dir=tmp_path / "part", hooks=[stop_at(17)], **BASE, **RUNS[name])
    assert part.status == "interrupted"
    again = resume(part.path, data=X)
    ours, theirs = (safetensors.torch.load_file(run.path / "model.safetensors") for run in (again, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert again.metrics["test"] == whole.metrics["test"]
    samples = load_run(whole.path).sample(4)
    assert samples.shape == (4, 1, 6, 6)
    assert torch.equal(samples, again.sample(4))


@pytest.mark.promptly("mog learned", "gmvae", "dd with a mapping")
@each_run
def test_replicates_are_stacked_and_are_the_runs_of_their_seeds(name, tmp_path):
    together = fit_replicates(2, data=X, run_dir=tmp_path / "group", **BASE, **RUNS[name])
    assert together.summary["stacked"], together.summary.get("why_not")
    alone = fit(data=X, run_dir=tmp_path / "alone", seed=1, **BASE, **RUNS[name])
    assert together.runs[1].metrics["test"]["elbo"] == pytest.approx(alone.metrics["test"]["elbo"], rel=1e-3)


@pytest.mark.parametrize("name", ["mog learned", "mog iwae", "gmvae", "realnvp", "nsf", "maf"])
def test_what_a_prior_learns_changes_and_is_restored(name, tmp_path):
    short = fit(data=X, run_dir=tmp_path / "short", **{**BASE, "steps": 1}, **RUNS[name])
    run = fit(data=X, run_dir=tmp_path / "run", **BASE, **RUNS[name])
    before, after = (dict(one.model.prior.named_parameters()) for one in (short, run))
    assert after.keys() == before.keys() != set()
    assert all(not torch.equal(before[key], after[key]) for key in before)
    restored = load_run(run.path).model.prior.state_dict()
    assert all(torch.equal(value, restored[key]) for key, value in run.model.prior.state_dict().items())
