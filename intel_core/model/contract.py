"""What must a prior, a posterior, a likelihood, a network and an objective be? The bases of their specs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from torch import nn

    from intel_core.data.dataset import Support
    from intel_core.model.likelihood import Likelihood
    from intel_core.model.objectives import Objective
    from intel_core.model.posterior import PosteriorFamily
    from intel_core.model.prior import FromEncoder, Prior


__all__ = ["LikelihoodSpec", "NetworkSpec", "ObjectiveSpec", "PosteriorSpec", "PriorSpec"]

# --- priors and posteriors -------------------------------------------------------------------------------------


class PriorSpec(ComponentSpec):
    """Base of every prior's spec, registered under the entry-point group ``intelvae.priors``."""

    kind: ClassVar[str] = "priors"
    measure: ClassVar[str] = "lebesgue"
    """The measure of its density, a name: a prior goes together with posteriors of the same measure."""
    is_usual: ClassVar[bool] = False
    """Whether it is N(0, I), which names of runs do not mention and every objective knows."""

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Prior | FromEncoder:
        """The prior of y for data of a shape.

        Raises:
            ValueError: if there is none for those dimensions.
        """
        raise PluginError(f"{type(self).__name__} does not define build(y_dim, x_shape)")


class PosteriorSpec(ComponentSpec):
    """Base of every posterior's spec, registered under the entry-point group ``intelvae.posteriors``."""

    kind: ClassVar[str] = "posteriors"
    measure: ClassVar[str] = "lebesgue"
    """As in `PriorSpec`."""
    is_usual: ClassVar[bool] = False
    """Whether it is the diagonal Gaussian, as in `PriorSpec`."""

    def build(self, y_dim: int) -> PosteriorFamily:
        """The family of posteriors of y.

        Raises:
            ValueError: if there is none for that many dimensions.
        """
        raise PluginError(f"{type(self).__name__} does not define build(y_dim)")


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
    measures: ClassVar[tuple[str, ...]] = ()
    """The measures (`PriorSpec.measure`) for which it takes any prior and posterior; by default the usual ones only."""
    needs_whole_batch: ClassVar[bool] = False
    """Whether its loss is more than a mean over examples, so that processes cannot share a batch."""

    def build(self) -> Objective:
        """The objective."""
        raise PluginError(f"{type(self).__name__} does not define build()")
