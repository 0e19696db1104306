"""Which functions of a model are exported? Encoder, mapping and generator, in the units of the data, and the prior.

Each is a module of float32 on the CPU that holds only the parts it needs, with names for what goes in and comes out.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from intel_core.evaluation.run import Run
from intel_core.mappings.compose import as_module
from intel_core.model.prior import FromEncoder, Prior
from intel_core.model.vae import InteLVAE, beside
from intel_core.runs.units import Units

__all__ = ["PARTS", "Graph", "graphs_of", "usual_parts"]

PARTS = ("encoder", "mapping", "generator", "prior")
"""What can be exported, each a file of its own."""
_COMPARED = 100
"""Rows with which a graph is compared; more would find nothing else, since each row is computed alone."""


class Graph(NamedTuple):
    """A function of a model, to be exported.

    Attributes:
        part: one of `PARTS`.
        made_of: the parts of the model, as a message names them.
        module: the function, in evaluation mode; its arguments and results have the examples first.
        takes: names of the arguments.
        gives: names of the results.
        rows: usual values of the arguments, each ``(n, …)``.
    """

    part: str
    made_of: str
    module: nn.Module
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    rows: tuple[Tensor, ...]


def usual_parts(run: Run) -> tuple[str, ...]:
    """What is exported unless parts are named: the prior only where it is not N(0, I), which needs no file."""
    return PARTS[:3] if run.spec.prior.is_usual else PARTS


def graphs_of(run: Run, parts: tuple[str, ...]) -> list[Graph]:
    """The functions of a trained model, in the order of `PARTS`.

    Where the run standardised its data, the encoder takes values in their units as float64, in which a large offset
    costs no digits, and standardises them; the generator gives values in these units. Images are values in [0, 1].
    Encoder and generator of a run with conditions take these behind x and z, as rows of the numbers that networks see.
    """
    model, spec = copy.deepcopy(run.model).cpu().eval(), run.spec
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        prior = model.current_prior()
        noise = model.draw_noise(_COMPARED, prior.noise_dim, generator)
        y = prior.draw(noise)
        z = model.mapping(y)
        known = run.draw_conditions(_COMPARED)
        x = run.original_units(model.likelihood.mean(model.on(known).decode(z)))
    seen, named = ((), ()) if known is None else ((known,), ("conditions",))
    x = x if run.units.scaling is None else x.double()
    mapping = " then ".join(str(part) for part in spec.mapping) or "identity"
    encoder = f"encoder {spec.encoder}" + ("" if spec.posterior.is_usual else f" with posterior {spec.posterior}")
    decoder = f"decoder {spec.decoder} with likelihood {spec.likelihood}"
    found = {
        "encoder": Graph("encoder", encoder, _Encoder(model, run.units), ("x", *named), ("mean", "std"), (x, *seen)),
        "mapping": Graph("mapping", f"mapping {mapping}", _Mapping(model), ("y",), ("z",), (y,)),
        "generator": Graph("generator", decoder, _Generator(model, run.units), ("z", *named), ("x",), (z, *seen)),
        "prior": Graph("prior", f"prior {spec.prior}", _Prior(model), ("noise",), ("y",), (noise,)),
    }
    return [found[part]._replace(module=found[part].module.eval()) for part in PARTS if part in parts]


class _Encoder(nn.Module):
    """X in the units of the data to mean and standard deviation of q(y|x)."""

    def __init__(self, model: InteLVAE, units: Units) -> None:
        super().__init__()
        self.units, self.encoder, self.family = units, model.encoder, model.family

    def forward(self, x: Tensor, conditions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.units.standardise(x).float()
        posterior = self.family(self.encoder(x if conditions is None else beside(x, conditions)))
        return posterior.mean, posterior.std


class _Mapping(nn.Module):
    """Z = g(y)."""

    def __init__(self, model: InteLVAE) -> None:
        super().__init__()
        self.mapping = as_module(model.mapping)

    def forward(self, y: Tensor) -> Tensor:
        z = self.mapping(y)
        return z.clone() if z is y else z  # a graph that gives its argument back has nothing to compute


class _Generator(nn.Module):
    """Z to the mean of p(x|z) in the units of the data."""

    def __init__(self, model: InteLVAE, units: Units) -> None:
        super().__init__()
        self.units, self.decoder, self.likelihood = units, model.decoder, model.likelihood

    def forward(self, z: Tensor, conditions: Tensor | None = None) -> Tensor:
        z = z if conditions is None else beside(z, conditions)
        return self.units.original(self.likelihood.mean(self.decoder(z)))


class _Prior(nn.Module):
    """Standard normal noise to draws of p(y)."""

    def __init__(self, model: InteLVAE) -> None:
        super().__init__()
        self.prior: Prior | FromEncoder = model.prior
        self.family = model.family
        self.encoder = model.encoder if isinstance(model.prior, FromEncoder) else None

    def forward(self, noise: Tensor) -> Tensor:
        if isinstance(self.prior, FromEncoder) and self.encoder is not None:
            return self.prior.given(self.family(self.encoder(self.prior.inputs()))).draw(noise)
        return cast(Prior, self.prior).draw(noise)
