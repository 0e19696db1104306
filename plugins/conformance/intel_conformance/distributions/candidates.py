"""What is being checked? A prior or a family of posteriors that can be built anew, and seeded draws for its checks."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from intel_conformance.distributions.modules import PosteriorModule, PriorModule, Wrapped
from intel_conformance.distributions.registry import Kind
from intel_conformance.examined import Examined
from intel_conformance.levels import Level
from intel_conformance.outcomes import Broken
from intel_core.components.spec import ComponentSpec, parse_spec
from intel_core.errors import IntelError, PluginError, SpecError
from intel_core.model.contract import PosteriorSpec, PriorSpec
from intel_core.model.posterior import PosteriorFamily
from intel_core.model.prior import FromEncoder, Prior
from intel_core.randomness import stream

__all__ = ["X_SHAPE", "Candidate", "PosteriorCandidate", "PriorCandidate", "candidate_of", "kind_of"]

X_SHAPE = (6,)
"""Shape of the examples of the small encoder that a `FromEncoder` prior is checked with."""
_TRIED = (*range(2, 17), 1, 20, 24, 32, 50, 64, 100, 128)
"""The numbers of dimensions that are tried, in this order."""
_PREFIX = re.compile(r"\s*(prior|posterior)s?\s*(?::\s*(.*))?", re.DOTALL)


def kind_of(what: Any) -> Kind | None:
    """Whether a text, a spec or an object is a prior or a posterior; None if it is neither.

    >>> kind_of("prior:standard"), kind_of("posterior:gaussian"), kind_of("circle")
    ('prior', 'posterior', None)
    """
    if isinstance(what, str):
        found = _PREFIX.fullmatch(what)
        return cast(Kind, found[1]) if found else None
    if isinstance(what, PriorSpec) or (not isinstance(what, type) and isinstance(what, Prior | FromEncoder)):
        return "prior"
    if isinstance(what, PosteriorSpec) or (not isinstance(what, type) and isinstance(what, PosteriorFamily)):
        return "posterior"
    return None


class Candidate(Examined):
    """A prior or a family of posteriors that is to be checked; each check gets a copy of its own.

    Args:
        what: a spec or its text (with or without ``prior:`` before it), an object, or a function that builds one from a
            number of dimensions.
        y_dim: number of dimensions of y; if None, the fewest from 2 on in which it can be built.
        seed: of parameters and draws.
        device: where it computes; the draws are the same on every device.
        dtypes: the precisions of the checks that are not about one particular precision.
        level: determines the number of draws.

    Attributes:
        kept: what several checks need and one of them has computed, by name.

    Raises:
        SpecError: if there is no such prior or posterior, or an argument is not one of its choices.
        PluginError: if the plugin cannot be loaded, or does not build one.
    """

    kind: ClassVar[Kind]
    base: ClassVar[type[ComponentSpec]]

    def __init__(
        self,
        what: Any,
        *,
        y_dim: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        dtypes: Sequence[str] = ("float32", "float64"),
        level: Level = "standard",
    ) -> None:
        super().__init__(y_dim, seed, device, dtypes, level)
        self.function = f"check_{self.kind}"
        self.specs: tuple[ComponentSpec, ...] | None = None
        self.given: Any = None
        self._factory: Callable[[int], Any] | None = None
        self.kept: dict[str, Any] = {}
        self._understand(what)
        self.y_dim = self._choose_dims(y_dim)
        self.label = self._label(what)
        self._first = self.fresh()
        self.noise_dim = self._first.noise_dim
        self.z_dim = self.y_dim

    def _understand(self, what: Any) -> None:
        if isinstance(what, str):
            found = _PREFIX.fullmatch(what)
            if found and found[1] != self.kind:
                raise SpecError(f"{what!r} is no {self.kind}; use check_{found[1]}")
            text = (found[2] or "").strip() if found else what
            if not text:
                example = "standard" if self.kind == "prior" else "gaussian"
                raise SpecError(f"{what!r} names no {self.kind}; for instance {self.kind}:{example}")
            what = parse_spec(f"{self.kind}s", text)
        if isinstance(what, self.base):
            self.specs = (what,)
        elif isinstance(what, type) and issubclass(what, self.base):
            raise SpecError(f"{what.__name__} is the class of a spec; give a spec, {what.__name__}()")
        elif not isinstance(what, type) and self._is_one(what):
            self.given = what
        elif callable(what) and not isinstance(what, ComponentSpec):
            self._factory = what
        else:
            raise SpecError(
                f"{what!r:.80} is neither a {self.kind}, nor the spec of one, nor a function that builds one"
            )

    def _is_one(self, what: Any) -> bool:
        raise NotImplementedError

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        raise NotImplementedError

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        raise NotImplementedError

    def _width(self, built: Any) -> int:
        """The number of dimensions of y of an object."""
        raise NotImplementedError

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
        what = f"{self.kind} {self.specs[0]}" if self.specs else f"{getattr(self._factory, '__name__', 'it')}({y_dim})"
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                built = self._build_spec(self.specs[0], y_dim) if self.specs else cast(Any, self._factory)(y_dim)
        except IntelError:
            raise
        except ValueError as error:
            raise SpecError(f"{what}: {error}") from error
        except Exception as error:
            raise PluginError(f"{what} raised {type(error).__name__}: {str(error)[:200]}") from error
        if not self._is_one(built):
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
            said = str(error).strip().partition("\n")[0][:200]
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

    def _label(self, what: Any) -> str:
        if self.specs:
            return f"{self.kind}:{self.specs[0]}"
        return str(getattr(what, "__name__", type(what).__name__))

    @property
    def words(self) -> str:
        """Its label, quoted for a shell."""
        return shlex.quote(self.label)


class PriorCandidate(Candidate):
    """A prior; one that is made by an encoder is checked through a small encoder whose weights are fixed."""

    kind = "prior"
    base = PriorSpec

    def _is_one(self, what: Any) -> bool:
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

    def _is_one(self, what: Any) -> bool:
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


def candidate_of(kind: Kind, what: Any, **settings: Any) -> Candidate:
    """The candidate of a kind."""
    return (PriorCandidate if kind == "prior" else PosteriorCandidate)(what, **settings)
