"""Are runs of an earlier version read and resumed? It wrote every setting, `split=auto` for sectors, or `line`."""

import json

import pytest
import torch
from intel_cluster import SectorSplit, SimplexSplit

from intel_core import fit, format_spec, load_run, parse_spec, resume

OLD = (
    "cluster:dims=null,k={k},c1=5.0,c2=0.2,learnable={learnable},estimator=mass,proportions=null,phase=0.0,"
    "split={split},form=exact,eps=0.001"
)


def written_by_an_earlier_version(folder, old):
    """The run's text of the mapping, replaced by what it was."""
    path = folder / "run.json"
    info = json.loads(path.read_text())
    assert info["spec"]["mapping"] == [format_spec(parse_spec("mappings", old), explicit=True)]
    info["spec"]["mapping"] = [old]
    path.write_text(json.dumps(info))


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize(
    ("k", "split", "learnable", "cut", "learned"),
    [
        (4, "auto", "false", SectorSplit, None),
        (4, "auto", "true", SectorSplit, "u"),
        (2, "line", "true", SimplexSplit, "b"),
    ],
)
def test_a_run_is_read_and_resumed(tmp_path, stop_at, k, split, learnable, cut, learned):
    old = OLD.format(k=k, split=split, learnable=learnable)
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    settings = {"mapping": old, "data": x, "latent": 4, "steps": 12, "device": "cpu"}
    whole = fit(run_dir=tmp_path / "whole", **settings)
    fit(run_dir=tmp_path / "part", hooks=[stop_at(7)], **settings)
    for folder in ("whole", "part"):
        written_by_an_earlier_version(tmp_path / folder, old)
    state = whole.model.state_dict()
    assert (f"mapping.splits.0.{learned}" in state) == (learned is not None)
    read = load_run(tmp_path / "whole")
    assert type(read.model.mapping.splits[0]) is cut
    assert all(torch.equal(value, state[name]) for name, value in read.model.state_dict().items())
    for saved in (tmp_path / "part" / "checkpoints").iterdir():  # that one belongs to the text of today
        saved.rename(tmp_path / saved.name)
    (tmp_path / "part" / "metrics.jsonl").unlink()
    with pytest.warns(UserWarning, match="begins again with its first step"):
        again = resume(tmp_path / "part", data=x)
    assert all(torch.equal(value, state[name]) for name, value in again.model.state_dict().items())
