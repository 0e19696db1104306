"""What was given to be checked: a text, a spec, an object, or a function that builds one?"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from intel_conformance.examined import Examined
from intel_conformance.kinds import KINDS, Kind, named_in
from intel_conformance.levels import Level
from intel_core.components.spec import ComponentSpec, parse_spec
from intel_core.errors import IntelError, PluginError, SpecError

__all__ = ["Component"]


class Component(Examined):
    """A component of any kind but a mapping, as its user names it.

    Args:
        what: a spec or its text (with or without its kind before it), an object, or a function that builds one.
        y_dim: number of dimensions of y, for kinds that are built for one.
        seed: of parameters and draws.
        device: where it computes; the draws are the same on every device.
        dtypes: the precisions of the checks that are not about one particular precision.
        level: determines the number of draws.

    Attributes:
        specs: its spec, alone in a tuple; None if an object or a function was given.
        given: the object, if one was given.
        factory: the function, if one was given.
        kept: what several checks need and one of them has computed, by name.

    Raises:
        SpecError: if there is no such component, or an argument is not one of its choices.
        PluginError: if the plugin cannot be loaded.
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
        if y_dim is not None and not KINDS[self.kind].has_dims:
            raise SpecError(f"a {self.kind} is not built for a number of dimensions of y, so none is chosen (--latent)")
        self.function = f"check_{self.kind}"
        self.specs: tuple[ComponentSpec, ...] | None = None
        self.given: Any = None
        self.factory: Callable[..., Any] | None = None
        self.kept: dict[str, Any] = {}
        self._understand(what)
        name = str(getattr(what, "__name__", type(what).__name__))
        self.label = f"{KINDS[self.kind].prefix}:{self.specs[0]}" if self.specs else name
        self._begin(y_dim)

    def _begin(self, y_dim: int | None) -> None:
        """What a kind needs before its checks, once it is known what is checked."""

    @staticmethod
    def is_one(what: Any) -> bool:
        """Whether an object is one of the kind, so that no spec is needed."""
        raise NotImplementedError

    def _understand(self, what: Any) -> None:
        of = KINDS[self.kind]
        if isinstance(what, str):
            named = named_in(what)
            kind, text = named if named else (self.kind, what)
            if kind != self.kind:
                raise SpecError(f"{what!r} is no {self.kind}; use check_{kind}")
            if not text:
                raise SpecError(f"{what!r} names no {self.kind}; for instance {of.prefix}:{of.example}")
            what = parse_spec(self.base.kind, text)
        if isinstance(what, self.base):
            self.specs = (what,)
        elif isinstance(what, type) and issubclass(what, self.base):
            raise SpecError(f"{what.__name__} is the class of a spec; give a spec, {what.__name__}()")
        elif not isinstance(what, type) and self.is_one(what):
            self.given = what
        elif callable(what) and not isinstance(what, ComponentSpec):
            self.factory = what
        else:
            raise SpecError(
                f"{what!r:.80} is neither a {self.kind}, nor the spec of one, nor a function that builds one"
            )

    def made(self, make: Callable[[], Any], said: str, seed: int) -> Any:
        """What a spec or a function builds, from a seed.

        Raises:
            SpecError: if it raises a ValueError, which says why there is none.
            PluginError: if it raises anything else.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                return make()
        except IntelError:
            raise
        except ValueError as error:
            raise SpecError(f"{said}: {error}") from error
        except Exception as error:
            raise PluginError(f"{said} raised {type(error).__name__}: {str(error)[:200]}") from error

    @property
    def words(self) -> str:
        """Its label, quoted for a shell."""
        return shlex.quote(self.label)
