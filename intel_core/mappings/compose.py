"""How are mappings put together? The identity, one after another, and on some dimensions with the rest passed on."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_core.mappings.contract import Declared, Mapping, Regularised
from intel_core.mappings.properties import Hoelder, Properties

__all__ = ["Compose", "Identity", "MappingModule", "OnDims", "Wrapped", "as_module", "bare", "properties_of"]


class Identity(nn.Module):
    """z = y, the vanilla VAE.

    >>> Identity(2)(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        """`y` itself."""
        return y

    @property
    def properties(self) -> Properties:
        """A continuous injection."""
        return Properties(injective=True, hoelder=Hoelder(1.0))

    def inverse(self, z: Tensor) -> Tensor:
        """`z` itself."""
        return z

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """Zeros, ``(..., y_dim) -> (...)``."""
        return torch.zeros_like(y[..., 0])


class Compose(nn.Module):
    """g = g_n ∘ … ∘ g_1, the first part applied first.

    Auxiliary losses of all parts are kept, numbered where two parts use one name.
    """

    def __init__(self, parts: Sequence[Mapping]) -> None:
        super().__init__()
        self.parts = nn.ModuleList([as_module(part) for part in parts])
        self.y_dim = parts[0].y_dim
        self.z_dim = parts[-1].z_dim

    def forward(self, y: Tensor) -> Tensor:
        """Apply each part in turn, ``(..., y_dim) -> (..., z_dim)``."""
        for part in self.parts:
            y = part(y)
        return y

    @property
    def properties(self) -> Properties:
        """The promises of the composition, derived from those of its parts."""
        return functools.reduce(Properties.then, map(properties_of, self.parts))

    @property
    def regularisers(self) -> dict[str, float]:
        """Weights of all parts' auxiliary losses."""
        names = _names(self.parts)
        return {
            names[i, name]: weight
            for i, part in enumerate(map(bare, self.parts))
            if isinstance(part, Regularised)
            for name, weight in part.regularisers.items()
        }

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """As `forward`, with every part's auxiliary losses."""
        names = _names(self.parts)
        losses: dict[str, Tensor] = {}
        for i, part in enumerate(map(bare, self.parts)):
            if isinstance(part, Regularised):
                y, own = part.map_with_regularisers(y)
                losses |= {names[i, name]: loss for name, loss in own.items()}
            else:
                y = part(y)
        return y, losses


def _names(parts: nn.ModuleList) -> dict[tuple[int, str], str]:
    """The name of each part's auxiliary losses in the composition: its own, or numbered if two parts use it."""
    bared = enumerate(map(bare, parts))
    own = [(i, name) for i, part in bared if isinstance(part, Regularised) for name in part.regularisers]
    count = Counter(name for _, name in own)
    names = {(i, name): name for i, name in own if count[name] == 1}
    for i, name in own:
        if count[name] > 1:
            numbered = f"{name}{i}"
            while numbered in names.values():
                numbered += "_"  # a part of parts, or a plugin, has that very name
            names[i, name] = numbered
    return names


class OnDims(nn.Module):
    """A mapping on some dimensions, the others passed through unchanged.

    If the inner mapping keeps its number of dimensions, each stays in its place; otherwise its output comes first,
    and the other dimensions follow in order.
    """

    def __init__(self, inner: Mapping, dims: Sequence[int], y_dim: int) -> None:
        super().__init__()
        self.inner = as_module(inner)
        self.dims = tuple(dims)
        self.rest = tuple(d for d in range(y_dim) if d not in self.dims)
        self.y_dim = y_dim
        self.z_dim = inner.z_dim + len(self.rest)
        order = list(range(self.z_dim))
        if inner.z_dim == len(self.dims):
            source = (*self.dims, *self.rest)
            order = [source.index(d) for d in range(y_dim)]
        self._order = order

    def forward(self, y: Tensor) -> Tensor:
        """Apply the inner mapping to its dimensions, ``(..., y_dim) -> (..., z_dim)``."""
        return self._join(self.inner(y[..., list(self.dims)]), y)

    def _join(self, inner: Tensor, y: Tensor) -> Tensor:
        return torch.cat([inner, y[..., list(self.rest)]], dim=-1)[..., self._order]

    @property
    def properties(self) -> Properties:
        """What is left of the inner mapping's promises."""
        return properties_of(self.inner).on_dims(self.dims, self.y_dim)

    @property
    def regularisers(self) -> dict[str, float]:
        """Weights of the inner mapping's auxiliary losses."""
        inner = bare(self.inner)
        return dict(inner.regularisers) if isinstance(inner, Regularised) else {}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """As `forward`, with the inner mapping's auxiliary losses."""
        inner = bare(self.inner)
        if not isinstance(inner, Regularised):
            return self(y), {}
        mapped, losses = inner.map_with_regularisers(y[..., list(self.dims)])
        return self._join(mapped, y), losses


class MappingModule(nn.Module):
    """A module that is a `Mapping`, for type checkers only: nothing has to inherit from it."""

    y_dim: int
    z_dim: int


def as_module(mapping: Mapping) -> MappingModule:
    """A module, so that parameters are found; a plain function is wrapped."""
    return cast(MappingModule, mapping) if isinstance(mapping, nn.Module) else Wrapped(mapping)


class Wrapped(MappingModule):
    """A mapping that is no module, as one."""

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.mapping = mapping
        self.y_dim, self.z_dim = mapping.y_dim, mapping.z_dim

    def forward(self, y: Tensor) -> Tensor:
        """Apply the mapping."""
        return self.mapping(y)


def bare(mapping: Any) -> Any:
    """The mapping that `as_module` has wrapped, or the mapping itself, whose capabilities ``isinstance`` can see."""
    return mapping.mapping if isinstance(mapping, Wrapped) else mapping


def properties_of(mapping: object) -> Properties:
    """What a mapping declares; a mapping that declares nothing is continuous, as the contract says, and no more.

    >>> properties_of(Compose([Identity(2), Identity(2)])).injective
    True
    """
    mapping = bare(mapping)
    return mapping.properties if isinstance(mapping, Declared) else Properties()
