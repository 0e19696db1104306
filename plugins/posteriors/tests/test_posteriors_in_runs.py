"""Does each posterior train, sample, resume bit for bit, and stack as replicates?"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from intel_conformance import check_posterior

from intel_core import SpecError, fit, fit_replicates, load_run, parse_spec, resume

TEXTS = [
    "sylvester:rank=2",
    "sylvester:form=householder,rank=2",
    "sylvester:form=triangular",
    "full",
    "flow",
    "flow:form=nsf",
    "flow:form=realnvp",
    "spike_slab",
]
each = pytest.mark.parametrize("text", TEXTS)
# All are stacked below; the same code saves and reads them.
SAVED = ("sylvester:rank=2", "full", "flow", "spike_slab")


def settings(text, **others):
    prior = {"prior": "spike_slab"} if text == "spike_slab" else {}
    rows = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)).cumsum(1)
    small = {"network": "mlp:hidden=[16]", "latent": 3, "steps": 40, "batch_size": 50, "device": "cpu"}
    return {"data": rows, "posterior": text, **small, **prior, **others}


@pytest.mark.promptly(*SAVED)
@each
def test_a_run_trains_samples_and_resumes_bit_for_bit(text, tmp_path, stop_at):
    whole = fit(run_dir=tmp_path / "whole", **settings(text))
    assert whole.sample(5).shape == (5, 4)
    assert abs(whole.metrics["test"]["elbo"]) < 1e4
    part = fit(run_dir=tmp_path / "part", hooks=[stop_at(20)], **settings(text))
    assert part.status != "finished"
    again = resume(part.path, data=settings(text)["data"])
    ours, theirs = (load_run(run.path).model.state_dict() for run in (again, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.metrics["test"] == whole.metrics["test"]


@pytest.mark.promptly(every=2)
@each
def test_replicates_are_stacked(text, tmp_path):
    found = fit_replicates(2, run_dir=tmp_path / "group", **settings(text, steps=10))
    assert found.summary["stacked"] is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sylvester:rank=8", "rank=8 is more than the 3 dimensions of y"),
        ("sylvester:rank=0", "rank=0"),
        ("sylvester:flows=0", "flows=0"),
        ("sylvester:form=triangular,rank=2", "form=triangular has no rank"),
        ("flow:form=glow", "form=glow"),
        ("spike_slab", "densities of different kinds"),
    ],
)
def test_impossible_settings_are_refused_in_a_line(text, said, tmp_path):
    wanted = {**settings(text), "prior": "standard"}
    with pytest.raises(SpecError, match=said) as caught:
        fit(run_dir=tmp_path / "none", **wanted)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


def test_the_default_rank_fits_a_small_latent():
    assert [parse_spec("posteriors", "sylvester").build(d).rank for d in (1, 2, 50)] == [1, 2, 8]


def test_specs_do_not_import_torch():
    code = f"import sys; from intel_core import parse_spec; [parse_spec('posteriors', t) for t in {TEXTS}]"
    code += "; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize("form", ["orthogonal", "householder", "triangular"])
def test_in_one_dimension_every_feature_of_a_sylvester_flow_makes_a_difference(form):
    report = check_posterior(f"sylvester:form={form}", y_dim=1, only=["grad.features"], level="quick")
    assert report.ok, [str(result) for result in report.results]
