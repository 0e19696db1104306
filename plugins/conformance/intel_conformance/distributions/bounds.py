"""Are KL divergences and bounds right? Against Monte Carlo, and against the evidence of linear-Gaussian models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intel_conformance.distributions.densities import drawn, points_of
from intel_conformance.kinds import check
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.parts.candidates import Candidate, PosteriorCandidate, PriorCandidate
from intel_conformance.parts.modules import PosteriorModule, PriorModule
from intel_core.components.discovery import available
from intel_core.components.loading import load
from intel_core.errors import IntelError
from intel_core.model.divergence import weigh
from intel_core.model.posterior import DiagonalFamily
from intel_core.model.prior import ClosedForm, Prior, StandardNormal

_CLOSED = "capability: ClosedForm"
_BOUND = "Theorem: ELBO <= IWAE_K <= log p(x)"
_NOISE_STD = 0.8
_SIGMAS = 6.0
_LEAST_EFFECTIVE = 400


def _others(kind: str, candidate: Candidate) -> Iterator[tuple[str, Any]]:
    """The installed priors or posteriors of the same measure, built with their defaults in as many dimensions."""
    for component in available(kind):
        if not component.is_live:
            continue
        try:
            spec: Any = load(kind, component.qualified)()
            if spec.measure != candidate.measure:
                continue
            kind_of = PriorCandidate if kind == "priors" else PosteriorCandidate
            yield (
                component.name,
                kind_of(spec, y_dim=candidate.y_dim, seed=candidate.seed).module().requires_grad_(False),
            )
        except (IntelError, ValueError, ImportError):
            continue  # it needs settings, or other dimensions, or does not load: not the matter here


def _pairs(candidate: Candidate) -> Iterator[tuple[str, Prior, PosteriorModule]]:
    """The candidate with each partner, and the name of that."""
    module = candidate.module().requires_grad_(False)
    if isinstance(module, PriorModule):
        diagonal = PosteriorModule(DiagonalFamily(candidate.y_dim), candidate.y_dim)
        partners = [("gaussian", diagonal)] if candidate.measure == "lebesgue" else []
        partners += [(n, m) for n, m in _others("posteriors", candidate) if n != "gaussian"]
        for name, partner in partners:
            yield name, module.current(), partner
    else:
        assert isinstance(module, PosteriorModule)
        standard: list[tuple[str, Prior]] = []
        if candidate.measure == "lebesgue":
            standard = [("standard", StandardNormal(candidate.y_dim))]
        standard += [(n, m.current()) for n, m in _others("priors", candidate) if n != "standard"]
        for name, prior in standard:
            yield name, prior, module


@check("kl.closed_form", _CLOSED, kinds=("prior", "posterior"))
def closed_form(candidate: Candidate) -> None:
    """A KL divergence in closed form is that of Monte Carlo, one term for each dimension."""
    n = candidate.size(20_000, 40_000, 200_000)
    tried = 0
    for name, prior, family in _pairs(candidate):
        features = candidate.noise(f"features {name}", 3, family.features).to(candidate.device)
        q = family.posterior(features)
        if not isinstance(prior, ClosedForm):
            continue
        known: object = prior.knows(q)
        if not isinstance(known, bool):
            raise Broken(f"knows(posterior) gives a {type(known).__name__}, expected a bool")
        if not known:
            continue
        tried += 1
        terms = prior.kl(q)
        if tuple(terms.shape) != (3, candidate.y_dim):
            raise Broken(f"kl(q) has shape {tuple(terms.shape)}, expected (3, {candidate.y_dim}), with {name}")
        with torch.no_grad():
            y, log_q = q.draw(candidate.noise(f"noise {name}", n, 3, family.noise_dim))
            values = log_q - prior.log_prob(y)
        found, by_draws = terms.sum(-1), values.mean(0)
        allowed = _SIGMAS * values.std(0) / math.sqrt(n) + 1e-3
        off = (found - by_draws).abs() - allowed
        if not bool((off <= 0).all()):
            row = int(off.nan_to_num(torch.inf).argmax())
            raise Broken(
                f"KL(q ‖ p) with {name} is {float(found[row]):.4f} in closed form, {float(by_draws[row]):.4f} ± "
                f"{float(allowed[row]):.4f} by draws",
                likely="a factor 1/2, log σ for log σ², or a closed form of another prior",
                difference=float(found[row] - by_draws[row]),
            )
        if float(found.min()) < -1e-6:
            raise Broken(f"KL(q ‖ p) with {name} is {float(found.min()):.4g}, less than 0")
    if not tried:
        raise NotApplicable("no closed form is known of any pair that is installed")


class _Linear(NamedTuple):
    """x = W y + b + noise, and one x."""

    weight: Tensor
    x: Tensor

    def log_likelihood(self, y: Tensor) -> Tensor:
        off = (self.x - y @ self.weight.T) / _NOISE_STD
        return -0.5 * (off.square() + math.log(2 * math.pi * _NOISE_STD**2)).sum(-1)


def _model(candidate: Candidate) -> _Linear:
    d = candidate.y_dim
    generator = candidate.generator("linear model")
    weight = torch.randn(3, d, generator=generator, dtype=torch.float64) / math.sqrt(d)
    return _Linear(weight, torch.randn(3, generator=generator, dtype=torch.float64))


def _log_evidence(candidate: Candidate, model: _Linear, prior: Prior) -> tuple[float, float]:
    """The log evidence, and how far off it may be: closed for N(0, I), by quadrature, above two dimensions by draws.

    Raises:
        Skipped: if too few draws of the prior have a likelihood.
    """
    if isinstance(prior, StandardNormal):
        covariance = model.weight @ model.weight.T + _NOISE_STD**2 * torch.eye(3, dtype=torch.float64)
        found = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance)
        return float(found.log_prob(model.x)), 1e-9  # type: ignore[no-untyped-call]
    if candidate.y_dim <= 2:
        points = points_of(candidate)
        return float((points.mass * model.log_likelihood(points.y).exp()).sum().log()), 2e-3
    n = candidate.size(40_000, 80_000, 400_000)
    log_likelihood = model.log_likelihood(drawn(candidate, "evidence", n))
    shares = torch.softmax(log_likelihood, 0)
    effective = float(1 / shares.square().sum())
    if not effective >= _LEAST_EFFECTIVE:
        raise Skipped(f"of {n:,} draws of the prior, no more than {effective:.0f} count in the evidence of the model")
    return float(torch.logsumexp(log_likelihood, 0)) - math.log(n), _SIGMAS / math.sqrt(effective)


@check("bound.evidence", _BOUND, kinds=("prior", "posterior"))
def evidence(candidate: Candidate) -> None:
    """On a linear-Gaussian model the ELBO is at most IWAE_K, which is at most the exact log evidence."""
    model = _model(candidate)
    model = _Linear(*(part.to(candidate.device) for part in model))
    pairs = [(name, prior, family) for name, prior, family in _pairs(candidate) if _has_evidence(candidate, prior)]
    if not pairs:
        raise NotApplicable(f"nothing of the measure {candidate.measure} with a known evidence is installed beside it")
    for name, prior, family in pairs[:2]:
        exact, slack = _log_evidence(candidate, _Linear(*(part.cpu() for part in model)), prior)
        features = _fitted(candidate, model, prior, family)
        if features is None:
            continue
        n = candidate.size(20_000, 40_000, 200_000)
        with torch.no_grad():
            q = family.posterior(features)
            y, ratio = weigh(prior, q, candidate.noise(f"bound {name}", n, 1, family.noise_dim))
            weights = (ratio + model.log_likelihood(y))[:, 0]
        before, before_error = -math.inf, 0.0
        for k in (1, 10, 100):
            bound = torch.logsumexp(weights.reshape(-1, k), -1) - math.log(k)
            value, error = float(bound.mean()), float(bound.std()) / math.sqrt(len(bound))
            what = "the ELBO" if k == 1 else f"IWAE of {k} particles"
            if not math.isfinite(value):
                raise Broken(f"{what} with {name} is {value}", likely="a density that is 0 where q is not")
            if value > exact + slack + _SIGMAS * error + 1e-3:
                raise Broken(
                    f"{what} with {name} is {value:.4f} ± {error:.4f}, more than log p(x) = {exact:.4f}",
                    likely="a log density that is too large, or log q that is too small: a constant that is missing",
                    excess=value - exact,
                )
            if value < before - _SIGMAS * (error + before_error) - 1e-3:
                raise Broken(f"{what} with {name} is {value:.4f}, less than with fewer particles, {before:.4f}")
            before, before_error = value, error
        if candidate.kind == "prior":  # its posterior may have several modes, and q only one of them
            if candidate.y_dim <= 2:  # in more, the evidence is that of draws
                _by_draws(candidate, model, exact, slack)
            return
        # Here the posterior is a Gaussian, and with many particles the bound is tight.
        share = float(torch.softmax(weights, 0).square().sum() ** -1 / n)
        total = float(torch.logsumexp(weights, 0)) - math.log(n)
        error = math.sqrt(max(1 / share - 1, 0) / n)
        if share > 0.3 and abs(total - exact) > _SIGMAS * error + slack + 0.05:
            raise Broken(
                f"the mean weight of draws of q gives log p(x) = {total:.4f} with {name}, exactly it is {exact:.4f}",
                likely="a log density that is too small, or log q that is too large",
                difference=total - exact,
            )
        return
    raise Skipped("no posterior could be fitted to the model")


def _by_draws(candidate: Candidate, model: _Linear, exact: float, slack: float) -> None:
    """The mean likelihood over draws of the prior is the evidence as well."""
    n = candidate.size(20_000, 40_000, 200_000)
    with torch.no_grad():
        y = candidate.call(candidate.module(), "draw", candidate.rows("draw", "evidence", n))
        likelihood = (model.log_likelihood(y) - exact).exp()
    mean, error = float(likelihood.mean()), float(likelihood.std()) / math.sqrt(n)
    if (
        float(likelihood.sum() ** 2 / likelihood.square().sum()) > 200
        and abs(mean - 1) > _SIGMAS * error + slack + 2e-3
    ):
        raise Broken(
            f"draws of the prior give log p(x) = {exact + math.log(max(mean, 1e-300)):.4f}, its density {exact:.4f}",
            likely="another mean, deviation or share in draw than in log_prob",
        )


def _has_evidence(candidate: Candidate, prior: Prior) -> bool:
    """Whether `_log_evidence` knows it: N(0, I), or the candidate itself."""
    return candidate.kind == "prior" or isinstance(prior, StandardNormal)


def _fitted(candidate: Candidate, model: _Linear, prior: Prior, family: PosteriorModule) -> Tensor | None:
    """Features of a posterior near the best one; None if no gradient leads there."""
    features = (0.1 * candidate.noise("start", 1, family.features)).to(candidate.device).requires_grad_()
    optimiser = torch.optim.Adam([features], lr=0.05)
    generator = candidate.generator("fitting")
    for _ in range(120):
        noise = torch.randn(32, 1, family.noise_dim, generator=generator, dtype=torch.float64).to(candidate.device)
        y, ratio = weigh(prior, family.posterior(features), noise)
        loss = -(ratio + model.log_likelihood(y)).mean()
        if not bool(loss.isfinite()) or not loss.requires_grad:
            return None
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = features.detach()
    return found if bool(found.isfinite().all()) else None
