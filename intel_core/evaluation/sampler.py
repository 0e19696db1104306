"""What is a sampler? A spec that fits a distribution of y to the encodings of the training data, after training.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field, JsonValue

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.model.prior import Prior

__all__ = ["FittedSampler", "SamplerSpec"]


class FittedSampler(NamedTuple):
    """What is kept of a fit.

    Attributes:
        tensors: all that `SamplerSpec.prior` needs, by name.
        facts: what a reader must know of the fit, e.g. how many components were chosen and by what.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, JsonValue]


class SamplerSpec(ComponentSpec):
    """Base of every sampler's spec, registered under the entry-point group ``intelvae.samplers``.

    The examples of a run are drawn from it instead of the prior where somebody asks for it by name:
    ``intel sample RUN --from NAME``. What is fitted is kept with the run as plain tensors.
    """

    kind: ClassVar[str] = "samplers"
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the encodings that it is fitted to, and of the fit")

    def fit(self, y: Tensor, held_out: Tensor) -> FittedSampler:
        """Fit it to one draw of q(y|x) for each training example.

        Args:
            y: ``(n, y_dim)``, float32, finite.
            held_out: the same of validation examples, by which settings that are left open are chosen.

        Raises:
            IntelError: in a line, if there are too few examples.
        """
        raise PluginError(f"{type(self).__name__} does not define fit(y, held_out)")

    def prior(self, tensors: Dictionary[str, Tensor]) -> Prior:
        """The distribution that the tensors of a fit describe; they may come from a stranger's run directory.

        Raises:
            ValueError: if they describe none.
        """
        raise PluginError(f"{type(self).__name__} does not define prior(tensors)")
