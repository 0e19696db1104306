"""Is the page of a run with modules and data of one's own written from Python? The command could not load them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from intel_cli.report import write_report
from torch import nn

from intel_core import RunError, fit, load_run


def test_the_page_of_a_run_with_ones_own_parts(tmp_path: Path) -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 6)
    run = fit(data=x, encoder=encoder, decoder=decoder, mapping="circle", latent=2, steps=10, run_dir=tmp_path / "run")
    assert write_report(run, data=x) == tmp_path / "run" / "report.html"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "given:of=Linear" in page
    assert str(run.took(dataset=x).headline) in page
    again = load_run(tmp_path / "run", encoder=nn.Linear(3, 4), decoder=nn.Linear(2, 6))
    assert write_report(again, tmp_path / "other.html", data=x).read_text(encoding="utf-8") == page
    with pytest.raises(RunError, match="trained on other data"):
        write_report(run, data=x + 1)
    with pytest.raises(Exception, match="html"):
        write_report(run, tmp_path / "page.txt", data=x)
