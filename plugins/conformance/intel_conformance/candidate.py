"""What is being checked? A mapping that can be built anew, and seeded draws to check it with."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_conformance.as_part import as_part_converted
from intel_conformance.examined import Examined
from intel_conformance.levels import Level
from intel_conformance.outcomes import Broken, Skipped, first_line
from intel_conformance.places import is_pair, problem_of
from intel_core.components.spec import parse_spec
from intel_core.errors import IntelError, PluginError, SpecError
from intel_core.helpers.fewest_dims import build_seeded, in_the_fewest
from intel_core.mappings.building import build_mapping
from intel_core.mappings.compose import MappingModule, as_module, bare, properties_of
from intel_core.mappings.contract import Annealed, Mapping, MappingSpec
from intel_core.mappings.properties import Locus, Properties
from intel_core.randomness import stream

__all__ = ["Candidate", "Checkable", "annealed"]

Checkable = str | MappingSpec | Sequence[str | MappingSpec] | Mapping | Callable[[int], Mapping]
"""A spec or its text, several of these to be composed, a mapping that is already built, or what builds one."""

_MOVED, _FAR_MOVED = 0.1, 1.0
_TRIED = (2, 3, 4, 5, 6, 8, 10, 16, 1)
"""The numbers of dimensions that are tried on a function or class that builds a mapping, in this order."""


class Candidate(Examined):
    """A mapping that is to be checked.

    Every check gets its own copy of the mapping from `mapping`, so that no check affects another, and its own draws
    from `draw`, so that leaving out one check does not change the draws of the others.

    Args:
        what: see `Checkable`.
        y_dim: number of dimensions of y; if None, the fewest from 2 on in which it can be built.
        seed: of parameters and draws.
        device: where the mapping computes; the draws are the same on every device.
        dtypes: the precisions of the checks that are not about one particular precision.
        level: determines the number of draws.

    Raises:
        SpecError: if there is no such mapping, or an argument is not one of its choices.
        PluginError: if the plugin cannot be loaded, or breaks its contract when the mapping is built.
    """

    function = "check_mapping"
    specs: tuple[MappingSpec, ...] | None

    def __init__(
        self,
        what: Checkable,
        *,
        y_dim: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        dtypes: Sequence[str] = ("float32", "float64"),
        level: Level = "standard",
    ) -> None:
        super().__init__(y_dim, seed, device, dtypes, level)
        self.specs, self._build = _recipe(what)
        self.given = what if self.specs is None and isinstance(what, Mapping) and not isinstance(what, type) else None
        self.source = what if self.specs is None and self.given is None else None
        self._built: dict[bool, MappingModule] = {}
        self.strength: float | None = None
        self.spread, self.moving = _MOVED, "moved"
        self.y_dim = self._choose_dims(y_dim)
        self.z_dim = self.fresh(moved=False).z_dim
        self.label = _label(what, self.specs)

    def _choose_dims(self, y_dim: int | None) -> int:
        if self.given is not None:
            if y_dim not in (None, self.given.y_dim):
                raise SpecError(f"the mapping has {self.given.y_dim} dimensions of y, not {y_dim}")
            return self.given.y_dim
        if y_dim is not None:
            return y_dim
        if self.specs is not None:
            specs, seed = self.specs, self.seed
            return _told(specs, "build()", lambda: next(in_the_fewest(specs, seed))).y_dim
        why: SpecError | None = None
        for tried in _TRIED:
            try:
                return self._build(tried, self.seed).y_dim
            except PluginError:
                raise
            except SpecError as error:
                why = why or error
        assert why is not None
        raise why

    # --- mappings ----------------------------------------------------------------------------------------------

    def fresh(self, *, moved: bool = True) -> MappingModule:
        """The mapping, built anew from the same seed.

        Args:
            moved: whether its parameters are changed by about a tenth, as training would change them: a symmetric
                initialisation, such as a last layer of zeros, may hide a fault. A mapping that was given as an object
                is never changed.
        """
        if self.given is not None:
            mapping = as_module(_copied(self.given))
        else:
            mapping = as_module(self._build(self.y_dim, stream(self.seed, "mapping")))
            if moved:
                self.move(mapping)
        if self.strength is not None:
            for part in annealed(mapping):
                part.set_strength(self.strength)
        return mapping

    def mapping(self, dtype: torch.dtype = torch.float64, *, moved: bool = True) -> MappingModule:
        """As `fresh`, in some precision and on the device; a copy of a mapping that is built only once."""
        if moved not in self._built:
            self._built[moved] = self.fresh(moved=moved)
        try:
            mapping = copy.deepcopy(self._built[moved])
        except Exception as error:  # the check deploy.copy reports it
            if self.given is not None and any(value.dtype != dtype for value in _floating(self._built[moved])):
                # The object belongs to the caller, so its parameters must not be converted.
                raise Skipped(f"the mapping cannot be copied, so it is not tried in {dtype}") from error
            mapping = self.fresh(moved=moved)
        as_part_converted(mapping, self.device, dtype)
        return mapping

    def trained(self, number: int) -> Candidate:
        """The same candidate whose parameters were changed by about their own size, as by some long training."""
        other = self._varied()
        other.spread, other.moving = _FAR_MOVED, f"trained {number}"
        return other

    def at_strength(self, strength: float) -> Candidate:
        """The same candidate whose parts that are `Annealed` have some strength."""
        other = self._varied()
        other.strength = strength
        return other

    def in_dims(self, y_dim: int) -> Candidate:
        """The same candidate in another number of dimensions.

        Raises:
            SpecError: if it cannot be built there, or was given as an object.
            PluginError: if it breaks its contract there.
        """
        if self.given is not None:
            raise SpecError("the mapping was given as an object, with its number of dimensions")
        other = self._varied()
        other.y_dim = y_dim
        other.z_dim = other.fresh(moved=False).z_dim
        return other

    def _varied(self) -> Candidate:
        other = copy.copy(self)
        other._built, other.level = {}, "quick"
        for known in ("promised", "declared"):
            other.__dict__.pop(known, None)
        return other

    def built_unseeded(self, y_dim: int) -> Any:
        """What is built in so many dimensions with torch's generator as it is; whatever the builder raises passes."""
        if self.specs is not None:
            return build_mapping(self.specs, y_dim)
        factory: Any = self.source
        assert factory is not None, "a mapping that was given as an object is not built"
        return factory(y_dim)

    def another(self) -> MappingModule:
        """A mapping of the same kind whose parameters are drawn from another seed."""
        return as_module(self._build(self.y_dim, stream(self.seed, "another")))

    def move(self, mapping: nn.Module) -> None:
        """Change the parameters of a mapping, as `fresh` does."""
        generator = self.generator(self.moving)
        with torch.no_grad():
            for name, parameter in mapping.named_parameters():
                if isinstance(parameter, nn.parameter.UninitializedParameter):
                    raise PluginError(
                        f"{type(mapping).__name__} has parameters without a shape; give its layers their sizes"
                    )
                if parameter.requires_grad and parameter.is_floating_point():
                    noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
                    try:
                        parameter.add_(self.spread * (1 + parameter.abs()) * noise)
                    except RuntimeError as error:
                        raise Broken(
                            f"the parameter {name} cannot be changed in place, as a step does: {str(error)[:120]}",
                            likely="expand() of a smaller tensor; clone() it, or keep the smaller one as the parameter",
                        ) from error

    @cached_property
    def promised(self) -> Properties:
        """The properties that the mapping declares, unaltered."""
        found = properties_of(self.mapping())
        if not isinstance(found, Properties):
            raise Broken(f"properties is {type(found).__name__}, expected intel_core.Properties")
        return found

    @cached_property
    def declared(self) -> Properties:
        """The declared properties without invalid places, which the check structure.places reports."""

        def real(places: tuple[Locus, ...], *, seams: bool) -> tuple[Locus, ...]:
            fit = [place for place in places if not problem_of(place, self.y_dim)]
            return tuple(place for place in fit if (place.codimension == 1) == seams)

        promised = self.promised
        return replace(
            promised,
            planes=tuple(plane for plane in promised.planes if is_pair(plane, self.y_dim)),
            seams=real(promised.seams, seams=True),
            centres=real(promised.centres, seams=False),
        )

    # --- draws -------------------------------------------------------------------------------------------------

    def draw(self, name: str, *shape: int) -> Tensor:
        """Standard normal y of shape ``(*shape, y_dim)``, float64."""
        values = torch.randn(*shape, self.y_dim, generator=self.generator(name), dtype=torch.float64)
        return values.to(self.device)

    def draw_wide(self, name: str, n: int) -> Tensor:
        """As `draw`, but every second row lies further out than most of the prior, as posteriors can."""
        y = self.draw(name, n)
        y[1::2] *= 2.5
        return y

    # --- use ---------------------------------------------------------------------------------------------------

    def call(self, mapping: Callable[[Tensor], Any], y: Tensor, *, doing: str = "") -> Tensor:
        """``mapping(y)``, a tensor of the expected shape.

        Raises:
            Broken: if the mapping raises anything, or returns anything else.
        """
        about = f"y of shape {tuple(y.shape)}, {str(y.dtype).removeprefix('torch.')}"
        after = f" {doing}" if doing else ""
        try:
            z = mapping(y)
        except Exception as error:
            said = first_line(error)
            cause = f"raised {type(error).__name__}: {said}"
            raise Broken(f"raised {type(error).__name__} for {about}{after}: {said}", cause=cause) from error
        if not isinstance(z, Tensor):
            kind = type(z).__name__
            raise Broken(f"returned {kind} for {about}{after}, expected a tensor", cause=f"returned {kind}")
        expected = (*y.shape[:-1], self.z_dim)
        if z.shape[:-1] == y.shape[:-1] and z.dim() and z.shape[-1] != self.z_dim:
            raise Broken(
                f"z has {z.shape[-1]} dimensions for {about}{after}, but z_dim is {self.z_dim}",
                likely="a wrong z_dim, set in __init__",
            )
        if tuple(z.shape) != expected:
            raise Broken(
                f"z has shape {tuple(z.shape)} for {about}{after}, expected {expected}",
                likely="an operation over dimension 0, or a squeeze(); use dim=-1 and y[..., i]",
                cause="a wrong shape",
            )
        return z

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        return f"{super().about}, {self.z_dim} of z"

    @property
    def words(self) -> str:
        """Its texts, quoted for a shell."""
        return " ".join(_quoted(str(spec)) for spec in self.specs or ())


