"""Do mappings pass that are right, and that few would write? None may be accused, in any precision."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from intel_conformance import check_mapping
from torch import Tensor, nn

from intel_core.mappings.properties import Locus, Properties


class Same(nn.Module):
    """As many dimensions of z as of y."""

    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    @property
    def properties(self) -> Properties:
        return self.declared


class Orthogonal(Same):
    """Torch's own parametrisation of a matrix."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.layer = nn.utils.parametrizations.orthogonal(nn.Linear(y_dim, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        z: Tensor = self.layer(y)
        return z


class Potential(Same):
    """The gradient of a convex potential, by autograd inside, whatever the mode outside."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.layer = nn.Linear(y_dim, 16)
        self.weight = nn.Parameter(0.3 * torch.randn(16))

    def forward(self, y: Tensor) -> Tensor:
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):
                return self.gradient(y.clone(), record=False)
        return self.gradient(y, record=torch.is_grad_enabled())

    def gradient(self, y: Tensor, *, record: bool) -> Tensor:
        with torch.enable_grad():
            at = y if y.requires_grad else y.detach().requires_grad_()
            convex = (nn.functional.softplus(self.layer(at)) * self.weight.exp()).sum(-1) + 0.5 * at.square().sum(-1)
            (z,) = torch.autograd.grad(convex.sum(), at, create_graph=record)
        return z if record else z.detach()


class Attention(Same):
    """Attention over the coordinates of a row."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.wide, self.narrow = nn.Linear(1, 8), nn.Linear(8, 1)
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, y: Tensor) -> Tensor:
        tokens = self.wide(y.reshape(-1, self.y_dim, 1))
        seen, _ = self.heads(tokens, tokens, tokens, need_weights=False)
        return y + self.narrow(seen).reshape(y.shape)


class Recurrent(Same):
    """A recurrent cell along the coordinates."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.cell, self.narrow = nn.GRUCell(1, 6), nn.Linear(6, 1)

    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        state, found = rows.new_zeros(len(rows), 6), []
        for i in range(self.y_dim):
            state = self.cell(rows[:, i : i + 1], state)
            found.append(self.narrow(state))
        return torch.cat(found, -1).reshape(y.shape)


class Large(Same):
    def forward(self, y: Tensor) -> Tensor:
        return 1e6 * y + 3e5 * y.sin()


class Small(Same):
    def forward(self, y: Tensor) -> Tensor:
        return 1e-9 * (y + 0.5 * y.sin())


class Offset(Same):
    """So far from 0 that float32 sees the differences to a thousandth."""

    def forward(self, y: Tensor) -> Tensor:
        return y + 1e4


class Moments(Same):
    """Coordinates of very different sizes."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = 3 * y_dim

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y, y**2, y**3], -1)


class FlattestCusp(Same):
    """|d|^0.06 at a declared seam."""

    declared = Properties(seams=(Locus((0,), (0.2,)),))

    def forward(self, y: Tensor) -> Tensor:
        d = y[..., :1] - 0.2
        return torch.cat([y[..., :1] + torch.sign(d) * ((d * d + 1e-30) ** 0.03 - 1e-30**0.03), y[..., 1:]], -1)


class KeepsDirections(Same):
    """Computes a tensor once for each dtype and device, for any mode to come."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.kept: dict[Any, Tensor] = {}

    def forward(self, y: Tensor) -> Tensor:
        key = (y.dtype, y.device)
        if key not in self.kept:
            with torch.inference_mode(False):
                self.kept[key] = torch.linspace(1, 2, self.y_dim, dtype=torch.float64).to(y.device, y.dtype)
        return y.sin() * self.kept[key] + y


class Bisected(Same):
    """An inverse by bisection."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.size = nn.Parameter(torch.tensor(0.3))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.sigmoid(self.size) * torch.tanh(2 * y) + y**3 / 50

    @torch.no_grad()
    def inverse(self, z: Tensor) -> Tensor:
        low, high = -z.abs() - 1, z.abs() + 1
        for _ in range(80 if z.dtype == torch.float64 else 40):
            middle = 0.5 * (low + high)
            below = self(middle) < z
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return (1 + 2 * torch.sigmoid(self.size) / torch.cosh(2 * y).square() + 3 * y**2 / 50).log().sum(-1)


