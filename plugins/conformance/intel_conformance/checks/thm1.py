"""Do training and generation use one and the same g, as Theorem 1 needs? KL(q(z|x) ‖ p(z)) <= KL(q(y|x) ‖ N(0, I)).

The inequality holds for every fixed mapping, so a violation shows that training and generation use different mappings.
Draws of q therefore go through a step of training, in training mode and in batches of mixed examples; draws of p go
through the path of generation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding
from intel_conformance.collisions import find_collision
from intel_conformance.jacobians import jacobian
from intel_conformance.kl_bounds import kl_lower_bound
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported, first_line
from intel_conformance.places import usual_rows
from intel_conformance.stops import find_stop
from intel_core.compute.threads import on_threads
from intel_core.model.objectives import ELBO, IWAE
from intel_core.model.vae import InteLVAE

_CLAUSE = "contract, clauses 2 and 3: one g on both paths (Miao et al., Theorem 1)"
_ALPHA = 1e-9
"""Probability of a false alarm of the test of the inequality, for each posterior."""
_POSTERIORS = ((0.0, 0.0), (0.1, -0.2), (0.8, -1.0217), (1.5, -1.0))
"""Mean and log-variance in every dimension: the prior itself, and three posteriors further and further from it."""
_MOST_NATS = 4.0
"""Of KL(q(y|x) ‖ N(0, I)). No lower bound exceeds 8: above that, no violation would be seen."""
_SEEN = 32
"""With more than twice as many dimensions of z, the inequality looks at so many coordinates and directions."""
_AXES = 8
_FAR_OUT = (4.0, 5.0, 6.5, 8.0, 12.0, 30.0)
_DRAWS_WITH_LOSSES = 30_000
_ROWS = 10_000
"""Rows in one batch; a tenth in many dimensions, where large tensors cost more than their arithmetic."""


class _Recorder(nn.Module):
    """A decoder that keeps its input."""

    def forward(self, z: Tensor) -> Tensor:
        self.z = z.detach()
        return z


class _Silent:
    """A likelihood that is 0 everywhere, so that an objective runs without data."""

    params_per_value = 1

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return params.sum(-1) * 0

    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return params.sum() * 0


def _model(candidate: Candidate, dtype: torch.dtype) -> InteLVAE:
    """An InteL-VAE whose x holds the means and log-variances of its own posterior."""
    return InteLVAE(nn.Identity(), candidate.mapping(dtype), _Recorder(), _Silent(), (2 * candidate.y_dim,))  # type: ignore[arg-type]


def _trained_path(model: InteLVAE, mean: Tensor, log_variance: Tensor, noise: Tensor, particles: int = 1) -> Tensor:
    """Z as the decoder gets it in a step of training."""
    objective = ELBO() if particles == 1 else IWAE(particles)
    model.train()
    try:
        objective(model, torch.cat([mean, log_variance], -1), noise, {})
    except Exception as error:
        said = first_line(error)
        raise Broken(f"in a step of training it raised {type(error).__name__}: {said}") from error
    assert isinstance(model.decoder, _Recorder)
    return model.decoder.z


@check("thm1.same_map", _CLAUSE)
def same_map(candidate: Candidate) -> None:
    """In a step of training the decoder gets g(y), by the mapping that generation uses."""
    for dtype in candidate.dtypes:
        model = _model(candidate, dtype)
        n = 130
        mean, log_variance = 2 * candidate.draw("mean", n).to(dtype), candidate.draw("log-variance", n).to(dtype) - 1
        for particles in (1, 3):
            noise = candidate.draw(f"noise {particles}", particles, n).to(dtype)
            y = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
            trained = _trained_path(model, mean, log_variance, noise, particles)
            model.eval()
            with torch.no_grad():
                generated = candidate.call(model.mapping, y if particles > 1 else y[0])
            trained = trained.reshape(generated.shape)
            worst = beyond_rounding(trained, generated, model.mapping, y, candidate.generator("allowance"))
            if worst is not None:
                raise Broken(
                    f"in a step of training the decoder gets a z that is off by {worst[0]:.3g} from g(y) "
                    f"({'ELBO' if particles == 1 else 'IWAE'})",
                    likely="map_with_regularisers computes another z, self.training is used, g depends on more than y",
                    moved=worst[0],
                )


@check("thm1.inequality", _CLAUSE)
def inequality(candidate: Candidate) -> None:
    """A lower confidence bound of KL(q(z|x) ‖ p(z)) does not exceed KL(q(y|x) ‖ N(0, I)).

    Held-out Donsker-Varadhan bound, see `intel_conformance.kl_bounds.kl_lower_bound`: a correct mapping fails with a
    probability of at most 1e-9 per posterior.
    """
    # With more dimensions the critic costs more and sees less.
    n = max(20_000, candidate.size(20_000, 100_000, 300_000) * 8 // max(8, candidate.y_dim, candidate.z_dim))
    fit = candidate.size(10_000, 15_000, 50_000)
    many = max(candidate.y_dim, candidate.z_dim) > 2 * _SEEN
    posteriors = _POSTERIORS[:1] if candidate.level == "quick" else _POSTERIORS[:: 2 if many else 1]
    dtype = candidate.dtypes[-1]
    model = _model(candidate, dtype)
    if model.regularisers and candidate.level != "deep":
        n = min(n, _DRAWS_WITH_LOSSES)
    generator = candidate.generator("prior")
    p = _fewer(candidate, _generated(candidate, model, n, generator))
    for number, (mean, log_variance) in enumerate(posteriors):
        nats = 0.5 * (mean**2 + math.expm1(log_variance) - log_variance)  # in each dimension that is not the prior's
        dims = candidate.y_dim if nats == 0 else min(candidate.y_dim, max(1, int(_MOST_NATS / nats)))
        q = _posterior_draws(candidate, model, n, dims, mean, log_variance)
        if not bool(torch.isfinite(q).all() & torch.isfinite(p).all()):
            raise Broken("z is not finite for draws of the prior or of a posterior near it")
        q = _fewer(candidate, q)
        kl_y = dims * nats
        found = kl_lower_bound(q.double(), p.double(), alpha=_ALPHA, seed=candidate.seed, fit_rows=fit)
        if found.lower > kl_y + 1e-9:
            raise Broken(
                f"KL(q(z|x) ‖ p(z)) >= {found.lower:.4f} nats, with certainty 1 - {_ALPHA:g}, where KL(q(y|x) ‖ p(y))"
                f" is {kl_y:.4f} (posterior {number + 1} of {len(posteriors)}, {n} draws)",
                likely="training and generation differ: self.training, the rest of the batch, x, random numbers",
                lower=found.lower,
                kl_y=kl_y,
            )


def _fewer(candidate: Candidate, z: Tensor) -> Tensor:
    """In many dimensions, some coordinates and some random directions of z: their KL divergence is no larger."""
    if z.shape[-1] <= 2 * _SEEN:
        return z
    generator = candidate.generator("seen")
    ways = torch.randn(z.shape[-1], _SEEN, generator=generator, dtype=torch.float64) / z.shape[-1] ** 0.5
    some = torch.randperm(z.shape[-1], generator=generator)[:_SEEN]
    return torch.cat([z[:, some.to(z.device)], z @ ways.to(z)], -1)


def _rows(candidate: Candidate, model: InteLVAE) -> int:
    # An auxiliary loss may look at all pairs of the rows of a batch.
    few = max(candidate.y_dim, candidate.z_dim) > 2 * _SEEN or model.regularisers
    return _ROWS // 10 if few else _ROWS


def _generated(candidate: Candidate, model: InteLVAE, n: int, generator: torch.Generator) -> Tensor:
    model.eval()
    with torch.no_grad():
        draws = torch.randn(n, candidate.y_dim, generator=generator, dtype=torch.float64)
        draws = draws.to(candidate.device, candidate.dtypes[-1])
        return torch.cat([candidate.call(model.mapping, rows) for rows in torch.split(draws, _rows(candidate, model))])


def _posterior_draws(
    candidate: Candidate, model: InteLVAE, n: int, dims: int, mean: float, log_variance: float
) -> Tensor:
    """Z for one x, in batches half of which are other examples whose posteriors lie far away.

    In the first dimensions its posterior has the mean and log-variance, in the others it is the prior.
    """
    found: list[Tensor] = []
    generator = candidate.generator(f"posterior {mean}")
    dtype = candidate.dtypes[-1]
    rows = _rows(candidate, model)
    with torch.no_grad():
        for _ in range(0, n, rows // 2):
            means = torch.zeros(rows, candidate.y_dim, dtype=torch.float64)
            spreads = torch.zeros_like(means)
            means[:, :dims], spreads[:, :dims] = mean, log_variance
            means[1::2] = 5 + torch.randn(rows // 2, candidate.y_dim, generator=generator, dtype=torch.float64)
            spreads[1::2] = 0.5
            noise = torch.randn(1, rows, candidate.y_dim, generator=generator, dtype=torch.float64)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(len(found) + candidate.seed % 2**31)
                means, spreads, noise = (part.to(candidate.device, dtype) for part in (means, spreads, noise))
                z = _trained_path(model, means, spreads, noise)
            found.append(z[::2])
    return torch.cat(found)[:n]


@check("thm1.injective", "declared: injective, hence equality in Theorem 1")
def injective(candidate: Candidate) -> None:
    """A mapping that is declared injective has one orientation, stops on no ray, and no two points have the same z.

    This is all there is to test of equality in Theorem 1: given injectivity it holds identically, because the
    determinants in both densities cancel.
    """
    declared = candidate.declared
    if not declared.injective:
        raise NotApplicable("injectivity is not declared")
    if declared.continuous and candidate.z_dim < candidate.y_dim:
        raise Broken(
            f"a continuous map from {candidate.y_dim} to {candidate.z_dim} dimensions cannot be injective",
            likely="a dimension is dropped; by invariance of domain no such mapping exists",
        )
    mapping = candidate.mapping()
    squeezed = 0.0
    if declared.continuous and candidate.z_dim == candidate.y_dim:
        few = 1 if candidate.y_dim <= 2 * _SEEN else 4  # a determinant of many dimensions takes long
        y = candidate.draw("orientation", candidate.size(300, 1000, 5000) // few)
        # A posterior can be anywhere in training: a third of the rows lies on spheres up to 30 deviations out.
        sizes = torch.tensor(_FAR_OUT, dtype=y.dtype, device=y.device).repeat(len(y) // 3 // len(_FAR_OUT))[:, None]
        y[: len(sizes)] *= sizes / torch.linalg.vector_norm(y[: len(sizes)], dim=-1, keepdim=True)
        y = usual_rows(declared, y, 1e-3)
        matrix = jacobian(mapping, y)
        readable = _conditioning(matrix) > 1e4 * torch.finfo(torch.float64).eps
        squeezed = 1 - float(readable.float().mean()) if len(y) else 1.0
        signs = torch.linalg.slogdet(matrix).sign[readable]
        if bool((signs > 0).any()) and bool((signs < 0).any()):
            few = min(int((signs > 0).sum()), int((signs < 0).sum()))
            if few >= 2:
                raise Broken(
                    f"g changes its orientation, so it folds somewhere: det dg/dy has one sign at {few}, the other at "
                    f"{len(signs) - few} of {len(signs)} draws",
                    likely="abs, a square, a reflection of a part, or sin beyond a quarter turn",
                )
    pair = find_collision(mapping, candidate.draw("collisions", candidate.size(1000, 2000, 4000)))
    if pair is not None:
        shown = [", ".join(f"{v:.6g}" for v in point.tolist()[:4]) for point in pair[:2]]
        raise Broken(
            f"g({shown[0]}) = g({shown[1]}) up to rounding (difference {pair[2]:.2g})",
            likely="a fold, a projection, or a symmetry of g",
        )
    if declared.continuous and (stop := find_stop(mapping, _rays(candidate))) is not None:
        where = ", ".join(f"{v:.6g}" for v in stop[0].tolist()[:4])
        raise Broken(
            f"from ({where}) on, g is constant along the ray from 0, where it moved by {stop[1]:.3g} per unit before",
            likely="clamp(), relu() or another function with a flat part",
            speed=stop[1],
        )
    if squeezed == 1.0:
        raise Unsupported(
            "g contracts some direction to below rounding everywhere: injective in theory, but not in float64",
            likely="a very small eps, or a direction on which g does not depend",
        )
    if squeezed > 0.9:
        raise Skipped("g contracts so much that its orientation is lost in rounding at most draws")


def _rays(candidate: Candidate) -> Tensor:
    """Random directions, and both ways along the first axes."""
    axes = torch.eye(candidate.y_dim, dtype=torch.float64, device=candidate.device)[:_AXES]
    drawn = candidate.draw("rays", _AXES)
    return torch.nn.functional.normalize(torch.cat([axes, -axes, drawn]), dim=-1)


def _conditioning(matrix: Tensor) -> Tensor:
    """The ratio of the smallest and the largest singular value of each matrix; of large ones a bound from below."""
    if matrix.shape[-1] <= _SEEN:
        values: Tensor = torch.linalg.svdvals(matrix)
        return (values[:, -1] / values[:, 0]).nan_to_num(0, 0, 0)
    with on_threads(1):  # on two, MKL may refuse its own pivots of many matrices that are nearly singular
        inverse, _ = torch.linalg.inv_ex(matrix)  # half the time
    norms: Tensor = torch.linalg.matrix_norm(matrix) * torch.linalg.matrix_norm(inverse)
    return (1 / norms).nan_to_num(0, 0, 0)
