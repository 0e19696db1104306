"""What is a metric? Its spec, what it may refuse, and what it says: numbers beside the protocol that made them.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from intel_core.errors import IntelError, PluginError
from intel_core.spec import ComponentSpec

if TYPE_CHECKING:
    from intel_core.measuring import Subject

__all__ = ["Measurement", "MetricSpec", "NotApplicableError", "Number"]


class NotApplicableError(IntelError):
    """A metric that says nothing of this run: no labels, no images, too few examples, a file that is not here."""


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
        default_factory=dict, description="what to hold it against: a floor, a baseline, what real data score"
    )
    about: str = Field("", description="what it is, in a few words")


class Measurement(BaseModel):
    """What a metric says of a run.

    Attributes:
        numbers: by name; lower-case words.
        protocol: everything that another person needs to get the same numbers: sample counts, preprocessing, seed,
            extractor and its hash.
        details: lists and tables behind the numbers, for pictures and reports. What is not finite becomes None, here
            and in the protocol: JSON has no word for it.
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


class MetricSpec(ComponentSpec):
    """Base of every metric's spec.

    A plugin's whole spec is a subclass with fields and one method, `measure`, registered under the entry-point group
    ``intelvae.metrics``; it imports torch in `measure`, not at the top.

    Attributes:
        cost: ``"seconds"``, or ``"minutes"`` for what `intel evaluate` leaves out unless it is asked for.
    """

    kind: ClassVar[str] = "metrics"
    cost: ClassVar[Literal["seconds", "minutes"]] = "seconds"
    seed: int = Field(0, ge=0, lt=2**63, description="seed of whatever is drawn")

    def measure(self, subject: Subject) -> Measurement:
        """The numbers of this metric for a trained run.

        Raises:
            NotApplicableError: with the reason, in a sentence, where it has nothing to say of this run.
            IntelError: for anything else that the user can mend.
        """
        raise PluginError(f"{type(self).__name__} does not define measure(subject)")
