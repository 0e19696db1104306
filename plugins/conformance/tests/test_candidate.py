"""What can be checked, and is everything else refused in one line?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_conformance import check_mapping, conformance
from specimens.mutant import Sound
from torch import nn

from intel_core import MappingSpec, PluginError, SpecError
from intel_core.mappings.building import IdentitySpec


def test_everything_that_is_or_builds_a_mapping_can_be_checked() -> None:
    one = {"level": "quick", "only": ["io.shape"]}
    for what in ("identity", IdentitySpec(), ["circle", "identity"], Sound(3), Sound, lambda y_dim: Sound(y_dim)):
        assert check_mapping(what, **one).ok  # type: ignore[arg-type]


def test_an_object_is_neither_changed_nor_kept_in_training_mode() -> None:
    mapping = nn.Sequential(nn.Linear(2, 2))
    mapping.y_dim = mapping.z_dim = 2  # type: ignore[assignment]
    mapping.eval()
    before = [p.clone() for p in mapping.parameters()]
    assert check_mapping(mapping, level="quick").ok
    assert not mapping.training
    assert all(torch.equal(a, b) for a, b in zip(before, mapping.parameters(), strict=True))


def test_the_fewest_dimensions_are_found() -> None:
    class Four(Sound):
        def __init__(self, y_dim: int) -> None:
            if y_dim < 4:
                raise ValueError("too few")
            super().__init__(y_dim)

    assert check_mapping(Four, only=["io.shape"]).y_dim == 4
    assert check_mapping("hierarchy:levels=[2,3]", only=["io.shape"]).y_dim == 5
    assert check_mapping("cluster:k=5", only=["io.shape"]).y_dim == 4  # in two it would be sectors
    assert check_mapping("cluster:k=5,dims=1-2", only=["io.shape"]).y_dim == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"what": "clutser"}, "did you mean 'cluster'"),
        ({"what": 3}, "is neither a mapping, nor the spec of one, nor a function that builds one"),
        ({"what": []}, "no mapping is given"),
        ({"what": lambda: None}, "give a mapping, or what builds one from y_dim"),
        ({"what": lambda y_dim: None}, "lacks y_dim, z_dim or __call__"),
        ({"what": "identity", "level": "quik"}, "did you mean 'quick'"),
        ({"what": "identity", "only": ["row"]}, "no check is called 'row'; did you mean 'rows'"),
        ({"what": "identity", "skip": ["rows.permut"]}, "did you mean 'rows.permute'"),
        ({"what": "identity", "expected_failures": {"vmap": "?"}}, "no check is called 'vmap'"),
        ({"what": "identity", "dtypes": ["float16"]}, "no dtype 'float16'"),
        ({"what": "identity", "device": "abacus"}, "device 'abacus' is not here"),
        ({"what": "cluster:k=3", "y_dim": 1}, "needs"),
        ({"what": Sound(2), "y_dim": 3}, "has 2 dimensions of y, not 3"),
        ({"what": "identity", "on_fail": "cry"}, "on_fail is"),
    ],
)
def test_nonsense_is_answered_in_a_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")) as told:
        check_mapping(**arguments)
    assert str(told.value).count("\n") < 2


class Forgetful(MappingSpec):
    """Its author has forgotten an argument."""

    def build(self, y_dim: int) -> Any:
        return Sound()  # type: ignore[call-arg]


def test_what_build_raises_is_told_in_a_line_with_its_place() -> None:
    with pytest.raises(
        PluginError, match=r"build\(\) raised TypeError: .*'y_dim' \(test_candidate.py, line \d+\)"
    ) as told:
        check_mapping(Forgetful())
    assert "\n" not in str(told.value)


def test_a_level_that_is_none_is_refused_in_test_files_too() -> None:
    with pytest.raises(SpecError, match="no level is called 'qick'; did you mean 'quick'"):
        conformance(["identity"], level="qick")  # type: ignore[arg-type]
