"""Are densities normalised, and those of the draws? Masses, characteristic functions, distances and determinants."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_conformance.distributions.inside import Inside, gaussians_inside
from intel_conformance.distributions.points import Points, importance, quadrature
from intel_conformance.kinds import check
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.parts.calls import compare
from intel_conformance.parts.candidates import Candidate
from intel_conformance.parts.modules import PosteriorModule, PriorModule

__all__ = ["drawn", "points_of"]

_DENSITY = "contract: log_prob is the normalised log density of the draws, nats"
_LOG_Q = "contract: draw gives y and its log density, nats"
_MEASURES = ("lebesgue", "atom0")
_FREQUENCIES = 16
_SIGMAS = 6.0
_LEAST_SHARE = 0.05
"""Of the draws of importance sampling; with less, a sound density may seem to be none."""


def drawn(candidate: Candidate, name: str, n: int) -> Tensor:
    """Draws of a prior, float64, on the CPU."""
    with torch.no_grad():
        return candidate.call(candidate.module(), "draw", candidate.rows("draw", name, n)).cpu()


def points_of(candidate: Candidate) -> Points:
    """The density of a prior as points with masses, found once for all checks of a level.

    Raises:
        NotApplicable: for a measure that the kit does not know, or atoms in more than two dimensions.
        Skipped: if importance sampling finds too few of them.
    """
    if candidate.level not in candidate.kept:
        candidate.kept[candidate.level] = _points_of(candidate)
    found: Points = candidate.kept[candidate.level]
    return found


def _points_of(candidate: Candidate) -> Points:
    atoms = candidate.measure == "atom0"
    if candidate.measure not in _MEASURES:
        raise NotApplicable(f"densities of the measure {candidate.measure!r} cannot be integrated by the kit")

    def log_density(rows: Tensor) -> Tensor:
        return _log_density(candidate, rows)

    if candidate.y_dim <= 2:
        return quadrature(log_density, drawn(candidate, "where", 20_000), atoms=atoms)
    if atoms:
        raise NotApplicable(
            f"a density with atoms at 0 has many parts in {candidate.y_dim} dimensions; it is "
            "integrated in one or two (--latent 2)"
        )
    n = candidate.size(20_000, 40_000, 100_000)
    found = importance(log_density, drawn(candidate, "where", 4000), n, candidate.generator("importance"))
    if found.share < _LEAST_SHARE:
        raise Skipped(
            f"in {candidate.y_dim} dimensions no Gaussian inside the density holds enough draws, and importance "
            f"sampling sees {found.share:.2%} of them; fewer dimensions can be integrated (--latent 2)"
        )
    return found


def _log_density(candidate: Candidate, rows: Tensor) -> Tensor:
    module = candidate.module().eval().requires_grad_(False)
    parts = [
        candidate.call(module, "log_prob", part.to(candidate.device)).detach().cpu()
        for part in rows.split(20_000)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(parts)


def _inside(candidate: Candidate) -> list[Inside]:
    """Gaussians inside a density of more than two dimensions, found once for a level; there may be none."""
    if candidate.y_dim <= 2 or candidate.measure != "lebesgue":
        return []
    name = f"inside {candidate.level}"
    if name not in candidate.kept:
        y = drawn(candidate, "inside", candidate.size(40_000, 80_000, 400_000))
        candidate.kept[name] = gaussians_inside(y, _log_density(candidate, y), candidate.generator("inside"))
    found: list[Inside] = candidate.kept[name]
    return found


def _has_spikes(candidate: Candidate) -> bool:
    """Whether the density has atoms in more than two dimensions, and mass and characteristic values there are right."""
    if candidate.y_dim <= 2 or candidate.measure != "atom0":
        return False
    y = drawn(candidate, "spikes", candidate.size(40_000, 80_000, 400_000))
    return _spikes(candidate, y, _log_density(candidate, y), "p(y)")


def _require_total(found: Inside, what: str, likely: str) -> None:
    total, allowed = found.total()
    if not abs(total - 1) <= allowed:
        raise Broken(
            f"E[r(y)/{what}] over the draws is {total:.4f} for a Gaussian r among them, expected 1 ± {allowed:.2g}",
            likely=likely,
            mass=1 / total if total else math.inf,
        )


def _require_characteristic(found: Inside, candidate: Candidate, what: str) -> None:
    directions = 2 * _directions(candidate) / math.sqrt(candidate.y_dim)
    difference, allowed = found.characteristic(directions)
    if not difference <= allowed:
        raise Broken(
            f"the draws have another density than {what}: a characteristic value is off by {difference:.4f}, "
            f"allowed {allowed:.4f}",
            likely="a density of each dimension alone, or of other rows; other means or deviations in draw",
            difference=difference,
        )


def _directions(candidate: Candidate) -> Tensor:
    return torch.randn(_FREQUENCIES, candidate.y_dim, generator=candidate.generator("frequencies"), dtype=torch.float64)


@check("density.mass", _DENSITY, kinds=("prior",))
def mass(candidate: Candidate) -> None:
    """exp(log_prob) integrates to one: by quadrature in one or two dimensions, else by Gaussians inside it."""
    inside = _inside(candidate)
    for found in inside:
        _require_total(found, "p(y)", "a missing log 2π or log-determinant, weights that do not sum to one")
    if inside or _has_spikes(candidate):
        return
    points = points_of(candidate)
    total = float(points.mass.sum())
    allowed = 2e-3 + (_SIGMAS * points.error if candidate.y_dim > 2 else 0)
    if not abs(total - 1) <= allowed:
        raise Broken(
            f"the density integrates to {total:.4f}, expected 1 ± {allowed:.2g}",
            likely="a missing log 2π or log-determinant, weights that do not sum to one",
            mass=total,
        )


@check("density.characteristic", _DENSITY, kinds=("prior",))
def characteristic(candidate: Candidate) -> None:
    """Sixteen values of the characteristic function are the same for the density and for the draws."""
    inside = _inside(candidate)
    for found in inside:
        _require_characteristic(found, candidate, "log_prob")
    if inside:
        return
    points = points_of(candidate)
    n = candidate.size(40_000, 80_000, 400_000)
    y = drawn(candidate, "characteristic", n)
    scale = y.std(0).clamp_min(1e-12) * math.sqrt(candidate.y_dim)
    directions = _directions(candidate)
    sizes = torch.linspace(0.4, 4.0, _FREQUENCIES, dtype=torch.float64)[:, None]
    for t in directions * sizes / scale:
        phase, own = points.y @ t, y @ t
        for name, f in (("cos", torch.cos), ("sin", torch.sin)):
            by_density, values = float((points.mass * f(phase)).sum()), f(own)
            error = float(values.std()) / math.sqrt(n)
            error += points.error if candidate.y_dim > 2 else 0
            difference = abs(by_density - float(values.mean()))
            if difference > _SIGMAS * error + 3e-3:
                raise Broken(
                    f"E {name}(t·y) is {float(values.mean()):.4f} for the draws and {by_density:.4f} by the density",
                    likely="a log-sum-exp by dimension instead of by component; other means or deviations in draw",
                    difference=difference,
                )


@check("density.draws", _DENSITY, kinds=("prior",))
def draws(candidate: Candidate) -> None:
    """Draws agree with the density: Kolmogorov-Smirnov in one dimension, the energy distance in two, then slices."""
    inside = _inside(candidate)
    for within in inside:
        difference, allowed = within.share(_directions(candidate))
        if not difference <= allowed:
            raise Broken(
                f"a slice of a Gaussian among the draws has a share that is off by {difference:.4f} by the density, "
                f"allowed {allowed:.4f}",
                likely="another mean, deviation or share in draw than in log_prob",
                difference=difference,
            )
    if inside:
        return
    points = points_of(candidate)
    n = candidate.size(20_000, 40_000, 200_000)
    y = drawn(candidate, "agreement", n)
    if candidate.y_dim == 1:
        order = points.y[:, 0].argsort()
        places, heights = points.y[order, 0], points.mass[order].cumsum(0)
        edges = points.edges[points.edges != 0]
        cdf = torch.cat([heights.new_zeros(1), heights])[torch.searchsorted(places, edges)]
        own = torch.searchsorted(y[:, 0].sort().values, edges).double() / n
        found = float((cdf - own).abs().max())
        allowed = math.sqrt(math.log(2e9) / (2 * n)) + 2e-3
        if found > allowed:
            raise Broken(
                f"the distribution functions of draws and density differ by {found:.4f}, allowed {allowed:.4f}",
                likely="another mean, deviation or share in draw than in log_prob",
                distance=found,
            )
        return
    m = 1200
    if float(points.mass.clamp_min(0).sum()) <= 0 or not bool(points.mass.isfinite().all()):
        raise Broken("the density is 0 or not finite everywhere", likely="exp instead of log")
    chosen = torch.multinomial(_thinned(points), m, replacement=True, generator=candidate.generator("resampled"))
    both = torch.cat([y[:m], points.y[_kept(points)][chosen]])
    # In units of the spread, since atoms and narrow components count as much as wide ones.
    distances = torch.cdist(both, both)
    signs = torch.cat([torch.full((m,), 1.0), torch.full((m,), -1.0)]).double() / m
    permuted = torch.stack(
        [signs[torch.randperm(2 * m, generator=candidate.generator(f"permutation {i}"))] for i in range(100)], -1
    )
    found = float(-(signs @ distances @ signs))
    null = -(permuted * (distances @ permuted)).sum(0)
    allowed = float(null.mean() + 12 * null.std())
    if found > allowed:
        raise Broken(
            f"the energy distance of draws and density is {found:.4g}, at most {allowed:.4g} by chance",
            likely="another mean, deviation or share in draw than in log_prob",
            distance=found,
        )


def _kept(points: Points) -> Tensor:
    """The points with most mass, no more than torch.multinomial takes."""
    return points.mass.argsort(descending=True)[: 2**20]


def _thinned(points: Points) -> Tensor:
    return points.mass[_kept(points)].clamp_min(0)


@check("density.responsibilities", "capability: Mixture", kinds=("prior",))
def responsibilities(candidate: Candidate) -> None:
    """The responsibilities of a mixture's K components sum to one at each y."""
    module = candidate.module()
    assert isinstance(module, PriorModule)
    if not module.k:
        raise NotApplicable("the prior is no Mixture")
    found = candidate.call(module, "log_responsibilities", candidate.rows("log_responsibilities", "where", 50))
    sums = found.exp().sum(-1)
    if not bool(((sums - 1).abs() < 1e-6).all()):
        raise Broken(f"the responsibilities sum to {float(sums[0]):.4f}, expected 1", likely="log_softmax over dim=-1")


