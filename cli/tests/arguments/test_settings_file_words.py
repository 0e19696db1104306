"""Can a settings file say whatever an option of `intel train` says, and does the option override it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from intel_cli.arguments.around import ON_THE_COMMAND_LINE, Around, around, take_around
from intel_cli.commands.train import train
from intel_cli.main import intel

from intel_core import SpecError
from intel_core.recipe.runspec import RunSpec
from intel_core.recipe.words import SHORT_WORDS

IN_FILES = {*RunSpec.model_fields, *SHORT_WORDS, *Around.model_fields}


def words_of(parameter: click.Parameter) -> set[str]:
    return {name.lstrip("-").replace("-", "_") for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize("parameter", train.params, ids=lambda one: one.opts[0])
def test_every_option_is_a_word_of_the_file_or_has_a_reason_not_to_be(parameter: click.Parameter) -> None:
    for word in words_of(parameter):
        assert (word in IN_FILES) != (word in ON_THE_COMMAND_LINE), word


def test_reasons_are_of_options_that_there_are() -> None:
    options = {word for parameter in (*train.params, *intel.params) for word in words_of(parameter)}
    assert set(ON_THE_COMMAND_LINE) <= options


def test_the_schema_knows_every_word(ok: Any) -> None:
    assert set(json.loads(ok("schema").stdout)["properties"]) >= IN_FILES


@pytest.mark.parametrize("word", sorted(ON_THE_COMMAND_LINE))
def test_what_is_for_the_command_line_says_so(word: str) -> None:
    for spelled in (word, word.replace("_", "-")):
        with pytest.raises(SpecError, match=f"{spelled} is said on the command line only: "):
            take_around({spelled: 1})


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("run_dirr", "run_dir"), ("replicate", "replicates"), ("trackers", "track"), ("picture", "pictures")],
)
def test_a_typo_is_told_with_the_nearest_word(word: str, nearest: str) -> None:
    with pytest.raises(SpecError, match=f"a run has no setting '{word}'; did you mean '{nearest}'"):
        take_around({word: 1})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicates": True}, "replicates=true: expected a number"),
        ({"replicates": 2.5}, "replicates=2.5"),
        ({"pictures": "perhaps"}, "pictures=perhaps"),
        ({"track": 3}, "track=3"),
        ({"run_dir": 3}, "run_dir=3: expected a path$"),
    ],
)
def test_a_wrong_value_is_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        around({}, take_around(dict(values)))
    assert "\n" not in str(caught.value)


def test_two_spellings_of_one_word_are_refused() -> None:
    with pytest.raises(SpecError, match="are one word"):
        take_around({"run-dir": "a", "run_dir": "b"})
    with pytest.raises(SpecError, match="say pictures: false"):
        take_around({"no-pictures": True})


def write(here: Path, text: str) -> None:
    (here / "run.yaml").write_text(text)


def test_a_file_says_all_of_it_and_options_override_it(ok: Any, here: Path, tiny: Any) -> None:
    write(here, "data: toy_points\nrun-dir: said/here\npictures: false\nreplicates: 2\ntrack: tensorboard\n")
    ok("train", "--config", "run.yaml", *tiny, "--quiet")
    group = here / "said" / "here"
    assert {path.name for path in group.glob("seed-*")} == {"seed-0", "seed-1"}
    assert not list(group.rglob("*.png"))
    assert list(group.rglob("events.out.tfevents.*"))
    ok("train", "--config", "run.yaml", "--run-dir", "other", "--replicates", "1", *tiny, "--quiet")
    assert {path.name for path in (here / "other").glob("seed-*")} == {"seed-0"}


def test_pictures_of_a_single_run(ok: Any, here: Path, tiny: Any) -> None:
    write(here, "data: toy_points\npictures: false\n")
    ok("train", "--config", "run.yaml", *tiny, "--quiet", "--run-dir", "without")
    ok("train", "--config", "run.yaml", "--pictures", *tiny, "--quiet", "--run-dir", "with")
    assert not list((here / "without").glob("*.png"))
    assert list((here / "with").glob("*.png"))


def test_the_settings_of_another_run_bring_no_folder(ok: Any, here: Path, tiny: Any) -> None:
    write(here, "data: toy_points\nrun_dir: first\npictures: false\n")
    ok("train", "--config", "run.yaml", *tiny, "--quiet")
    ok("train", "--config", "first/run.json", "--seed", "3", "--no-pictures", "--quiet")
    assert (here / "runs").is_dir()
