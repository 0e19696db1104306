"""Which networks can a run choose by name? Their specs; torch is imported when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from intel_core.errors import SpecError

if TYPE_CHECKING:
    from torch import nn

from intel_core.model.contract import NetworkSpec

__all__ = [
    "ConvSpec",
    "LinearNetworkSpec",
    "MLPSpec",
]

Activation = Literal["relu", "leaky_relu", "tanh", "elu", "gelu", "silu", "softplus"]
Width = Annotated[int, Field(gt=0, le=10**9)]
"""Width of a layer; with a larger one the number of weights would overflow."""


class MLPSpec(NetworkSpec):
    """Dense layers, for vectors and images of any size."""

    hidden: tuple[Width, ...] = Field((256, 256), max_length=32, description="widths of the hidden layers")
    activation: Activation = Field("relu", description="after each hidden layer")

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """See `intel_core.networks.layers.mlp_encoder`."""
        from intel_core.networks.layers import mlp_encoder

        return mlp_encoder(x_shape, self.hidden, out_features, self.activation)

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """See `intel_core.networks.layers.mlp_decoder`."""
        from intel_core.networks.layers import mlp_decoder

        return mlp_decoder(in_features, self.hidden, out_shape, self.activation)


class LinearNetworkSpec(NetworkSpec):
    """One affine layer: with a Gaussian likelihood, probabilistic PCA, whose evidence is known exactly."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """An affine map."""
        from intel_core.networks.layers import mlp_encoder

        return mlp_encoder(x_shape, (), out_features, "relu")

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """An affine map."""
        from intel_core.networks.layers import mlp_decoder

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
        """See `intel_core.networks.layers.ConvEncoder`."""
        from intel_core.networks.layers import ConvEncoder

        self._check(x_shape)
        return ConvEncoder(x_shape, self.channels, out_features)

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """See `intel_core.networks.layers.ConvDecoder`."""
        from intel_core.networks.layers import ConvDecoder

        self._check(out_shape)
        return ConvDecoder(in_features, self.channels, out_shape, self.last_stride)

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise SpecError(f"conv needs images (C, H, W), this data has shape {list(shape)}; use mlp")
