"""Is the gradient of a batch in parts that of the whole batch, for every objective, and every number of parts?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from intel_core import InteLVAE, SpecError, fit, load_mapping, resume
from intel_core.fitting.accumulating import Accumulated
from intel_core.fitting.elbo_gradient import differentiated
from intel_core.likelihoods.densities import Gaussian
from intel_core.model.objectives import ELBO, IWAE, Objective
from intel_core.networks.layers import mlp_decoder, mlp_encoder

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "data": X, "steps": 12, "encoder": "mlp:hidden=[8]", "latent": 2, "batch_size": 20, "device": "cpu",
    "save_every": 4, "evaluate_every": 4,
}  # fmt: skip


def model() -> InteLVAE:
    torch.manual_seed(0)
    encoder, decoder = mlp_encoder((3,), (8,), 4, "tanh"), mlp_decoder(2, (8,), (3,), "tanh")
    return InteLVAE(encoder, load_mapping("identity", 2), decoder, Gaussian("fixed", 1.0, 0.0)).double()


def gradients(of: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in of.parameters() if parameter.grad is not None]


@given(rows=st.integers(1, 12), parts=st.integers(1, 12), objective=st.sampled_from(["elbo", "dense elbo", "iwae"]))
def test_the_gradient_and_the_terms_are_those_of_the_whole_batch(rows: int, parts: int, objective: str) -> None:
    if parts > rows:
        return
    whole, cut = model(), model()
    particles = 3 if objective == "iwae" else 1
    plain: Objective = IWAE(particles) if objective == "iwae" else ELBO(0.7)
    one = differentiated(plain, cut) if objective == "dense elbo" else plain
    x = torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))
    noise = torch.randn(particles, rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(parts))
    expected = plain(whole, x, noise, {"kl": 0.5})
    expected.loss.backward()
    found = Accumulated(one, parts).differentiate(cut, x, noise, {"kl": 0.5})
    for mine, theirs in zip(gradients(cut), gradients(whole), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    for name, value in expected.numbers().items():
        torch.testing.assert_close(found.numbers()[name], value, rtol=1e-10, atol=1e-12, msg=name)


def test_a_run_in_parts_is_the_run_of_its_batches(tmp_path: Path) -> None:
    """Steps, schedules and clipped gradients are counted and taken as without parts, so all numbers are the same."""
    settings = BASE | {"clip_norm": 0.5, "schedules": {"lr": "linear:start=1,end=0,steps=12"}}
    whole = fit(**settings, run_dir=tmp_path / "whole")
    parts = fit(**settings, optimizer="adam:accumulate=3", run_dir=tmp_path / "parts")
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert [r["step"] for r in parts.records()] == [r["step"] for r in whole.records()]


def test_it_goes_on_bit_for_bit(tmp_path: Path, stop_at: Any) -> None:
    settings = BASE | {"optimizer": "adam:accumulate=3,ema=0.9"}
    whole = fit(**settings, run_dir=tmp_path / "whole")
    parts = fit(**settings, run_dir=tmp_path / "parts", hooks=[stop_at(7)])
    resumed = resume(parts.path, data=X)
    assert all(torch.equal(value, resumed.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_with_a_start_the_pull_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    settings = BASE | {"mapping": "cluster:k=3", "start": "mixture", "steps": 40}
    whole = fit(**settings, run_dir=tmp_path / "whole")
    parts = fit(**settings, optimizer="adam:accumulate=2", run_dir=tmp_path / "parts")
    assert parts.metrics["validation"]["loss"] == pytest.approx(whole.metrics["validation"]["loss"], rel=1e-2)


def test_more_parts_than_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="accumulate=21: a batch of 20 examples has at most 20 parts"):
        fit(**BASE, optimizer="adam:accumulate=21", run_dir=tmp_path / "run")
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with pytest.raises(SpecError, match="at most 10 parts, and batch normalisation needs 2 examples in each"):
        fit(
            data=images,
            network="conv:channels=[4]",
            latent=2,
            batch_size=20,
            optimizer="adam:accumulate=11",
            run_dir=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_objectives_of_whole_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="needs all rows of a batch at once; leave out accumulate"):
        fit(**BASE, objective="dd", optimizer="adam:accumulate=2", run_dir=tmp_path / "run")
