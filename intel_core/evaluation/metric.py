"""What is a metric? A spec that measures a run and returns numbers together with their protocol.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject
from intel_core.evaluation.measurement import Measurement

__all__ = [
    "MetricSpec",
]


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
            NotApplicableError: with the reason, in a sentence, if the metric does not apply to this run.
            IntelError: for anything else that the user can correct.
        """
        raise PluginError(f"{type(self).__name__} does not define measure(subject)")
