"""Which study is meant by a name or a path, and how is its file read?

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.components.settings_file import read_settings
from intel_core.components.wording import describe_errors
from intel_core.errors import PluginError, SpecError, did_you_mean
from intel_core.recipe.runspec import RunSpec
from intel_core.recipe.words import SHORT_WORDS
from intel_study.design import Arm, Claim, Column, Figure, Full, Study
from intel_study.published import StudySpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["find_study", "read_study", "study_of"]

_ENDINGS = (".yaml", ".yml", ".json")
_PARTS: dict[str, type[BaseModel]] = {"arms": Arm, "numbers": Column, "claims": Claim, "figures": Figure}


def find_study(word: str) -> tuple[str, Path]:
    """The name and the file of a study: a published one, or that of a path.

    Raises:
        SpecError: if there is neither, with the nearest name that there is.
    """
    path = Path(word).expanduser()
    names = {component.name for component in plugins.available("studies")}
    is_path = "/" in word or "\\" in word or path.suffix.lower() in _ENDINGS
    if is_path or (path.is_file() and word not in names):
        if path.is_file():
            return path.stem, path
        near = _nearest_file(path)
        raise SpecError(f"there is no file {word!r}{near}")
    try:
        spec_class = cast("type[StudySpec]", loading.load("studies", word))
    except PluginError as error:
        if word in names:
            raise
        raise SpecError(f"no study is called {word!r}{did_you_mean(word, names, say='studies')}") from error
    return word.rpartition("/")[2], spec_class.path()


def _nearest_file(path: Path) -> str:
    try:
        there = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in _ENDINGS]
    except OSError:
        return f"; there is no folder {str(path.parent)!r}"
    return did_you_mean(path.name, there, say="studies there") if there else ""


def read_study(path: Path | str) -> Study:
    """The study in a YAML or JSON file.

    Raises:
        SpecError: naming the field, what was expected and the nearest spelling.
    """
    path = Path(path)
    return study_of(read_settings(path), str(path))


def study_of(content: Mapping[str, Any], where: str = "study") -> Study:
    """The study that keys and values describe.

    Raises:
        SpecError: as `read_study`.

    >>> study_of({"arms": {"a": {"settngs": {}}}})
    Traceback (most recent call last):
    intel_core.errors.SpecError: study: arms.a has no key 'settngs'; did you mean 'settings'?...
    """
    _refuse_truths(content, where)
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{where}: {_said(error)}") from None


_TRUTHS = "YAML reads yes, no, on and off as true and false; write them in quotes"
_NAMES = ("of", "number", "arm", "problem", "x", "y", "reference", "label", "unit")
"""Keys whose value is a name, so that true or false there is a word that YAML has read otherwise."""


def _refuse_truths(content: Any, where: str, inside: str = "") -> None:
    """Refuse words that YAML has read as truth values, where names are meant.

    Raises:
        SpecError: naming the place.
    """
    if isinstance(content, list):
        for place, value in enumerate(content):
            _refuse_truths(value, where, f"{inside}{place}.")
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if not isinstance(key, str):
            more = f"; {_TRUTHS}" if isinstance(key, bool) else "; write it in quotes"
            raise SpecError(f"{where}: {inside or 'a study: '}key {key!r} is no word{more}")
        is_setting = inside.startswith(("base.", "problems.")) or ".settings." in inside or ".by_problem." in inside
        if key in _NAMES and isinstance(value, bool) and not is_setting:
            raise SpecError(f"{where}: {inside}{key}={str(value).lower()}: expected a word; {_TRUTHS}")
        _refuse_truths(value, where, f"{inside}{key}.")


def _said(error: ValidationError) -> str:
    for detail in error.errors(include_url=False):
        if detail["type"] == "extra_forbidden":
            *parents, key = (str(part) for part in detail["loc"])
            fields = _fields_at(parents)
            known = did_you_mean(key, fields, say="keys")
            word = key.replace("-", "_")
            if word in RunSpec.model_fields or word in SHORT_WORDS:
                under = "settings" if "arms" in parents else "base"
                known = f"; it is a setting of a run and goes under {under}"
            return f"{'.'.join(parents) or 'a study'} has no key {key!r}{known}"
        if said := _shape(detail):
            return said
    return describe_errors(error)


def _shape(detail: ErrorDetails) -> str:
    """What is said of a list, or of keys and values, where something else is meant; else nothing."""
    where, given = [str(part) for part in detail["loc"]], detail["input"]
    if where[:1] == ["metrics"] and isinstance(given, str):
        return f"metrics={given}: expected a list such as [{given}], or names and metrics"
    if where == ["arms"] and not given:
        return "arms is empty; expected at least one arm, such as plain: {settings: {mapping: identity}}"
    if len(where) == 2 and where[0] == "arms" and not isinstance(given, Mapping):
        setting = f"{{mapping: {given}}}" if isinstance(given, str) else "{…}"
        shown = given if isinstance(given, str | int | float) else "null" if given is None else type(given).__name__
        return f"{'.'.join(where)}={shown}: expected keys and values, such as {{settings: {setting}}}"
    return ""


def _fields_at(parents: list[str]) -> list[str]:
    found: type[BaseModel] = Study
    for parent in parents:
        found = Full if parent == "full" else _PARTS.get(parent, found)
    return list(found.model_fields)
