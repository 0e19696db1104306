"""How does a run spec hold a part that its caller made: a module of their own, which no text describes?

Such a part stands in the spec as the component ``given``, with the name of its class; a run directory holds that name
and the weights. Whoever loads the run gives the part again.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field, PrivateAttr

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError, SpecError
from intel_core.mappings.contract import Mapping, MappingSpec
from intel_core.model.contract import LikelihoodSpec, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

    from intel_core.model.likelihood import Likelihood

__all__ = ["PARTS", "GivenLikelihoodSpec", "GivenMappingSpec", "GivenNetworkSpec", "as_given", "with_parts"]

_Spec = TypeVar("_Spec", bound=BaseModel)
PARTS = ("encoder", "decoder", "mapping", "likelihood")
"""The settings of a run that may be a part of the caller's own."""


class _GivenSpec(ComponentSpec):
    of: str = Field("module", max_length=200, description="class of the part, or the function that makes it")
    _part: Any = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """By what a text holds, so that a spec is the one that its text gives."""
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    __hash__ = ComponentSpec.__hash__

    def _made(self, role: str) -> Any:
        """A copy of the part, so that the caller's own is not trained; or what its class or function makes."""
        if self._part is None:
            raise PluginError(
                f"the {role}, {self.of}, was given to fit() as an object, which no text and no run directory holds; in "
                f"Python, give it again: load_run(path, {role}=…), resume(path, {role}=…) or fit({role}=…)"
            )
        return self._part() if _makes(self._part) else copy.deepcopy(self._part)


class GivenNetworkSpec(_GivenSpec, NetworkSpec):
    """A network of the caller's own, given to `fit` as a module."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        """A copy of the module, whatever the shapes are; that it fits them is checked where the model is built."""
        made: nn.Module = self._made("encoder")
        return made

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        """As `build_encoder`."""
        made: nn.Module = self._made("decoder")
        return made


class GivenMappingSpec(_GivenSpec, MappingSpec):
    """A mapping of the caller's own, given to `fit` as a module."""

    def build(self, y_dim: int) -> Mapping:
        """A copy of the module; one without ``y_dim`` and ``z_dim`` gets them, as two rows of zeros show."""
        import torch

        made: Any = self._made("mapping")
        if isinstance(made, torch.nn.Module) and not isinstance(made, Mapping):
            with torch.no_grad():
                z = made(torch.zeros(2, y_dim))
            made.y_dim, made.z_dim = y_dim, int(z.shape[-1])  # type: ignore[assignment]
        return made  # type: ignore[no-any-return]


class GivenLikelihoodSpec(_GivenSpec, LikelihoodSpec):
    """A likelihood of the caller's own, given to `fit` as an object."""

    def build(self) -> Likelihood:
        """A copy of the object."""
        made: Likelihood = self._made("likelihood")
        return made


_SPECS: dict[str, type[_GivenSpec]] = {
    "encoder": GivenNetworkSpec,
    "decoder": GivenNetworkSpec,
    "mapping": GivenMappingSpec,
    "likelihood": GivenLikelihoodSpec,
}


def as_given(role: str, value: object) -> object:
    """The spec that holds a part of the caller's own; texts, specs and other data are returned as they are.

    Args:
        role: one of `PARTS`.
        value: a module (a likelihood: an object with ``log_prob``), which is copied; or a class or function without
            arguments that makes one, whose initial weights then follow from the run's seed. Of mappings, a list too.

    Raises:
        SpecError: if a class or function needs arguments.

    >>> from torch import nn
    >>> as_given("encoder", nn.Linear(3, 4))
    GivenNetworkSpec(of='Linear')
    >>> as_given("encoder", "mlp"), as_given("mapping", ["circle", nn.Identity])
    ('mlp', ['circle', GivenMappingSpec(dims=None, of='Identity')])
    >>> as_given("decoder", nn.Linear)
    Traceback (most recent call last):
    intel_core.errors.SpecError: decoder: Linear needs arguments (in_features, out_features); give what it makes, or ...
    """
    if role == "mapping" and isinstance(value, list | tuple):
        return [as_given(role, part) for part in value]
    if not _is_part(value):
        return value
    if _makes(value):
        _refuse_arguments(role, value)
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    spec = _SPECS[role](of=str(name)[-200:])
    spec._part = value
    return spec


def with_parts(spec: _Spec, parts: Dictionary[str, object], where: str) -> _Spec:
    """A run spec that was read from a directory, with the parts that its caller gives again.

    Args:
        spec: an `intel_core.recipe.runspec.RunSpec`.
        parts: by the names of `PARTS`; None where none is given.
        where: the run, for messages.

    Raises:
        SpecError: if one is given for a part that a text describes, or something that is no part.
    """
    given: dict[str, object] = {}
    for role, value in parts.items():
        if value is None:
            continue
        made = as_given(role, value)
        if role == "mapping":
            stored = tuple(getattr(spec, role))
            there = [isinstance(part, GivenMappingSpec) for part in stored]
            own = list(made) if isinstance(made, list) else [made]
            if len(own) != sum(there) or not all(isinstance(part, _GivenSpec) for part in own):
                raise SpecError(f"{where}: mappings that were given as objects: {sum(there)} then, {len(own)} now")
            rest = iter(own)
            given[role] = tuple(
                _again(role, before, next(rest), where) if is_own else before
                for before, is_own in zip(stored, there, strict=True)
            )
        else:
            given[role] = _again(role, getattr(spec, role), made, where)
    return spec.model_copy(update=given) if given else spec


def _again(role: str, before: object, made: object, where: str) -> object:
    """The spec as it was stored, with the part."""
    if not isinstance(before, _GivenSpec):
        raise SpecError(f"{where} has the {role} {before}, which its directory describes; leave out {role}=")
    if not isinstance(made, _GivenSpec):
        raise SpecError(f"{role}={made!r}: expected the module that the run was trained with, or what makes one")
    if made.of != before.of:
        raise SpecError(f"{where} was trained with the {role} {before.of}, not with {made.of}")
    again = before.model_copy()
    again._part = made._part
    return again


def _makes(part: object) -> bool:
    """Whether it is a class or a function, which makes the part each time one is needed."""
    return isinstance(part, type) or inspect.isroutine(part) or isinstance(part, functools.partial)


def _is_part(value: object) -> bool:
    if value is None or isinstance(value, str | int | float | list | tuple | dict | ComponentSpec):
        return False
    return callable(value) or hasattr(value, "log_prob")


def _refuse_arguments(role: str, made_by: Any) -> None:
    try:
        parameters = inspect.signature(made_by).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have none that could be read
        return
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        name = getattr(made_by, "__name__", type(made_by).__name__)
        raise SpecError(
            f"{role}: {name} needs arguments ({', '.join(needed)}); give what it makes, or a function without arguments"
        )
