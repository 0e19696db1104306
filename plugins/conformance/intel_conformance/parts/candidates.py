"""What is being checked? A part of a model that can be built anew, a prior for instance, and seeded rows for it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_conformance.component import Component
from intel_conformance.outcomes import Broken, first_line
from intel_conformance.parts.modules import PosteriorModule, PriorModule, Wrapped
from intel_core.errors import PluginError, SpecError
from intel_core.model.contract import PosteriorSpec, PriorSpec
from intel_core.model.posterior import PosteriorFamily
from intel_core.model.prior import FromEncoder, Prior
from intel_core.randomness import stream

__all__ = ["X_SHAPE", "Candidate", "PosteriorCandidate", "PriorCandidate", "around_zero"]

X_SHAPE = (6,)
"""Shape of the examples of the small encoder that a `FromEncoder` prior is checked with."""
_TRIED = (*range(2, 17), 1, 20, 24, 32, 50, 64, 100, 128)
"""The numbers of dimensions that are tried, in this order."""


class Candidate(Component):
    """A part of a model that is to be checked; each check gets a copy of its own.

    Args:
        what: see `Component`; a function builds it from a number of dimensions.
        y_dim: number of dimensions of y; if None, the fewest from 2 on in which it can be built.
        seed: see `Component`.
        device: see `Component`.
        dtypes: see `Component`.
        level: see `Component`.

    Attributes:
        losses: the functions that training differentiates.

    Raises:
        SpecError: if there is no such part, or an argument is not one of its choices.
        PluginError: if the plugin cannot be loaded, or does not build one.
    """

    losses: tuple[str, ...] = ()

    def _begin(self, y_dim: int | None) -> None:
        self.y_dim = self.z_dim = self._choose_dims(y_dim)
        self._first = self.fresh()

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        raise NotImplementedError

    def _build_own(self, y_dim: int) -> Any:
        """What the function gives that was given."""
        return cast(Any, self.factory)(y_dim)

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        raise NotImplementedError

    def _width(self, built: Any) -> int:
        """The number of dimensions of y of an object."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        return f"{super().about}, {self._first.noise_dim} of noise"

    @property
    def measure(self) -> str:
        """Of the density: ``lebesgue`` or ``atom0``."""
        held = self.specs[0] if self.specs else self._first.held
        return str(getattr(held, "measure", "lebesgue"))

    def _choose_dims(self, y_dim: int | None) -> int:
        if self.given is not None:
            found = self._width(self.given)
            if y_dim not in (None, found):
                raise SpecError(f"the {self.kind} has {found} dimensions of y, not {y_dim}")
            return found
        if y_dim is not None:
            return y_dim
        why: SpecError | None = None
        for tried in _TRIED:
            try:
                self._build(tried, self.seed)
            except PluginError:
                raise
            except SpecError as error:
                why = why or error
            else:
                return int(tried)
        assert why is not None
        raise why

    def _build(self, y_dim: int, seed: int) -> Any:
        if self.given is not None:
            return self.given
        what = f"{self.kind} {self.specs[0]}" if self.specs else f"{self.label}({y_dim or ''})"

        def make() -> Any:
            return self._build_spec(self.specs[0], y_dim) if self.specs else self._build_own(y_dim)

        built = self.made(make, what, seed)
        if not self.is_one(built):
            raise PluginError(f"{what} returned a {type(built).__name__}, which is no {self.kind}")
        return built

    # --- modules -----------------------------------------------------------------------------------------------

    def fresh(self, name: str = "built") -> Wrapped:
        """It, built anew from the same seed, its parameters moved a little, as training would move them."""
        if self.given is not None:
            return self._wrap(copy.deepcopy(self.given), self.y_dim, self.seed)
        found = self._wrap(self._build(self.y_dim, stream(self.seed, name)), self.y_dim, self.seed)
        generator = self.generator("moved")
        with torch.no_grad():
            for parameter in found.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_((0.05 * (1 + parameter.abs()) * noise.to(parameter)) if parameter.requires_grad else 0)
        return found

    def module(self, dtype: torch.dtype = torch.float64) -> Wrapped:
        """A copy in some precision, on the device."""
        try:
            found = copy.deepcopy(self._first)
        except Exception:  # the check deploy.copy reports it
            found = self.fresh()
        return found.to(device=self.device, dtype=dtype)

    # --- draws -------------------------------------------------------------------------------------------------

    def noise(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers, float64."""
        return torch.randn(*shape, generator=self.generator(name), dtype=torch.float64).to(self.device)

    def rows(self, function: str, name: str, n: int) -> Tensor:
        """N rows that a function of the module takes, ``(n, width)``, float64."""
        return self.noise(f"{name} {function}", n, self._first.width(function))

    def direction(self, function: str, n: int) -> Tensor:
        """Directions along which a function may be differentiated, ``(n, width)``."""
        return self.rows(function, "direction", n)

    def extremes(self, function: str) -> Tensor:
        """Rows at 0, on axes and far out: as far as latents, noise and features may come to be."""
        far = self.kind == "prior" and function != "draw"
        found = around_zero(
            self.rows(function, "extremes", 12), (1e-30, 1e-8, 1.0, 30.0, 1e3) if far else (1e-30, 1.0, 8.0)
        )
        if self.kind == "prior" and function == "draw":
            found = found.clamp(-9, 9)
        return found.clamp(-20, 20) if self.kind == "posterior" else found

    @cached_property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions of the module."""
        return self._first.functions

    def call(self, module: nn.Module, function: str, rows: Tensor, *, doing: str = "") -> Tensor:
        """A function of the module at some rows, of the expected shape.

        Raises:
            Broken: if it raises anything, or returns anything else.
        """
        about = f"{function} for rows of shape {tuple(rows.shape)}, {str(rows.dtype).removeprefix('torch.')}"
        about += f" {doing}" if doing else ""
        try:
            found = module(function, rows)
        except Broken:
            raise
        except Exception as error:
            said = first_line(error)
            raise Broken(f"raised {type(error).__name__} in {about}: {said}") from error
        if not isinstance(found, Tensor):
            raise Broken(f"{about} gave a {type(found).__name__}, expected a tensor")
        expected = (*rows.shape[:-1], *self._first.out(function))
        if tuple(found.shape) != expected:
            raise Broken(
                f"{about} gave shape {tuple(found.shape)}, expected {expected}",
                likely="a sum over the wrong dimension, or a squeeze(); use dim=-1",
            )
        return found


def around_zero(rows: Tensor, scales: Sequence[float]) -> Tensor:
    """0, points on axes, and some rows on several scales."""
    # Not of length 1: a direction that is added to a unit vector may vanish there, and at no other place.
    axes = 0.7390851 * torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)[:16]
    return torch.cat([torch.zeros_like(rows[:1]), axes, -axes, *(scale * rows for scale in scales)])


