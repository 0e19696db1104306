"""The paper's conv net for 28x28 as one writes it in a script: torch's own layers, in torch's own order in memory."""

from __future__ import annotations

from torch import Tensor, nn


class _Crop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., :28, :28]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def encoder(out_features: int) -> nn.Sequential:
    """28, 14, 7, 4, then 2048 features."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 4, stride=2, padding=1), _norm(32), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(32, 64, 4, stride=2, padding=1), _norm(64), nn.LeakyReLU(0.2)),
        *(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(64, 128, 4, stride=2), _norm(128), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(2048, out_features)),
    )


def decoder(in_features: int) -> nn.Sequential:
    """7·7·128, 14, 28, 28."""
    return nn.Sequential(
        *(nn.Linear(in_features, 6272), nn.ReLU(), nn.Unflatten(1, (128, 7, 7))),
        *(_norm(128), nn.ReLU(), nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1)),
        *(_norm(64), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),
        *(_norm(32), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, padding=1), _Crop()),
    )