# --- posteriors ------------------------------------------------------------------------------------------------


def _posterior(candidate: Candidate) -> PosteriorModule:
    module = candidate.module()
    assert isinstance(module, PosteriorModule)
    return module


@check("density.rsample", _LOG_Q, kinds=("posterior",))
def rsample(candidate: Candidate) -> None:
    """The y of rsample is that of draw; of spikes, which rsample may relax in training, in evaluation mode only."""
    module = _posterior(candidate)
    for training in (True, False) if candidate.measure == "lebesgue" else (False,):
        q = module.train(training).posterior(candidate.noise("features", 9, module.features))
        noise = candidate.noise("noise", 5, 9, module.noise_dim)
        compare(q.rsample(noise), q.draw(noise)[0], "y of rsample against y of draw", "another formula in one of them")


@check("density.jacobian", _LOG_Q, kinds=("posterior",))
def jacobian(candidate: Candidate) -> None:
    """The log q of a draw is that of its noise minus the log-determinant of rsample by autograd."""
    module = _posterior(candidate)
    if module.noise_dim != candidate.y_dim:
        raise NotApplicable(f"a draw takes {module.noise_dim} numbers, y has {candidate.y_dim}; see density.mass")
    if candidate.measure != "lebesgue":
        raise NotApplicable(f"the density is against the measure {candidate.measure}, of which there is no determinant")
    features = candidate.noise("features", 16, module.features)
    noise = candidate.noise("noise", 16, module.noise_dim)
    q = module.posterior(features)
    found = q.draw(noise)[1].detach()

    def together(given: Tensor) -> Tensor:
        return q.rsample(given).sum(0)

    full = torch.autograd.functional.jacobian(together, noise).permute(1, 0, 2)  # type: ignore[no-untyped-call]
    log_det = torch.linalg.slogdet(full).logabsdet
    expected = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1) - log_det
    off = (found - expected).abs()
    if not float(off.max()) <= 1e-6 * (1 + float(expected.abs().max())):
        row = int(off.nan_to_num(torch.inf).argmax())
        raise Broken(
            f"log q is {float(found[row]):.6f}, by the determinant of rsample {float(expected[row]):.6f}",
            likely="a log-determinant of the wrong sign, of other rows, or left out; a missing log 2π",
            difference=float(off.max()),
        )


