"""Does the whole thing work as a user runs it? One real training run by the command, read back from its directory."""

import json

import numpy as np
import torch

from intel_core import load_run


def test_train_cluster_on_digits_by_the_command(tmp_path, forked):
    train = ["-m", "intel_cli", "train", "--mapping", "cluster:k=3", "--steps", "600", "--json", "--run-dir", "run"]
    process = forked(*train, cwd=tmp_path)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    json.loads(printed)
    for picture in ("samples.png", "reconstructions.png", "latent.png"):
        assert (tmp_path / "run" / picture).stat().st_size > 5000
    run = load_run(tmp_path / "run")
    dataset = run.dataset()
    x = dataset.test.x
    # The best that a model without latents can do is the entropy of the mean image under its own cross-entropy.
    mean = dataset.train.x.mean(0).clamp(1e-4, 1 - 1e-4)
    without_latents = float((x * mean.log() + (1 - x) * (1 - mean).log()).flatten(1).sum(1).mean())
    assert run.metrics["test"]["elbo"] > without_latents + 2
    assert run.metrics["test"]["active_units"] >= 2
    shares = run.metrics["mapping"]["data_shares"]
    assert np.isclose(sum(shares), 1)
    assert run.metrics["mapping"]["nmi"] > 0.05
    better = (run.reconstruct(x) - x).square().sum() / (mean - x).square().sum()
    assert float(better) < 0.75
    clusters = run.model.mapping.assign(run.encode(x).mean)
    assert torch.bincount(clusters, minlength=3).double().div(len(x)).tolist() == shares
    assert len({tuple(row.flatten().tolist()) for row in run.sample(20)}) == 20