class Growing(Same):
    """A strength."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)


class SteepAtFirst(Growing):
    """The bias grows as the strength to the power of 0.2."""

    def forward(self, y: Tensor) -> Tensor:
        return y + self.strength**0.2 * torch.tanh(3 * y)


class SteepAtLast(Growing):
    """The strength sharpens a tanh."""

    def forward(self, y: Tensor) -> Tensor:
        return (1 - self.strength) * y + self.strength * torch.tanh(y * (1 + 50 * self.strength**2))


class SpreadLoss(Same):
    """An unbiased variance, which depends on the number of rows a little."""

    regularisers: ClassVar[dict[str, float]] = {"spread": 0.1}

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.factor = nn.Parameter(torch.ones(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return self.factor * y

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        rows = z.reshape(-1, self.z_dim)
        return z, {"spread": (rows - rows.mean(0)).square().sum() / max(len(rows) - 1, 1)}


class SoftCells(Same):
    """Learned borders that nothing marks but a softmax."""

    n_clusters = 3

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.centres = nn.Parameter(2 * torch.randn(3, y_dim, generator=torch.Generator().manual_seed(1)))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.softmax(8 * (y @ self.centres.T), -1) @ (6 * self.centres)

    def assign(self, y: Tensor) -> Tensor:
        return (y @ self.centres.T).argmax(-1)

    def proportions(self) -> Tensor:
        y = torch.randn(400_000, self.y_dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        return torch.bincount((y @ self.centres.detach().double().T).argmax(-1), minlength=3).double() / len(y)


class Mixture(Same):
    """An empty parameter, a frozen one, an integer buffer and a mask."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.empty = nn.Parameter(torch.zeros(0), requires_grad=False)
        self.frozen = nn.Parameter(torch.ones(y_dim), requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(y_dim))
        self.steps: Tensor
        self.mask: Tensor
        self.register_buffer("steps", torch.arange(y_dim))
        self.register_buffer("mask", torch.arange(y_dim) % 2 == 0)

    def forward(self, y: Tensor) -> Tensor:
        return torch.where(self.mask, y * self.frozen, y + self.shift) + self.steps


class TakesRowsInOrder(Same):
    """Sorts rows for its own purposes, and puts them back."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.layer = nn.Linear(y_dim, y_dim)

    def forward(self, y: Tensor) -> Tensor:
        if y.dim() != 2:
            return torch.tanh(self.layer(y)) + y
        order = y[:, 0].argsort()
        z = torch.tanh(self.layer(y[order])) + y[order]
        return z[order.argsort()]


class Householder(Same):
    """A learned reflection, which is its own inverse."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.normal = nn.Parameter(torch.randn(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        unit = self.normal / self.normal.norm()
        return y - 2 * (y @ unit).unsqueeze(-1) * unit

    def inverse(self, z: Tensor) -> Tensor:
        return self.forward(z)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.zeros_like(y[..., 0])


class ScaledClusters(Same):
    """Two clusters along one coordinate; the others are a hundred times as large."""

    n_clusters = 2
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1] + 3 * torch.tanh(10 * y[..., :1]), 100 * y[..., 1:]], -1)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0).long()

    def proportions(self) -> Tensor:
        return torch.full((2,), 0.5, dtype=torch.float64)


UNUSUAL: list[Any] = [Orthogonal, Potential, Attention, Recurrent, Large, Small, Offset, Moments, FlattestCusp]
UNUSUAL += [KeepsDirections, Bisected, SteepAtFirst, SteepAtLast, SpreadLoss, SoftCells, Mixture, TakesRowsInOrder]
UNUSUAL += [Householder, ScaledClusters]
EACH = pytest.mark.parametrize("unusual", UNUSUAL, ids=lambda one: one.__name__)
_LONG = ["thm1.inequality", "deploy.compile", "deploy.fit", "mode.process"]


def assert_not_accused(what: Any, seed: int, **settings: Any) -> None:
    report = check_mapping(what, y_dim=2 + seed % 3, seed=seed, **settings)
    assert not [str(result) for result in report.results if result.bad]
    assert report.ok


@pytest.mark.promptly("Large", "FlattestCusp", "SpreadLoss", "ScaledClusters")
@EACH
def test_none_is_accused(unusual: Any) -> None:
    assert_not_accused(unusual, 0, level="quick", skip=["thm1.inequality"])


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_none_is_accused_at_standard_over_five_seeds(unusual: Any, dtype: str) -> None:
    for seed in range(5):
        assert_not_accused(unusual, seed, skip=[] if seed == 0 else _LONG, dtypes=[dtype])


# --- what is only warned of ----------------------------------------------------------------------------------------


class SumLoss(SpreadLoss):
    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {"spread": z.square().sum()}


class SaysItJumps(Same):
    declared = Properties(continuous=False)

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y)


class Switches(Growing):
    """Two mappings, and a threshold of the strength between them."""

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * (self.strength > 0.6).to(y) * torch.sin(y)


class ThrowsGradientsAway(Same):
    """After each backward pass, in any copy, so that no step changes its parameter."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.scale = nn.Parameter(torch.zeros(y_dim))
        self.scale.register_post_accumulate_grad_hook(_forget)

    def forward(self, y: Tensor) -> Tensor:
        return y * self.scale.exp()


def _forget(parameter: Tensor) -> None:
    parameter.grad = None


@pytest.mark.parametrize(
    ("what", "check", "says"),
    [
        (SumLoss, "structure.regularisers", "is 2 times as large for a batch in which each row is twice"),
        (SaysItJumps, "cont.scan", "continuous=False is declared, but there is no jump"),
        (Switches, "structure.gradual", "at strength 0.6 z jumps by"),
        (ThrowsGradientsAway, "deploy.fit", "the run warned: mapping.scale: no gradient in 3 steps"),
    ],
    ids=["a sum over the batch", "a needless declaration", "a threshold", "gradients thrown away"],
)
def test_what_works_but_not_as_meant_is_a_warning(what: Any, check: str, says: str) -> None:
    report = check_mapping(what, y_dim=2, only=[check])
    (result,) = report.results
    assert result.status == "warned", result
    assert says in result.message
    assert report.ok
    assert math.isfinite(result.seconds)
