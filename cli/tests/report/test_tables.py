"""What a mapping says of the test data is explained to a reader who has not read about it."""

import pytest
from intel_cli.report.tables import diagnosis_of

from intel_core import load_mapping
from intel_core.helpers.parts_of_mapping import diagnose


@pytest.mark.parametrize("mapping", ["cluster:k=2", "sparse", "hierarchy:levels=2", "holes:h=2"])
def test_every_number_of_a_diagnosis_says_what_it_means(mapping: str) -> None:
    import torch

    y = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    said = diagnose(load_mapping(mapping, 2), y, torch.arange(40) % 2)
    shown = diagnosis_of(said, [], ())
    assert len(shown) > 1
    assert [one.name for one in shown if not one.about and one.name != "classes"] == []


def test_a_strangers_number_is_shown_without_a_meaning() -> None:
    (one,) = diagnosis_of({"wobble": 0.5}, [], ())
    assert (one.name, one.text, one.about) == ("wobble", "0.5", "")
