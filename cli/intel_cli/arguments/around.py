"""What may a settings file for `intel train` say beside the settings of a run? Where it goes, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from intel_core.components.wording import describe_errors, refuse_truths
from intel_core.errors import SpecError, did_you_mean
from intel_core.recipe.runspec import RunSpec
from intel_core.recipe.words import SHORT_WORDS, elsewhere

__all__ = ["ON_THE_COMMAND_LINE", "Around", "around", "take_around"]

ON_THE_COMMAND_LINE = {
    "config": "a settings file names no other one",
    "resume": "a run that is continued has its own settings",
    "dry_run": "it is a question about the file",
    "json": "it is about what one call prints",
    "quiet": "it is about what one call prints",
    "debug": "it is about what one call prints",
    "import": "a settings file is data, and runs no code",
}
"""Options that a settings file cannot say, and why."""


def _listed(value: Any) -> Any:
    """One text as a list of it.

    Raises:
        ValueError: if there is anything else than texts.
    """
    listed = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str) for one in listed):
        raise ValueError("expected a tracker such as tensorboard or mlflow:name=value, or a list of them")
    return listed


class Around(BaseModel):
    """What belongs to a training and not to its result: each field has the word of its option."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_dir: Path | None = Field(None, description="new folder for the run; by default runs/NAME")
    data_dir: Path | None = Field(None, description="folder with data files; by default INTEL_DATA_DIR")
    replicates: int | None = Field(None, description="so many runs with consecutive seeds, at once if possible")
    track: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="where a record is kept too: tensorboard, wandb, mlflow, … with their settings; one or a list"
    )
    pictures: bool = Field(True, description="whether samples, reconstructions and the latent space are drawn")


def around(options: Dictionary[str, Any], from_file: Dictionary[str, Any] | None = None) -> Around:
    """What the options say, and where they say nothing, a settings file.

    Args:
        options: by field; None or empty where an option is not given.
        from_file: as `take_around` gives it.

    Raises:
        SpecError: naming the word, what was expected and what was given.
    """
    given = {key: value for key, value in options.items() if value is not None and value != ()}
    values = {**(from_file or {}), **given}
    refuse_truths(Around, values)
    try:
        return Around.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        raise SpecError(describe_errors(error)) from None


def take_around(settings: dict[str, Any]) -> dict[str, Any]:
    """Take the words of `Around` out of what a settings file says.

    Raises:
        SpecError: if a word is given twice, is for the command line only, or is none; then with the nearest one.

    >>> settings = {"latent": 2, "run-dir": "runs/mine", "pictures": False}
    >>> take_around(settings), settings
    ({'run_dir': 'runs/mine', 'pictures': False}, {'latent': 2})
    >>> take_around({"replicats": 3})
    Traceback (most recent call last):
    intel_core.errors.SpecError: a run has no setting 'replicats'; did you mean 'replicates'?...
    """
    known = [*RunSpec.model_fields, *SHORT_WORDS, *Around.model_fields]
    taken: dict[str, Any] = {}
    for key in list(settings):
        word = key.replace("-", "_")
        if word in Around.model_fields:
            if word in taken:
                raise SpecError(f"{key} and {word} are one word; give one of them")
            taken[word] = settings.pop(key)
        elif word == "no_pictures":
            raise SpecError(f"say pictures: false instead of {key}")
        elif word in ON_THE_COMMAND_LINE:
            raise SpecError(f"{key} is said on the command line only: {ON_THE_COMMAND_LINE[word]}")
        elif word not in known and elsewhere(word) is None:  # which make_run_spec tells
            raise SpecError(f"a run has no setting {key!r}{did_you_mean(word, known, say='settings')}")
    return taken
