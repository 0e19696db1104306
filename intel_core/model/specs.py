"""Which likelihoods, networks and objectives ship with the core? Their specs; torch is imported by `build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from intel_core.errors import SpecError

if TYPE_CHECKING:
    from torch import nn

    from intel_core.data.dataset import Support
    from intel_core.model.likelihoods import Likelihood
    from intel_core.model.objectives import Objective
from intel_core.model.contract import LikelihoodSpec, NetworkSpec, ObjectiveSpec

__all__ = [
    "BernoulliSpec",
    "ContinuousBernoulliSpec",
    "ConvSpec",
    "ELBOSpec",
    "GaussianSpec",
    "IWAESpec",
    "LaplaceSpec",
    "LinearNetworkSpec",
    "MLPSpec",
]

Activation = Literal["relu", "leaky_relu", "tanh", "elu", "gelu", "silu", "softplus"]
Width = Annotated[int, Field(gt=0, le=10**9)]
"""Of a layer; more could not even be counted."""


class BernoulliSpec(LikelihoodSpec):
    """Binary values; on values between 0 and 1 it is the cross-entropy, which is not a normalised density."""

    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit")

    def build(self) -> Likelihood:
        """See `intel_core.model.likelihoods.Bernoulli`."""
        from intel_core.model.likelihoods import Bernoulli

        return Bernoulli()


class ContinuousBernoulliSpec(LikelihoodSpec):
    """Values between 0 and 1, normalised (Loaiza-Ganem & Cunningham, 2019)."""

    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit")

    def build(self) -> Likelihood:
        """See `intel_core.model.likelihoods.ContinuousBernoulli`."""
        from intel_core.model.likelihoods import ContinuousBernoulli

        return ContinuousBernoulli()


class GaussianSpec(LikelihoodSpec):
    """Real values with Gaussian noise of fixed or learned variance."""

    variance: Literal["fixed", "shared", "learned"] = Field(
        "learned",
        description="fixed: scale**2; shared: one learned number; learned: per value, by the decoder",
    )
    scale: PositiveFloat = Field(1.0, description="standard deviation where it is fixed, and where shared it starts")
    floor: float = Field(1e-3, ge=0, description="variances that are not fixed are floor**2 + exp(log-variance)")

    def build(self) -> Likelihood:
        """See `intel_core.model.likelihoods.Gaussian`."""
        from intel_core.model.likelihoods import Gaussian

        return Gaussian(self.variance, self.scale, self.floor)


class LaplaceSpec(LikelihoodSpec):
    """Real values with Laplace noise of a fixed scale: the absolute error, normalised."""

    scale: PositiveFloat = Field(1.0, description="scale b of the density exp(-|x - mean| / b) / 2b")

    def build(self) -> Likelihood:
        """See `intel_core.model.likelihoods.Laplace`."""
        from intel_core.model.likelihoods import Laplace

        return Laplace(self.scale)


class MLPSpec(NetworkSpec):
    """Dense layers, for vectors and images of any size."""

    hidden: tuple[Width, ...] = Field((256, 256), max_length=32, description="widths of the hidden layers")
    activation: Activation = Field("relu", description="after each hidden layer")

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """See `intel_core.model.networks.mlp_encoder`."""
        from intel_core.model.networks import mlp_encoder

        return mlp_encoder(x_shape, self.hidden, out_features, self.activation)

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """See `intel_core.model.networks.mlp_decoder`."""
        from intel_core.model.networks import mlp_decoder

        return mlp_decoder(in_features, self.hidden, out_shape, self.activation)


class LinearNetworkSpec(NetworkSpec):
    """One affine layer: with a Gaussian likelihood, probabilistic PCA, whose evidence is known exactly."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """An affine map."""
        from intel_core.model.networks import mlp_encoder

        return mlp_encoder(x_shape, (), out_features, "relu")

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """An affine map."""
        from intel_core.model.networks import mlp_decoder

        return mlp_decoder(in_features, (), out_shape, "relu")


class ConvSpec(NetworkSpec):
    """Convolutions with stride 2 and batch normalisation; the defaults are the paper's net for 28x28."""

    convolutional: ClassVar[bool] = True

    channels: tuple[Width, ...] = Field(
        (32, 64, 128),
        min_length=1,
        max_length=8,
        description="channels of the encoder's layers, each halving the image",
    )
    last_stride: Literal[1, 2] = Field(
        1,
        description="stride of the decoder's last layer: 1 as in the paper's 28x28 net, 2 as in its 64x64 net",
    )

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """See `intel_core.model.networks.ConvEncoder`."""
        from intel_core.model.networks import ConvEncoder

        self._check(x_shape)
        return ConvEncoder(x_shape, self.channels, out_features)

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """See `intel_core.model.networks.ConvDecoder`."""
        from intel_core.model.networks import ConvDecoder

        self._check(out_shape)
        return ConvDecoder(in_features, self.channels, out_shape, self.last_stride)

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise SpecError(f"conv needs images (C, H, W), this data has shape {list(shape)}; use mlp")


class ELBOSpec(ObjectiveSpec):
    """The evidence lower bound on y (Eq. 2), its KL term weighted by beta."""

    beta: float = Field(1.0, ge=0, description="weight of the KL term; 1 is the ELBO")

    def build(self) -> Objective:
        """See `intel_core.model.objectives.ELBO`."""
        from intel_core.model.objectives import ELBO

        return ELBO(self.beta)


class IWAESpec(ObjectiveSpec):
    """The importance-weighted bound with several particles (Burda et al., 2016)."""

    particles: int = Field(8, ge=1, le=10_000, description="samples of y per example")

    def build(self) -> Objective:
        """See `intel_core.model.objectives.IWAE`."""
        from intel_core.model.objectives import IWAE

        return IWAE(self.particles)
