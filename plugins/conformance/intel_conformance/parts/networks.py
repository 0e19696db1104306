"""What is being checked if it is a network? Encoder and decoder, for the first shape of examples that it takes."""

from __future__ import annotations

import contextlib
import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from intel_conformance.outcomes import Broken, first_line
from intel_conformance.parts.candidates import Candidate, around_zero
from intel_conformance.parts.modules import Wrapped
from intel_core.errors import PluginError, SpecError
from intel_core.model.contract import NetworkSpec

__all__ = ["LATENTS", "OUTPUTS", "SHAPES", "NetworkCandidate", "NetworkModule"]

SHAPES = ((6,), (1, 8, 8), (3, 8, 8), (2, 7, 5), (1, 28, 28), (3, 32, 32), (1,), (3, 64, 64))
"""Shapes of examples that are tried; a network may take some of them only."""
OUTPUTS, LATENTS = 5, 3
"""How many features the encoder gives, and how many numbers the decoder takes."""


class NetworkModule(Wrapped):
    """Both networks: ``encoder`` of examples that are laid out in rows, and ``decoder``, whose values are as well."""

    functions = ("encoder", "decoder")

    def __init__(self, encoder: Any, decoder: Any, x_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.held = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self.x_shape, self.values = x_shape, math.prod(x_shape)

    def forward(self, function: str, rows: Tensor) -> Tensor:
        """See `Wrapped`."""
        if function == "encoder":
            return cast(Tensor, self.held["encoder"](rows.reshape(*rows.shape[:-1], *self.x_shape)))
        found = self.held["decoder"](rows)
        if isinstance(found, Tensor) and tuple(found.shape) == (*rows.shape[:-1], *self.x_shape):
            return found.flatten(-len(self.x_shape))
        return cast(Tensor, found)

    def width(self, function: str) -> int:
        """See `Wrapped`."""
        return self.values if function == "encoder" else LATENTS

    def out(self, function: str) -> tuple[int, ...]:
        """See `Wrapped`."""
        return (OUTPUTS,) if function == "encoder" else (self.values,)


class NetworkCandidate(Candidate):
    """Networks by a spec, in evaluation mode unless a check says otherwise.

    Attributes:
        x_shape: of the examples.
    """

    kind = "network"
    base = NetworkSpec
    losses = ("encoder", "decoder")

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`; a module alone does not say whether it encodes or decodes."""
        return isinstance(what, NetworkModule)

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        return f"{self.x_shape} to {OUTPUTS} features, {LATENTS} of z to {self.x_shape}"

    def _understand(self, what: Any) -> None:
        super()._understand(what)
        if self.specs is None:
            raise SpecError(f"{what!r:.80} is no spec of a network, and they are built in many shapes")

    def _choose_dims(self, y_dim: int | None) -> int:
        """There are none; the first shape for which it can be built is taken."""
        why: SpecError | None = None
        for self.x_shape in SHAPES:
            try:
                self._build(0, self.seed)
            except PluginError:
                raise
            except SpecError as error:
                why = why or error
            else:
                return 0
        assert why is not None
        raise why

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        return self.built(self.x_shape, OUTPUTS, LATENTS, spec)

    def built(self, x_shape: tuple[int, ...], outputs: int, latents: int, spec: Any = None) -> NetworkModule:
        """Both networks for some shape; lazy layers get their sizes by a call.

        Raises:
            ValueError: if there are none.
        """
        spec = spec or cast(Any, self.specs)[0]
        encoder, decoder = spec.build_encoder(x_shape, outputs), spec.build_decoder(latents, x_shape)
        for name, network, shape in (("encoder", encoder, x_shape), ("decoder", decoder, (latents,))):
            if not isinstance(network, nn.Module):
                raise PluginError(f"network {spec}: its {name} is a {type(network).__name__}, expected a torch module")
            with torch.no_grad(), contextlib.suppress(Exception):  # the check io.shape reports it
                network.eval()(torch.zeros(2, *shape))
        return NetworkModule(encoder, decoder, x_shape)

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        return cast(Wrapped, built.eval())

    def extremes(self, function: str) -> Tensor:
        """See `Candidate.extremes`; counts are thousands."""
        return around_zero(self.rows(function, "extremes", 12), (1e-30, 1.0, 8.0, 1e3))


def tried(call: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The result of a call, of the expected shape.

    Raises:
        Broken: if it raises anything, or has another shape.
    """
    try:
        found = call()
    except Exception as error:
        said = first_line(error)
        raise Broken(f"{what} raised {type(error).__name__}: {said}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        got = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise Broken(f"{what} gives {got}, expected {shape}", likely="a Flatten or an Unflatten, or a fixed size")
    return found
