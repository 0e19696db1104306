"""Do the settings of a cell lie over each other as options lie over a settings file?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from intel_study import Study
from intel_study.layers import cell_settings

from intel_core import SpecError


def test_later_layers_replace_earlier_ones(study_with: Callable[..., Study]) -> None:
    study = study_with(
        reference=None,
        base={"lr": 0.1, "steps": 9, "network": "mlp", "warmup": 4},
        problems={"x": {"data": "square", "latent": 2}, "y": {"data": "star"}},
        arms={
            "a": {
                "settings": {"latent": 3, "schedule": "lr=constant", "epochs": 2},
                "by_problem": {"x": {"latent": 4}},
            }
        },
    )
    assert cell_settings(study, "x", "a") == {
        "learning_rate": 0.1,
        "encoder": "mlp",
        "decoder": "mlp",
        "schedules": {"kl": "linear:steps=4", "lr": "constant"},
        "epochs": 2,
        "data": "square",
        "latent": 4,
    }
    assert cell_settings(study, "y", "a")["latent"] == 3


@pytest.mark.parametrize(("word", "instead"), [("seed", "seeds of the study"), ("name", "names of arms and problems")])
def test_what_the_study_itself_says_is_no_setting(study_with: Callable[..., Study], word: str, instead: str) -> None:
    study = study_with(reference=None, arms={"a": {"settings": {word: 1}}})
    with pytest.raises(SpecError, match=f"arm a: {word} is no setting here; a run has it from the {instead}"):
        cell_settings(study, "", "a")
