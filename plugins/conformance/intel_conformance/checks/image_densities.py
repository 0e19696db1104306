"""Are the densities of z = g(y) that a mapping knows those of its draws, normalised, and as Theorem 1 says?

The checks belong to the group ``image``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.images import (
    SHELL,
    PushedPart,
    far_posteriors,
    near_posteriors,
    noise,
    posteriors_at,
    pushed_parts,
)
from intel_conformance.outcomes import Broken, Skipped
from intel_core.model.posterior import DiagonalGaussian

_CLAUSE = "capability: Pushforward"
_SIGMAS = 6.0
_LEAST_EFFECTIVE = 400
_SLICES, _BINS = 8, 16
_ANGLES = 4096


@check("image.mass", _CLAUSE)
@torch.no_grad()
def mass(candidate: Candidate) -> None:
    """E_q[p(z)/q(z)] = 1 over draws of a posterior q, and E_q[r(z)/q(z)] = 1 for another r: one measure, mass 1."""
    n = candidate.size(10_000, 20_000, 100_000)
    tried = 0
    for one in pushed_parts(candidate):
        q = near_posteriors(candidate, one.m)
        k = len(q.mean)
        y = q.rsample(noise(candidate, "mass", n, k, one.m))
        for source in range(k):
            at = y[:, source].unsqueeze(1).expand(n, k, one.m)
            log_q = one.log_prob(at, q)
            # The last column is the prior by its own density, the first one the prior as a posterior.
            above = torch.cat([log_q, one.log_prior(at[:, :1])], dim=1)
            weights = torch.exp(above - log_q[:, source, None])
            effective = weights.sum(0).square() / weights.square().sum(0)
            means, allowed = weights.mean(0), _SIGMAS * weights.std(0) / math.sqrt(n) + 1e-6
            off = ((means - 1).abs() - allowed).nan_to_num(torch.inf)  # a ratio may overflow
            tried += int((effective >= _LEAST_EFFECTIVE).sum()) - 1
            off[effective < _LEAST_EFFECTIVE] = -1.0
            if float(off.max()) > 0:
                worst = int(off.argmax())
                other = "the prior" if worst in (0, k) else "another posterior"
                raise Broken(
                    f"{one.about}the mean ratio of the density of {other} to that of a posterior, over draws of the "
                    f"latter, is {float(means[worst]):.4f}, expected 1 ± {float(allowed[worst]):.4f}",
                    likely="a term or a factor is missing (log s, 2π, the area of a sphere), or two measures are mixed",
                    mean=float(means[worst]),
                )
        _check_circle(candidate, one)
    if not tried:
        raise Skipped("the ratios of densities vary too much for a mean")


def _check_circle(candidate: Candidate, one: PushedPart) -> None:
    """By quadrature for posteriors far from the prior, whose angle is uniform, if z depends on an angle alone."""
    if one.m != 2 or [len(block) for block in one.blocks] != [2]:
        return
    n = _ANGLES
    angle = torch.arange(n, dtype=torch.float64, device=candidate.device) * (2 * math.pi / n)
    y = torch.stack([angle.cos(), angle.sin()], -1)
    z = one.z(y)
    if not bool(((one.z(3 * y) - z).abs() <= SHELL * z.abs().amax()).all()):
        return  # image.scale_free reports it
    q = far_posteriors(candidate, 2)
    means = one.log_ratio(y.unsqueeze(1).expand(n, len(q.mean), 2), q).exp().mean(0)
    off = (means - 1).abs()
    if not bool((off <= SHELL).all()):
        row = int(off.nan_to_num(torch.inf).argmax())
        raise Broken(
            f"{one.about}the density of a posterior far from the prior integrates to {float(means[row]):.6f} along "
            f"the circle, expected 1",
            likely="a term is missing, or a formula for means many deviations away is wrong",
            mean=float(means[row]),
        )


@check("image.kl", _CLAUSE)
@torch.no_grad()
def kl(candidate: Candidate) -> None:
    """0 <= E_q[log q(z|x) - log p(z)] <= KL(q(y|x) ‖ p(y)), as Theorem 1 says; it is 0 where the posterior is p."""
    n = candidate.size(10_000, 20_000, 100_000)
    for one in pushed_parts(candidate):
        prior = DiagonalGaussian(*noise(candidate, "prior", 2, 1, one.m).mul(0))
        y = noise(candidate, "draws of the prior", n, 1, one.m)
        at_prior = one.log_ratio(y, prior)
        allowed = 1e-8 * (1 + one.log_prior(y).abs())
        if bool((at_prior.abs() > allowed).any()):
            raise Broken(
                f"{one.about}where the posterior is the prior, log q(z|x) - log p(z) is up to "
                f"{float(at_prior.abs().max()):.4g}, expected 0",
                likely="pushforward_log_prior has another measure, or is the density of another prior",
            )
        q = far_posteriors(candidate, one.m)
        ratios = one.log_ratio(q.rsample(noise(candidate, "kl", n, len(q.mean), one.m)), q)
        found, error = ratios.mean(0), _SIGMAS * ratios.std(0) / math.sqrt(n) + 1e-6
        most = q.kl().sum(-1)
        for row in range(len(found)):
            if not -error[row] <= found[row] <= most[row] + error[row]:
                bound = "less than 0" if found[row] < 0 else f"above KL(q(y|x) ‖ p(y)) = {float(most[row]):.4f}"
                raise Broken(
                    f"{one.about}KL(q(z|x) ‖ p(z)) is {float(found[row]):.4f} ± {float(error[row]):.4f} nats, {bound}",
                    likely="a density that is wrong for narrow posteriors, or dimensions that are counted twice",
                    kl_z=float(found[row]),
                    kl_y=float(most[row]),
                )


@check("image.histogram", _CLAUSE)
@torch.no_grad()
def histogram(candidate: Candidate) -> None:
    """The histogram of z under one posterior is that under another, weighted by the ratio of their densities."""
    n = candidate.size(10_000, 20_000, 100_000)
    tried = 0
    for one in pushed_parts(candidate):
        q = posteriors_at(candidate, "histograms", one.m, ((0.3, 0.3, 0.1), (2.0, -0.8, 0.6), (1.2, -0.4, 0.6)))
        y = q.rsample(noise(candidate, "histograms", n, 3, one.m))
        z = one.z(y)
        log_ratio = one.log_prob(y[:, :1].expand_as(y), q)
        log_ratio = log_ratio - log_ratio[:, :1]
        # At a posterior's own draws, where the largest ratios are that a few draws of the other one may miss.
        own = one.log_prob(y, q) - one.log_prob(y, DiagonalGaussian(*(value[:1].expand_as(value) for value in q)))
        ways = noise(candidate, "ways", z.shape[-1], _SLICES)
        slices = z @ (ways / torch.linalg.vector_norm(ways, dim=0))
        for target in (1, 2):
            weights = torch.softmax(log_ratio[:, target], 0)
            own_weights = own[:, target].sub(log_ratio[:, target].logsumexp(0)).exp()
            if max(float(weights.square().sum()), float(own_weights.mean())) > 1 / _LEAST_EFFECTIVE:
                continue
            tried += 1
            for index in range(_SLICES):
                by_ratio = _Draws(slices[:, 0, index].contiguous(), weights)
                _compare(one, by_ratio, _Draws(slices[:, target, index].contiguous(), own_weights))
    if not tried:
        raise Skipped("the ratios of densities vary too much for a histogram")


class _Draws(NamedTuple):
    """A coordinate of draws of z, and the ratios of the densities there; those of the first posterior sum to one."""

    values: Tensor
    weights: Tensor


def _compare(one: PushedPart, by_ratio: _Draws, direct: _Draws) -> None:
    """Whether the shares of bins are the same for weighted and for direct draws; whatever the sum of the weights."""
    n = len(direct.values)
    # Of values that many draws have in common the bins are empty.
    edges = torch.quantile(direct.values, torch.linspace(0, 1, _BINS + 1).to(direct.values)[1:-1])
    inside = [
        torch.nn.functional.one_hot(torch.bucketize(d.values, edges), _BINS).to(edges) for d in (by_ratio, direct)
    ]
    expected, share = by_ratio.weights @ inside[0], inside[1].mean(0)
    # The variance of the weighted share by the draws of either posterior.
    variance = torch.maximum(
        by_ratio.weights.square() @ (inside[0] - share).square(), direct.weights @ (inside[1] - share).square() / n
    )
    # Few draws in a bin are not normally distributed.
    allowed = _SIGMAS * (variance + share * (1 - share) / n).sqrt() + 20 / n
    off = (expected - share).abs() - allowed
    if float(off.max()) > 0:
        worst = int(off.argmax())
        raise Broken(
            f"{one.about}a part of the image has the share {float(share[worst]):.4f} of a posterior's draws, by the "
            f"densities {float(expected[worst]):.4f} ± {float(allowed[worst]):.4f}",
            likely="a density that is wrong far from the prior, for uneven variances, or in another direction than g",
            share=float(share[worst]),
            expected=float(expected[worst]),
        )
