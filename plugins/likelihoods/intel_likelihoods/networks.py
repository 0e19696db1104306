"""Which encoder reads counts well? Dense layers that see their logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.networks.specs import MLPSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LogMLPSpec"]


class LogMLPSpec(MLPSpec):
    """Dense layers whose encoder sees log(1 + x), for counts; negative values are mirrored."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """See `intel_likelihoods.logarithm.Logarithm` and `intel_core.networks.layers.mlp_encoder`."""
        from torch import nn

        from intel_likelihoods.logarithm import Logarithm

        return nn.Sequential(Logarithm(), super().build_encoder(x_shape, out_features))
