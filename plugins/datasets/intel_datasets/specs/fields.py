"""Which fields do several specs share? Their types, bounds and descriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

__all__ = [
    "BINARIZE",
    "CLASSES",
    "FIRST_EXAMPLES",
    "SPLIT_SEED",
    "STREAM",
    "TEST",
    "VALIDATION",
    "Classes",
    "Colours",
    "ImageSize",
    "Pixels",
    "Seed",
    "Share",
    "Stream",
    "Weight",
    "Words",
    "distinct",
]


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
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(gt=0, lt=0.5)]
Weight = Annotated[float, Field(ge=0)]
Class = Annotated[int, Field(ge=0, le=9)]
Classes = Annotated[tuple[Class, ...], BeforeValidator(_one_as_list), Field(max_length=10)]
Words = Annotated[tuple[str, ...], BeforeValidator(_one_as_list)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
ImageSize = Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_pair)]
Colours = Annotated[Literal[1, 3], BeforeValidator(_number)]
Stream = Annotated[Literal[True, False, "auto"], BeforeValidator(_yes_no_auto)]

CLASSES = "digits or classes to keep, relabelled 0, 1, … in this order; all ten if empty"
BINARIZE = "make every pixel 0 or 1, with the threshold 0.5"
FIRST_EXAMPLES = "use only the first so many training images"
VALIDATION = "share of the examples held out for validation"
TEST = "share of the examples held out for testing"
SPLIT_SEED = "seed of the split, independent of the run's seed"
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
