"""Is a prior or a posterior that breaks its contract, or does not go together with the rest, told in a line or two?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from intel_core import PluginError, PosteriorSpec, PriorSpec, SpecError, parse_spec
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian
from intel_core.model.prior import StandardNormal
from intel_core.recipe.latent import build_family, build_prior, check_pair
from intel_core.recipe.shipped import DiagonalPosteriorSpec, ELBOSpec, IWAESpec, StandardPriorSpec


class Wide(StandardNormal):
    def draw(self, noise: Tensor) -> Tensor:
        return torch.cat([noise, noise], -1)


class ByDimension(StandardNormal):
    def log_prob(self, y: Tensor) -> Tensor:
        return -0.5 * y.square()


class NoNoise(StandardNormal):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.noise_dim = 0


class Raises(StandardNormal):
    def log_prob(self, y: Tensor) -> Tensor:
        raise RuntimeError("the matrix is singular")


class Double(StandardNormal):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y.double())


class WrongInputs(nn.Module):
    def inputs(self) -> Tensor:
        return torch.zeros(5, 7)

    def given(self, posterior: object) -> StandardNormal:
        return StandardNormal(2)


def prior_spec(make: Any) -> PriorSpec:
    class MadePriorSpec(PriorSpec):
        def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
            return make(y_dim)

        def __str__(self) -> str:
            return "mine"

    return MadePriorSpec()


def posterior_spec(make: Any) -> PosteriorSpec:
    class MadePosteriorSpec(PosteriorSpec):
        def build(self, y_dim: int) -> Any:
            return make(y_dim)

        def __str__(self) -> str:
            return "mine"

    return MadePosteriorSpec()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Wide, r"prior mine: draw gives shape \(3, 4\), expected shape \(3, 2\)"),
        (ByDimension, r"prior mine: log_prob of shape \(2, 3, 2\) gives shape \(2, 3, 2\), expected shape \(2, 3\)"),
        (NoNoise, r"prior mine: noise_dim is 0, expected a whole number, at least 1"),
        (Raises, r"prior mine: log_prob raised RuntimeError: the matrix is singular"),
        (Double, r"prior mine: log_prob of .* gives numbers of type torch.float64, expected torch.float32"),
        (lambda _: None, r"prior mine: build\(\) returned a NoneType, which lacks noise_dim, draw or log_prob"),
        (lambda _: WrongInputs(), r"prior mine: inputs\(\) gives shape \(5, 7\), expected \(K, 3\)"),
    ],
)
def test_a_prior_that_breaks_its_contract_is_told_by_name(make: Any, message: str) -> None:
    with pytest.raises(PluginError, match=f"^{message}"):
        build_prior(prior_spec(make), 2, (3,))


class Narrow(DiagonalFamily):
    def forward(self, features: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(features[..., :1], features[..., 1:2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Narrow, r"posterior mine: (mean gives shape \(2, 1\), expected shape \(2, 2\)|raised)"),
        (lambda _: SimpleNamespace(features=3), r"posterior mine: build\(\) returned a SimpleNamespace, which lacks"),
    ],
)
def test_a_posterior_that_breaks_its_contract_is_told_by_name(make: Any, message: str) -> None:
    with pytest.raises(PluginError, match=f"^{message}"):
        build_family(posterior_spec(make), 2)


def test_dimensions_that_a_plugin_refuses_are_an_error_of_the_user() -> None:
    def refuse(y_dim: int) -> None:
        raise ValueError(f"rank 8 is above the {y_dim} dimensions of y")

    with pytest.raises(SpecError, match=r"^posterior mine: rank 8 is above the 2 dimensions of y$"):
        build_family(posterior_spec(refuse), 2)


class AtomPriorSpec(StandardPriorSpec):
    measure: ClassVar[str] = "atom0"
    is_usual: ClassVar[bool] = False

    def __str__(self) -> str:
        return "spiky"


class AtomPosteriorSpec(DiagonalPosteriorSpec):
    measure: ClassVar[str] = "atom0"
    is_usual: ClassVar[bool] = False

    def __str__(self) -> str:
        return "spiky"


class OwnObjectiveSpec(ELBOSpec):
    measures: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return "own"


def pair(prior: PriorSpec, posterior: PosteriorSpec, objective: Any) -> Any:
    return SimpleNamespace(prior=prior, posterior=posterior, objective=objective)


def test_densities_of_different_kinds_do_not_go_together() -> None:
    with pytest.raises(SpecError, match="spiky and posterior gaussian have densities of different kinds"):
        check_pair(pair(AtomPriorSpec(), DiagonalPosteriorSpec(), ELBOSpec()))
    with pytest.raises(SpecError, match="prior standard and posterior spiky"):
        check_pair(pair(StandardPriorSpec(), AtomPosteriorSpec(), ELBOSpec()))


def test_spikes_are_not_trained_by_importance_weights() -> None:
    check_pair(pair(AtomPriorSpec(), AtomPosteriorSpec(), ELBOSpec()))
    with pytest.raises(SpecError, match=r"objective iwae.* cannot be trained with prior spiky, which has an atom at 0"):
        check_pair(pair(AtomPriorSpec(), AtomPosteriorSpec(), IWAESpec()))


def test_an_objective_that_knows_the_usual_pair_only_is_not_silently_wrong() -> None:
    check_pair(pair(parse_spec("priors", "standard"), parse_spec("posteriors", "gaussian"), OwnObjectiveSpec()))
    with pytest.raises(SpecError, match=r"objective own is for prior standard and .*, not for prior mine"):
        check_pair(pair(prior_spec(StandardNormal), DiagonalPosteriorSpec(), OwnObjectiveSpec()))
