"""`fit`, a settings file and the command speak the same language."""

from pathlib import Path

import pytest
import torch

from intel_core import SpecError, fit
from intel_core.recipe.runspec import make_run_spec
from intel_core.recipe.words import SHORT_WORDS, spelled_out


def test_short_words_are_those_of_the_command() -> None:
    spec = make_run_spec(network="linear", lr=0.01, warmup=5, schedule=["lr=cosine:steps=9"])
    assert spec == make_run_spec(
        encoder="linear",
        decoder="linear",
        learning_rate=0.01,
        schedules={"kl": "linear:steps=5", "lr": "cosine:steps=9"},
    )
    assert make_run_spec(warmup=0) == make_run_spec(schedules={"kl": "constant"})
    assert make_run_spec(**{"batch-size": 7}).batch_size == 7


def test_what_is_not_said_is_left_open() -> None:
    assert make_run_spec(network=None, lr=None, warmup=None, schedule=()) == make_run_spec()


def test_a_network_of_its_own_comes_before_that_of_both() -> None:
    spec = make_run_spec(network="linear", decoder="mlp:hidden=[3]")
    assert (str(spec.encoder), str(spec.decoder)) == ("linear", "mlp:hidden=[3]")


def test_fit_takes_them(tmp_path: Path) -> None:
    run = fit(data=torch.randn(40, 2), steps=2, network="linear", lr=0.5, warmup=1, run_dir=tmp_path / "run")
    assert (str(run.spec.encoder), run.spec.learning_rate) == ("linear", 0.5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lr": 0.1, "learning_rate": 0.2}, "lr and learning_rate are one setting"),
        ({"batch-size": 3, "batch_size": 4}, "give one of them"),
        ({"warmup": 3, "schedules": {"kl": "constant"}}, "give one of them"),
        ({"warmup": 3, "schedule": "kl=constant"}, "give one of them"),
        ({"warmup": -1}, "negative"),
        ({"warmup": 10**5000}, "at most 1,000,000,000"),
        ({"warmup": "long"}, "expected a number of training steps"),
        ({"warmup": True}, "expected a number of training steps"),
        ({"schedule": "linear:steps=3"}, "is not NAME=SPEC"),
        ({"schedule": 3}, "is not NAME=SPEC"),
        ({"schedule": [3]}, "is not NAME=SPEC"),
        ({"lr": "fast"}, "learning_rate=fast"),
        ({"replicates": 3}, "fit_replicates"),
        ({"run-dir": "x"}, "--run-dir"),
        ({"netwrok": "mlp"}, "did you mean 'network'?"),
        ({"warm_up": 3}, "did you mean 'warmup'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_they_cannot_say_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_run_spec(**settings)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_short_word_is_a_setting_already() -> None:
    assert not set(SHORT_WORDS) & set(type(make_run_spec()).model_fields)
    assert spelled_out({}) == {}
