"""Which faults must the checks of the group `rows` find: rows that depend on each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from specimens.mutant import Sound, kills


@kills("rows.replace_others")
class BatchNormed(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.norm = nn.BatchNorm1d(y_dim)

    def forward(self, y: Tensor) -> Tensor:
        z: Tensor = self.norm(self.sound(y).reshape(-1, self.y_dim))
        return z.reshape(y.shape)


@kills("rows.replace_others")
class MeanSubtracted(Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        return self.sound(y) - 0.1 * rows.mean(0) if len(rows) else self.sound(y)


@kills("rows.replace_others")
class DetachedMean(Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        return self.sound(y) - 0.1 * rows.detach().mean(0) if len(rows) else self.sound(y)


@kills("rows.replace_others")
class ClampedByBatchSpread(Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.detach().reshape(-1, self.y_dim)
        most = 5 * rows.std(0) if len(rows) > 1 else rows.new_full((self.y_dim,), math.inf)
        return torch.maximum(torch.minimum(self.sound(y), most), -most)


@kills("rows.replace_others")
class Ranked(Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        ranks = rows.argsort(0).argsort(0).to(y.dtype) / max(len(rows), 1)
        return self.sound(y) + 0.1 * ranks.reshape(y.shape)


@kills("rows.permute")
class RowIndex(Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        index = torch.arange(len(rows), dtype=y.dtype, device=y.device).unsqueeze(-1)
        return self.sound(y) + 0.01 * index.expand_as(rows).reshape(y.shape)


@kills("rows.alone")
class OtherWhenAlone(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if y.dim() < 2 or len(y) == 1 else 1.0)


@kills("rows.alone")
class OtherInACrowd(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.001 if y.numel() > 64 * self.y_dim else 1.0)


@kills("rows.reshape")
class MeanOverTheSecondAxis(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) - 0.1 * y.mean(1, keepdim=True) if y.dim() > 2 and y.shape[1] else self.sound(y)


@kills("rows.alone")
class PiecesOf4096(Sound):
    """Rows after the 4,096th stay zeros."""

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return torch.cat([z[:4096], torch.zeros_like(z[4096:])]) if y.dim() == 2 and len(y) > 4096 else z


@kills("rows.alone")
class OtherForNinetySix(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if y.shape[:-1] == (96,) else 1.0)
