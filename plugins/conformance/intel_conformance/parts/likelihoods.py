"""What is being checked if it is a likelihood? Decoder outputs with examples drawn from it, side by side as rows."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor

from intel_conformance.outcomes import Broken
from intel_conformance.parts.candidates import Candidate, around_zero
from intel_conformance.parts.modules import Wrapped
from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError, SpecError
from intel_core.helpers.advice import CompletedByData
from intel_core.model.contract import LikelihoodSpec
from intel_core.model.likelihood import Likelihood

__all__ = ["LikelihoodCandidate", "LikelihoodModule", "dataset_of"]

_WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
"""Numbers of values in an example that are tried, in this order."""


class LikelihoodModule(Wrapped):
    """A likelihood of vectors: ``log_prob`` of outputs and an example side by side, and ``mean`` of outputs.

    Attributes:
        values: how many numbers an example has.
        outputs: how many numbers the decoder gives for it.
    """

    functions = ("log_prob", "mean")

    def __init__(self, likelihood: Any, values: int) -> None:
        super().__init__()
        self.held, self.values = likelihood, values
        count = likelihood.params_per_value
        self.outputs = values * (count if isinstance(count, int) and count > 0 else 1)

    def forward(self, function: str, rows: Tensor) -> Tensor:
        """See `Wrapped`; training differentiates no example, so there is no gradient with respect to one."""
        if function == "mean":
            return cast(Tensor, self.held.mean(rows))
        params, x = rows[..., : self.outputs], rows[..., self.outputs :].detach()
        return cast(Tensor, self.held.log_prob(params, x))

    def width(self, function: str) -> int:
        """See `Wrapped`."""
        return self.outputs + (self.values if function == "log_prob" else 0)

    def out(self, function: str) -> tuple[int, ...]:
        """See `Wrapped`."""
        return () if function == "log_prob" else (self.values,)


class LikelihoodCandidate(Candidate):
    """A likelihood, checked on vectors of twice the fewest values for which its draws differ, if it takes as many.

    Attributes:
        values: how many an example has.
        least: the fewest.
    """

    kind = "likelihood"
    base = LikelihoodSpec
    losses = ("log_prob",)

    @staticmethod
    def is_one(what: Any) -> bool:
        """See `Component.is_one`."""
        return isinstance(what, Likelihood)

    @property
    def about(self) -> str:
        """See `Examined.about`."""
        return f"{self.values} value{'s' if self.values > 1 else ''} of x, {self.outputs} of the decoder"

    @property
    def outputs(self) -> int:
        """How many numbers the decoder gives for an example."""
        return cast(LikelihoodModule, self._first).outputs

    def _build_spec(self, spec: Any, y_dim: int) -> Any:
        if isinstance(spec, CompletedByData):
            spec = spec.for_data(dataset_of(torch.zeros(4, self.values), "real"))
        return spec.build()

    def _build_own(self, y_dim: int) -> Any:
        return cast(Any, self.factory)()

    def _choose_dims(self, y_dim: int | None) -> int:
        """There are none; the number of values is chosen: the first for which draws differ, else one that is taken."""
        least, why = 0, None
        for self.values in _WIDTHS:
            try:
                module = self._wrap(self._build(0, self.seed), 0, self.seed).double()
            except DataError as error:
                why = why or error
                continue
            found = self._tried(module)
            least = least or (self.values if found else 0)
            if found == "different":
                break
        else:
            if why is not None and not least:
                raise SpecError(str(why))
            self.values = least or 1
        self.least, self.values = self.values, 2 * self.values
        try:
            taken = bool(self._tried(self._wrap(self._build(0, self.seed), 0, self.seed).double()))
        except DataError:
            taken = False
        self.values = self.values if taken else self.least
        return 0

    def narrow(self) -> LikelihoodCandidate:
        """The same candidate with examples of the fewest values."""
        if self.values == self.least:
            return self
        other = copy.copy(self)
        other.values = self.least
        other._first = other.fresh()
        return other

    def _tried(self, module: Wrapped) -> str:
        assert isinstance(module, LikelihoodModule)
        params = torch.randn(64, module.outputs, generator=self.generator("tried"), dtype=torch.float64)
        try:
            with torch.no_grad():
                x = module.held.sample(params, self.generator("tried"))
                module("log_prob", torch.cat([params, x], -1))
                mean = module("mean", params)
        except Exception:  # the check io.shape reports it, if there is no number of values for which it works
            return ""
        return "different" if bool((x != x[0]).any() and (mean != mean[0]).any()) else "alike"

    def _wrap(self, built: Any, y_dim: int, seed: int) -> Wrapped:
        return LikelihoodModule(built, self.values)

    # --- draws -------------------------------------------------------------------------------------------------

    def params(self, name: str, n: int) -> Tensor:
        """Outputs of a decoder, ``(n, outputs)``, float64."""
        return self.noise(f"params {name}", n, self.outputs)

    def drawn(self, name: str, params: Tensor) -> Tensor:
        """A draw of x for each row of outputs, float64.

        Raises:
            Broken: if there is none, or it has another shape.
        """
        held = self.module().held
        try:
            with torch.no_grad():
                x = held.sample(params.cpu(), self.generator(f"x {name}"))
        except Exception as error:
            raise Broken(f"sample raised {type(error).__name__}: {str(error)[:200]}", cause="sample raised") from error
        expected = (len(params), self.values)
        if not isinstance(x, Tensor) or tuple(x.shape) != expected:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise Broken(f"sample gives {got} for {len(params)} rows, expected {expected}", cause="sample's shape")
        return x.to(self.device)

    def rows(self, function: str, name: str, n: int) -> Tensor:
        """See `Candidate.rows`; an example is a draw for its outputs."""
        params = self.params(f"{name} {function}", n)
        return params if function == "mean" else torch.cat([params, self.drawn(name, params)], -1)

    def direction(self, function: str, n: int) -> Tensor:
        """See `Candidate.direction`; examples stay as they are."""
        found = self.params("direction", n)
        return found if function == "mean" else torch.cat([found, found.new_zeros(n, self.values)], -1)

    def extremes(self, function: str) -> Tensor:
        """See `Candidate.extremes`; outputs are some hundreds at most, examples are usual ones."""
        params = around_zero(self.params("extremes", 12), (1e-30, 1.0, 8.0, 50.0)).clamp(-100, 100)
        if function == "mean":
            return params
        return torch.cat([params, self.drawn("extremes", self.params("usual", len(params)))], -1)


def dataset_of(x: Tensor, support: Any) -> Dataset:
    """Examples as a data set whose parts are all the same."""
    part = Split(x.float())
    return Dataset(name="some draws", train=part, validation=part, test=part, support=support)