class PriorCandidate(Candidate):
    """A prior; one that is made by an encoder is checked through a small encoder whose weights are fixed."""

    kind = "prior"
    base = PriorSpec
    losses = ("log_prob",)

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`."""
        return isinstance(what, Prior | FromEncoder)

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        return spec.build(y_dim, X_SHAPE)

    def _width(self, built: Any) -> int:
        if isinstance(built, FromEncoder):
            raise SpecError("a prior that an encoder makes has no dimensions of its own; give its spec or a function")
        with torch.no_grad():
            noise = torch.zeros(2, built.noise_dim, dtype=_dtype_of(built))
            return int(built.draw(noise).shape[-1])

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        return PriorModule(built, y_dim, stream(seed, "encoder"))


class PosteriorCandidate(Candidate):
    """A family of posteriors."""

    kind = "posterior"
    base = PosteriorSpec
    losses = ("rsample", "log_q")

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`."""
        return isinstance(what, PosteriorFamily)

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        return spec.build(y_dim)

    def _width(self, built: Any) -> int:
        with torch.no_grad():
            return int(built(torch.zeros(2, built.features, dtype=_dtype_of(built))).mean.shape[-1])

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        return PosteriorModule(built, y_dim)


def _dtype_of(built: Any) -> torch.dtype:
    values = [*built.parameters(), *built.buffers()] if isinstance(built, nn.Module) else []
    return next((value.dtype for value in values if value.is_floating_point()), torch.get_default_dtype())
