"""The verdict that `intel report` gives is the one that a run gives in Python."""

import json

import pytest

from intel_core import load_run


@pytest.fixture
def pair(ok, here, tiny):
    """A run with clusters and one without, on the same data."""
    for name, mapping in (("clusters", "halves:dims=0-1"), ("plain", "identity")):
        ok(
            *("train", "--data", "toy_points", "--mapping", mapping, "--latent", 2, *tiny),
            *("--quiet", "--no-pictures", "--run-dir", name),
        )


@pytest.mark.parametrize("against", [None, "plain"])
def test_report_and_python_agree(ok, pair, against):
    asked = ("--against", against) if against else ()
    reported = json.loads(ok("report", "clusters", *asked, "--json").stdout)
    verdict = load_run("clusters").took(against)
    assert verdict.to_dict() == {key: reported[key] for key in ("outcome", "headline", "findings", "caveats")}
    assert len(verdict.findings) == (4 if against else 3)
    lines = ok("report", "clusters", *asked).stdout.splitlines()
    assert lines[: 1 + len(verdict.findings) + len(verdict.caveats)] == str(verdict).splitlines()
