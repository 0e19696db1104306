"""Which data are sparse in the plane? Points near two axes, as of Figure 3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from intel_core.data.dataset import DatasetSpec

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset

__all__ = ["AxesSpec"]


class AxesSpec(DatasetSpec):
    """Points of the plane near two axes: one coordinate, either, is 0 but for noise, the other N(0, 1)."""

    n: int = Field(10_000, ge=100, le=1_000_000, description="points in all")
    noise: float = Field(0.05, ge=0, le=10, description="deviation of the coordinate that is nearly 0")
    seed: int = Field(0, ge=0, lt=2**63, description="of the draw")

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Draw the points."""
        import torch

        from intel_core.reading.arrays import make_dataset

        generator = torch.Generator().manual_seed(self.seed)
        x = self.noise * torch.randn(self.n, 2, generator=generator)
        axis = torch.randint(2, (self.n,), generator=generator)
        x[torch.arange(self.n), axis] = torch.randn(self.n, generator=generator)
        return make_dataset("axes", x, axis, standardize=False)
