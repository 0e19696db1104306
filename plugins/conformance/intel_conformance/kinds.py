"""Which kinds of components are checked beside mappings, what is each called, and which checks has it?"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from intel_conformance.check import Check
from intel_conformance.levels import Level
from intel_core.components.discovery import canonical_kind, kinds, singular
from intel_core.components.spec import ComponentSpec
from intel_core.errors import SpecError, did_you_mean

__all__ = ["GROUPS", "KINDS", "Kind", "OfKind", "candidate_of", "check", "checks_of", "kind_of", "named_in"]

Kind = Literal["prior", "posterior", "likelihood", "network", "dataset", "metric"]
GROUPS = ("io", "rows", "mode", "finite", "density", "kl", "bound", "grad", "deploy", "structure", "plugin")
"""The groups in the order in which they run."""


@dataclass(frozen=True)
class OfKind:
    """What the front ends have to know of a kind.

    Attributes:
        prefix: what stands before the colon in the text of one.
        example: the name of one, for messages.
        candidate: module and class of what is checked.
        modules: modules with its checks, in the order in which they run.
        has_dims: whether it is built for a number of dimensions of y.
    """

    prefix: str
    example: str
    candidate: str
    modules: tuple[str, ...]
    has_dims: bool = False


KINDS: dict[Kind, OfKind] = {
    "prior": OfKind(
        "prior",
        "standard",
        "parts.candidates:PriorCandidate",
        ("parts.calls", "parts.survival", "distributions.densities", "distributions.bounds", "parts.plugin"),
        has_dims=True,
    ),
    "posterior": OfKind(
        "posterior",
        "gaussian",
        "parts.candidates:PosteriorCandidate",
        ("parts.calls", "parts.survival", "distributions.densities", "distributions.bounds", "parts.plugin"),
        has_dims=True,
    ),
    "likelihood": OfKind(
        "likelihood",
        "gaussian",
        "parts.likelihoods:LikelihoodCandidate",
        ("parts.calls", "parts.survival", "distributions.likelihoods", "parts.plugin"),
    ),
    "network": OfKind(
        "network",
        "mlp",
        "parts.networks:NetworkCandidate",
        ("parts.calls", "parts.network_checks", "parts.survival", "parts.plugin"),
    ),
    "dataset": OfKind("data", "digits", "data.candidate:DatasetCandidate", ("data.checks", "parts.plugin")),
    "metric": OfKind("metric", "hoyer", "metrics.candidate:MetricCandidate", ("metrics.checks", "parts.plugin")),
}
"""All of them, by the word for one of a kind, as in ``intel plugins new --kind``."""

_registered: dict[str, dict[str, Check]] = {kind: {} for kind in KINDS}
_TEXT = re.compile(r"\s*([a-z]+)\s*(?::\s*(.*))?", re.DOTALL)


def check(
    id: str, clause: str, level: Level = "quick", *, kinds: tuple[Kind, ...]
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as the check of that id."""

    def register(run: Callable[[Any], None]) -> Callable[[Any], None]:
        assert id.partition(".")[0] in GROUPS, id
        assert run.__doc__, id
        for kind in kinds:
            assert id not in _registered[kind], id
            _registered[kind][id] = Check(id, level, clause, run)
        return run

    return register


def checks_of(kind: Kind) -> tuple[Check, ...]:
    """All checks of a kind, in the order in which they run: by groups, modules and lines, whatever was imported first.

    >>> [check.id for check in checks_of("prior")][:2]
    ['io.shape', 'io.dtype']
    """
    modules = [f"intel_conformance.{name}" for name in KINDS[kind].modules]
    for module in modules:
        importlib.import_module(module)
    place = {module: number for number, module in enumerate(modules)}

    def order(one: Check) -> tuple[int, int, int]:
        return GROUPS.index(one.group), place[one.run.__module__], one.run.__code__.co_firstlineno

    return tuple(sorted(_registered[kind].values(), key=order))


def named_in(text: str) -> tuple[Kind, str] | None:
    """The kind before the colon of a text, and what follows it; None if it is the text of a mapping.

    Raises:
        SpecError: if a kind is named that has no checks, or that nearly is one.

    >>> named_in("prior:mog:k=3"), named_in("data:digits"), named_in("circle")
    (('prior', 'mog:k=3'), ('dataset', 'digits'), None)
    """
    found = _TEXT.fullmatch(text)
    if not found:
        return None
    word, rest = found[1], found[2]
    try:
        plural = canonical_kind(word)
    except SpecError:
        _refuse_misspelt(text, word, rest)
        return None
    if singular(plural) in KINDS:
        return cast(Kind, singular(plural)), (rest or "").strip()
    if rest is not None and plural != "mappings":
        checked = ", ".join(f"{of.prefix}:NAME" for of in KINDS.values())
        raise SpecError(f"{text!r}: {plural} have no checks; mappings have, and {checked}")
    return None


def _refuse_misspelt(text: str, word: str, rest: str | None) -> None:
    """A word before a colon is a kind, unless it is the name of a mapping.

    Raises:
        SpecError: with the kind that is meant.
    """
    from intel_core.components.discovery import available

    if rest is None or "=" in rest.partition(":")[0] or any(one.name == word for one in available("mappings")):
        return
    raise SpecError(
        f"{text!r}: no kind is called {word!r}{did_you_mean(word, [of.prefix for of in KINDS.values()], say='kinds')}; "
        "the text of a mapping is NAME:SETTING=VALUE"
    )


def kind_of(what: Any) -> Kind | None:
    """The kind of a text, a spec or an object; None if it is a mapping, or nothing that is known.

    Raises:
        SpecError: as of `named_in`.

    >>> kind_of("prior:standard"), kind_of("posterior:gaussian"), kind_of("circle")
    ('prior', 'posterior', None)
    """
    if isinstance(what, str):
        named = named_in(what)
        return named[0] if named else None
    if isinstance(what, type):
        return None
    if isinstance(what, ComponentSpec):
        kind = singular(what.kind) if what.kind in kinds() else ""
        return cast(Kind, kind) if kind in get_args(Kind) else None
    return next((kind for kind in KINDS if _candidate_class(kind).is_one(what)), None)


def candidate_of(kind: Kind, what: Any, **settings: Any) -> Any:
    """The candidate of a kind.

    Raises:
        SpecError: if there is no such component, or it is told what it does not have.
        PluginError: if the plugin cannot be loaded, or does not build one.
    """
    return _candidate_class(kind)(what, **settings)


def _candidate_class(kind: Kind) -> Any:
    module, _, name = KINDS[kind].candidate.partition(":")
    return getattr(importlib.import_module(f"intel_conformance.{module}"), name)