def annealed(mapping: nn.Module) -> list[Any]:
    """The parts of a mapping that have a strength, as a run finds them."""
    parts = [bare(part) for part in mapping.modules()]
    return list({id(part): part for part in parts if isinstance(part, Annealed)}.values())


def _recipe(what: Any) -> tuple[tuple[MappingSpec, ...] | None, Callable[[int, int], Mapping]]:
    """The specs, if there are any, and a function that builds the mapping from a number of dimensions and a seed."""
    if isinstance(what, str | MappingSpec):
        what = [what]
    if isinstance(what, Sequence):
        if not what:
            raise SpecError("no mapping is given")
        parsed = [parse_spec("mappings", part) if isinstance(part, str) else part for part in what]
        if all(isinstance(part, MappingSpec) for part in parsed):
            specs = cast(tuple[MappingSpec, ...], tuple(parsed))
            return specs, lambda y_dim, seed: _composed(specs, y_dim, seed)
        if any(isinstance(part, Mapping) for part in parsed):
            raise SpecError(
                "mappings that are already built are checked one at a time; to check a composition, give Compose([...])"
            )
    elif isinstance(what, type) and issubclass(what, MappingSpec):
        raise SpecError(f"{what.__name__} is the class of a spec; give a spec, {what.__name__}()")
    elif callable(what) and (isinstance(what, type) or not isinstance(what, Mapping)):
        return None, lambda y_dim, seed: _built(what, y_dim, seed)
    elif isinstance(what, Mapping):
        return None, lambda y_dim, seed: what
    raise SpecError(f"{what!r:.80} is neither a mapping, nor the spec of one, nor a function that builds one")


