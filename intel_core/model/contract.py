"""What must a likelihood, a network and an objective be? The bases of their specs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from torch import nn

    from intel_core.data.dataset import Support
    from intel_core.model.likelihoods import Likelihood
    from intel_core.model.objectives import Objective


__all__ = ["LikelihoodSpec", "NetworkSpec", "ObjectiveSpec"]

# --- likelihoods -----------------------------------------------------------------------------------------------


class LikelihoodSpec(ComponentSpec):
    """Base of every likelihood's spec, registered under the entry-point group ``intelvae.likelihoods``."""

    kind: ClassVar[str] = "likelihoods"
    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit", "real")
    """The kinds of values that this likelihood can explain."""

    def build(self) -> Likelihood:
        """The likelihood."""
        raise PluginError(f"{type(self).__name__} does not define build()")


# --- networks --------------------------------------------------------------------------------------------------


class NetworkSpec(ComponentSpec):
    """Base of every network's spec, registered under the entry-point group ``intelvae.networks``."""

    kind: ClassVar[str] = "networks"
    convolutional: ClassVar[bool] = False
    """Whether the network mainly computes convolutions; only then may ``precision=auto`` take bfloat16."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """A network ``(n, *x_shape) -> (n, out_features)``.

        Raises:
            ValueError: if there is none for that shape.
        """
        raise PluginError(f"{type(self).__name__} does not define build_encoder(x_shape, out_features)")

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """A network ``(n, in_features) -> (n, *out_shape)``.

        Raises:
            ValueError: if there is none for that shape.
        """
        raise PluginError(f"{type(self).__name__} does not define build_decoder(in_features, out_shape)")


# --- objectives ------------------------------------------------------------------------------------------------


class ObjectiveSpec(ComponentSpec):
    """Base of every objective's spec, registered under the entry-point group ``intelvae.objectives``."""

    kind: ClassVar[str] = "objectives"

    def build(self) -> Objective:
        """The objective."""
        raise PluginError(f"{type(self).__name__} does not define build()")
