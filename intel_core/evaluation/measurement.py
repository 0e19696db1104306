"""What does a metric return for a run? Numbers, and the protocol by which they were measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from intel_core.errors import IntelError

if TYPE_CHECKING:
    pass


__all__ = [
    "Measurement",
    "NotApplicableError",
    "Number",
]


class NotApplicableError(IntelError):
    """A metric does not apply to this run: no labels, no images, too few examples, a file that is missing."""


class Number(BaseModel):
    """One number, and what is needed to read it.

    >>> Number(value=0.31, better="higher", beside={"Gaussian floor": 0.23}).error is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float = Field(description="the number")
    error: float | None = Field(None, ge=0, description="its standard error within the protocol, if it is known")
    unit: str = Field("", description="e.g. 'nats per example' or '%'; empty for a pure number")
    better: Literal["higher", "lower"] | None = Field(None, description="which direction is better, if any")
    beside: dict[str, float] = Field(
        default_factory=dict, description="what to compare it with: a floor, a baseline, the value for real data"
    )
    about: str = Field("", description="what it is, in a few words")
    unordered: bool | None = Field(
        None,
        description="whether the index in its name is that of one of several things without an order, such as "
        "clusters, which differs from seed to seed; if unset the name tells",
    )


class Measurement(BaseModel):
    """The result of a metric for a run.

    Attributes:
        numbers: the numbers by name; names are lower-case words.
        protocol: everything that another person needs to get the same numbers: sample counts, preprocessing, seed,
            extractor and its hash.
        details: lists and tables behind the numbers, for pictures and reports. Values that are not finite become None,
            here and in the protocol, because JSON cannot hold them.
        notes: what a reader must know of these numbers, in sentences.

    >>> Measurement(numbers={"elbo": Number(value=-98.5, unit="nats per example")}, protocol={"seed": 0}).notes
    ()
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    numbers: dict[str, Number]
    protocol: dict[str, JsonValue]
    details: dict[str, JsonValue] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @field_validator("protocol", "details")
    @classmethod
    def _check_finite(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return {key: _finite(item) for key, item in value.items()}


def _finite(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