def _composed(specs: Sequence[MappingSpec], y_dim: int, seed: int) -> Mapping:
    return _told(specs, f"build({y_dim})", lambda: build_seeded(specs, y_dim, seed))


def _told(specs: Sequence[MappingSpec], what: str, build: Callable[[], Mapping]) -> Mapping:
    """What is built; an error that is not written for a user becomes an error of the plugin, with its place."""
    try:
        return build()
    except IntelError:
        raise
    except Exception as error:
        names = " then ".join(str(spec) for spec in specs)
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        raise PluginError(f"{names}: {what} raised {type(error).__name__}: {error}{place}") from error


def _floating(mapping: nn.Module) -> Iterator[Tensor]:
    return (value for value in (*mapping.parameters(), *mapping.buffers()) if value.is_floating_point())


def _built(factory: Callable[[int], Any], y_dim: int, seed: int) -> Mapping:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            mapping = factory(y_dim)
    except IntelError:
        raise
    except ValueError as error:
        raise SpecError(f"{_name(factory)}({y_dim}): {error}") from error
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:  # not by the call itself
            raise PluginError(f"{_name(factory)}({y_dim}) raised TypeError: {error}") from error
        raise SpecError(
            f"{_name(factory)}({y_dim}) raised TypeError: {error}; give a mapping, or what builds one from y_dim"
        ) from error
    except Exception as error:
        raise PluginError(f"{_name(factory)}({y_dim}) raised {type(error).__name__}: {error}") from error
    if not isinstance(mapping, Mapping):
        raise PluginError(
            f"{_name(factory)}({y_dim}) returned {type(mapping).__name__}, which lacks y_dim, z_dim or __call__"
        )
    return mapping


def _copied(mapping: Mapping) -> Mapping:
    try:
        return copy.deepcopy(mapping)
    except Exception:  # the check deploy.copy reports it; everything else can still be checked
        return mapping


def _label(what: Any, specs: Sequence[MappingSpec] | None) -> str:
    if specs is not None:
        return " then ".join(str(spec) for spec in specs)
    return _name(what) if isinstance(what, type) or not isinstance(what, Mapping) else type(what).__name__


def _name(factory: Any) -> str:
    return str(getattr(factory, "__name__", type(factory).__name__))


def _quoted(text: str) -> str:
    return f"'{text}'" if any(c in text for c in ' []{}"*?$;&|<>()') else text