@check("density.mass", _LOG_Q, kinds=("posterior",))
def posterior_mass(candidate: Candidate) -> None:
    """E[r(y)/q(y|x)] = 1 and sixteen characteristic values are right for narrower densities r, whatever the noise."""
    if candidate.measure not in _MEASURES:
        raise NotApplicable(f"densities of the measure {candidate.measure!r} cannot be integrated by the kit")
    module = _posterior(candidate)
    n = candidate.size(20_000, 40_000, 200_000)
    tried = 0
    for example in range(4):
        with torch.no_grad():
            q = module.posterior(0.5 * candidate.noise(f"features {example}", 1, module.features))
            y, log_q = q.draw(candidate.noise(f"noise {example}", n, 1, module.noise_dim))
        y, log_q = y[:, 0].cpu(), log_q[:, 0].cpu()
        if candidate.measure == "atom0":
            tried += _spikes(candidate, y, log_q, "q(y|x)")
            continue
        inside = gaussians_inside(y, log_q, candidate.generator(f"inside {example}"))
        tried += len(inside)
        for found in inside:
            _require_total(found, "q(y|x)", "log q lacks a log-determinant, log 2π or a share")
            _require_characteristic(found, candidate, "log q")
    if not tried:
        raise Skipped("the draws are too uneven for an estimate")


