"""Which fields do several specs share? Their types, bounds and descriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

__all__ = [
    "BACKGROUND",
    "BINARIZE",
    "CLASSES",
    "FIRST_EXAMPLES",
    "FOLDERS",
    "SPLIT_SEED",
    "STREAM",
    "TEST",
    "VALIDATION",
    "Background",
    "Classes",
    "Colours",
    "Folders",
    "ImageSize",
    "Pixels",
    "Seed",
    "Share",
    "Stream",
    "Weight",
    "Word",
    "Words",
    "YesNoAuto",
    "YesNoColumns",
    "as_before",
    "distinct",
]


def _name(value: Any) -> Any:
    """Columns of a file without names are called by their numbers, which may be written as such."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _one_as_list(value: Any) -> Any:
    """A single word stands for a list of one, so that a shell needs no brackets: ``drop=id``."""
    return value if isinstance(value, (list, tuple)) else (value,)


def _pair(value: Any) -> Any:
    """A single number stands for a square."""
    return value if value is None or isinstance(value, (list, tuple)) else (value, value)


def _number(value: Any) -> Any:
    """Pydantic compares literal numbers strictly, but a text spec passes every bareword as a string."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _yes_no_auto(value: Any) -> Any:
    """The barewords ``true`` and ``false`` of a text spec; pydantic refuses any other word and lists the choices."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _yes_no_or_columns(value: Any) -> Any:
    """Yes, no, or the columns that it is for."""
    value = _yes_no_auto(value)
    return value if isinstance(value, bool) else tuple(_name(one) for one in _one_as_list(value))


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(gt=0, lt=0.5)]
Weight = Annotated[float, Field(ge=0)]
Class = Annotated[int, Field(ge=0, le=9)]
Classes = Annotated[tuple[Class, ...], BeforeValidator(_one_as_list), Field(max_length=10)]
Word = Annotated[str, BeforeValidator(_name)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_one_as_list)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
ImageSize = Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_pair)]
Colours = Annotated[Literal[1, 3], BeforeValidator(_number)]
YesNoAuto = Annotated[Literal[True, False, "auto"], BeforeValidator(_yes_no_auto)]
YesNoColumns = Annotated[bool | tuple[str, ...], BeforeValidator(_yes_no_or_columns)]
Stream = YesNoAuto
Background = Annotated[str, Field(pattern=r"^(white|black|gr[ae]y|refuse|#[0-9a-fA-F]{6})$")]
Folders = Literal["auto", "classes", "splits"]

CLASSES = "digits or classes to keep, relabelled 0, 1, … in this order; all ten if empty"
BINARIZE = "make every pixel 0 or 1, with the threshold 0.5"
FIRST_EXAMPLES = "use only the first so many training images"
VALIDATION = "share of the examples held out for validation"
TEST = "share of the examples held out for testing"
SPLIT_SEED = "seed of the split, independent of the run's seed"
BACKGROUND = "what transparent images are laid on: white, black, grey or #rrggbb; refuse: they are an error"
FOLDERS = (
    "what sub-folders are: classes; splits (train, val, test and alike, which may hold classes); auto: splits if all "
    "are named so, else classes"
)
STREAM = (
    "read training images from disk when they are needed; auto: only if they would take more than a quarter of "
    "the memory"
)


def distinct(classes: tuple[int, ...]) -> tuple[int, ...]:
    """The classes, if none is named twice.

    Raises:
        ValueError: if one is, for pydantic to report.

    >>> distinct((3, 1))
    (3, 1)
    """
    if len(set(classes)) != len(classes):
        raise ValueError("name each class once")
    return classes


def as_before(values: Any, former: set[str], **then: Any) -> Any:
    """What a text of a former version meant: it names every setting there was, but none that came later.

    Args:
        values: what a spec is made of, before it is read.
        former: the settings that there were.
        **then: the later ones, with what was done when there were none.

    >>> as_before({"path": "x", "test": 0.1}, {"path", "test"}, scaled=False)
    {'path': 'x', 'test': 0.1, 'scaled': False}
    >>> as_before({"path": "x"}, {"path", "test"}, scaled=False)
    {'path': 'x'}
    """
    if isinstance(values, dict) and former <= values.keys() and not then.keys() & values.keys():
        return {**values, **then}
    return values