def _spikes(candidate: Candidate, y: Tensor, log_p: Tensor, what: str) -> bool:
    """The same for a density with atoms at 0, with independent dimensions for r; False if the draws are too uneven."""
    n, d = y.shape
    active = y != 0
    share = active.double().mean(0)
    if bool((active.sum(0) < 20).any()):
        return False
    mean = (y * active).sum(0) / active.sum(0)
    var = 0.36 * ((y - mean).square() * active).sum(0) / active.sum(0)
    normal = -0.5 * ((y - mean).square() / var + var.log() + math.log(2 * math.pi))
    log_r = torch.where(active, share.log() + normal, torch.log1p(-share).expand_as(normal)).sum(-1)
    ratio = (log_r - log_p).exp()
    if float(ratio.sum() ** 2 / ratio.square().sum() / n) < 0.02:
        return False
    total, allowed = float(ratio.mean()), _SIGMAS * float(ratio.std()) / math.sqrt(n) + 5e-3
    if not abs(total - 1) <= allowed:
        raise Broken(
            f"E[r(y)/{what}] over the draws is {total:.4f}, expected 1 ± {allowed:.2g}",
            likely="the log density lacks a log 2π or a share",
            mass=total,
        )
    for t in _directions(candidate) * 2 / var.sqrt() / math.sqrt(d):
        damped = torch.exp(-0.5 * var * t.square())
        expected = torch.prod((1 - share) + share * damped * torch.exp(1j * t * mean))
        values = ratio * torch.exp(1j * (y @ t))
        allowed = _SIGMAS * float(values.abs().square().mean().sqrt()) / math.sqrt(n) + 5e-3
        off = float((values.mean() - expected).abs())
        if not off <= allowed:
            raise Broken(
                f"the draws have another density than {what}: a characteristic value is off by {off:.4f}, "
                f"allowed {allowed:.4f}",
                likely="a density of each dimension alone, or of other rows",
            )
    return True


@check("density.moments", "contract: mean and std describe the draws", kinds=("posterior",))
def moments(candidate: Candidate) -> None:
    """Mean and std are roughly those of the draws: within five deviations, and a factor of twenty."""
    module = _posterior(candidate)
    with torch.no_grad():
        q = module.posterior(candidate.noise("features", 6, module.features))
        y = q.rsample(candidate.noise("noise", 4000, 6, module.noise_dim))
    mean, std = y.mean(0), y.std(0)
    if bool(((q.mean - mean).abs() > 5 * std + 1e-3).any()):
        raise Broken("mean lies more than 5 deviations from the mean of the draws", likely="another of the features")
    ratio = (q.std / std.clamp_min(1e-12))[std > 1e-6]
    if ratio.numel() and (float(ratio.max()) > 20 or float(ratio.min()) < 1 / 20):
        raise Broken(
            f"std is {float(ratio.max()):.3g} to {float(ratio.min()):.3g} times that of the draws",
            likely="a variance or its logarithm in its place",
        )
