"""Is there one g for both paths, so that Theorem 1 holds? KL(q(z|x) ‖ p(z)) <= KL(q(y|x) ‖ N(0, I)).

The inequality holds for every fixed map. So what a test of it can find is that training and generation do not pass
through one and the same map: draws of q are taken through the trainer's own path, in training mode and in batches of
mixed examples, and draws of p through the generator's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_conformance.check import check
from intel_conformance.closeness import allowance, worst_difference
from intel_conformance.collisions import find_collision
from intel_conformance.jacobians import jacobian
from intel_conformance.kl_bounds import kl_lower_bound
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported
from intel_conformance.places import away_from
from intel_conformance.subject import Subject
from intel_core.model.objectives import ELBO, IWAE
from intel_core.model.vae import InteLVAE

_CLAUSE = "contract, clauses 2 and 3: one g on both paths (Miao et al., Theorem 1)"
_ALPHA = 1e-9
"""Probability of a false alarm, per posterior, of the test of the inequality."""
_POSTERIORS = ((0.0, 0.0), (0.1, -0.2), (0.8, -1.0217), (1.5, -1.0))
"""Mean and log-variance in every dimension: the prior itself, and three further and further from it."""
_ROWS = 10_000
"""In one batch."""


class _Recorder(nn.Module):
    """A decoder that keeps what it was given."""

    def forward(self, z: Tensor) -> Tensor:
        self.z = z.detach()
        return z


class _Silent:
    """A likelihood that says nothing, so that an objective runs without data of any kind."""

    params_per_value = 1

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return params.sum(-1) * 0

    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return params.sum() * 0


def _model(subject: Subject, dtype: torch.dtype) -> InteLVAE:
    """An InteL-VAE whose x holds the means and log-variances of its own posterior."""
    return InteLVAE(nn.Identity(), subject.mapping(dtype), _Recorder(), _Silent(), (2 * subject.y_dim,))  # type: ignore[arg-type]


def _trained_path(model: InteLVAE, mean: Tensor, log_variance: Tensor, noise: Tensor, particles: int = 1) -> Tensor:
    """Z as the decoder sees it in a step of training."""
    objective = ELBO() if particles == 1 else IWAE(particles)
    model.train()
    try:
        objective(model, torch.cat([mean, log_variance], -1), noise, {})
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:200]
        raise Broken(f"in a step of training it raised {type(error).__name__}: {said}") from error
    assert isinstance(model.decoder, _Recorder)
    return model.decoder.z


@check("thm1.same_map", _CLAUSE)
def same_map(subject: Subject) -> None:
    """What the decoder is given in training is g(y), the map that generation uses."""
    for dtype in subject.dtypes:
        model = _model(subject, dtype)
        n = 60
        mean, log_variance = 2 * subject.draw("mean", n).to(dtype), subject.draw("log-variance", n).to(dtype) - 1
        for particles in (1, 3):
            noise = subject.draw(f"noise {particles}", particles, n).to(dtype)
            y = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
            trained = _trained_path(model, mean, log_variance, noise, particles)
            model.eval()
            with torch.no_grad():
                generated = subject.call(model.mapping, y if particles > 1 else y[0])
            allowed = allowance(
                model.mapping, y.reshape(generated.shape[:-1] + y.shape[-1:]), generated, subject.generator("a")
            )
            trained = trained.reshape(generated.shape)
            if (worst := worst_difference(trained, generated, allowed)) is not None:
                raise Broken(
                    f"the decoder is given a z that is off by {worst[0]:.3g} from g(y) in a step of training "
                    f"({'ELBO' if particles == 1 else 'IWAE'})",
                    likely="map_with_regularisers computes another z, self.training is used, or g looks at more than y",
                    moved=worst[0],
                )


@check("thm1.inequality", _CLAUSE)
def inequality(subject: Subject) -> None:
    """A lower confidence bound of KL(q(z|x) ‖ p(z)) does not exceed KL(q(y|x) ‖ N(0, I)).

    Held-out Donsker-Varadhan bound, see `intel_conformance.kl_bounds.kl_lower_bound`: a correct mapping fails with a
    probability of at most 1e-9 per posterior.
    """
    # The critic's cost grows with the dimensions, and what it can see falls.
    n = max(20_000, subject.size(20_000, 100_000, 300_000) * 8 // max(8, subject.y_dim, subject.z_dim))
    posteriors = _POSTERIORS[:1] if subject.level == "quick" else _POSTERIORS
    dtype = subject.dtypes[-1]
    model = _model(subject, dtype)
    generator = subject.generator("prior")
    p = _generated(subject, model, n, generator)
    for number, (mean, log_variance) in enumerate(posteriors):
        q = _posterior_draws(subject, model, n, mean, log_variance)
        if not bool(torch.isfinite(q).all() & torch.isfinite(p).all()):
            raise Broken("z is not finite for draws of the prior or of a posterior near it")
        kl_y = subject.y_dim * 0.5 * (mean**2 + torch.expm1(torch.tensor(log_variance)).item() - log_variance)
        found = kl_lower_bound(q.double(), p.double(), alpha=_ALPHA, seed=subject.seed)
        if found.lower > kl_y + 1e-9:
            raise Broken(
                f"KL(q(z|x) ‖ p(z)) >= {found.lower:.4f} nats, with certainty 1 - {_ALPHA:g}, where KL(q(y|x) ‖ p(y))"
                f" is {kl_y:.4f} (posterior {number + 1} of {len(posteriors)}, {n} draws)",
                likely="training and generation pass through two maps: self.training, batch mates, x, random numbers",
                lower=found.lower,
                kl_y=kl_y,
            )


def _generated(subject: Subject, model: InteLVAE, n: int, generator: torch.Generator) -> Tensor:
    model.eval()
    with torch.no_grad():
        draws = torch.randn(n, subject.y_dim, generator=generator, dtype=torch.float64)
        draws = draws.to(subject.device, subject.dtypes[-1])
        return torch.cat([subject.call(model.mapping, rows) for rows in torch.split(draws, _ROWS)])


def _posterior_draws(subject: Subject, model: InteLVAE, n: int, mean: float, log_variance: float) -> Tensor:
    """Z of one x, in batches of which half are other examples with posteriors far away."""
    found: list[Tensor] = []
    generator = subject.generator(f"posterior {mean}")
    dtype = subject.dtypes[-1]
    rows = _ROWS
    with torch.no_grad():
        for _ in range(0, n, rows // 2):
            means = torch.full((rows, subject.y_dim), mean, dtype=torch.float64)
            spreads = torch.full_like(means, log_variance)
            means[1::2] = 5 + torch.randn(rows // 2, subject.y_dim, generator=generator, dtype=torch.float64)
            spreads[1::2] = 0.5
            noise = torch.randn(1, rows, subject.y_dim, generator=generator, dtype=torch.float64)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(len(found) + subject.seed % 2**31)
                means, spreads, noise = (part.to(subject.device, dtype) for part in (means, spreads, noise))
                z = _trained_path(model, means, spreads, noise)
            found.append(z[::2])
    return torch.cat(found)[:n]


@check("thm1.injective", "declared: injective, hence equality in Theorem 1")
def injective(subject: Subject) -> None:
    """What declares injectivity has it: no two draws that meet, and an orientation that does not change.

    Equality in Theorem 1 follows from injectivity and from nothing else that could be measured: the determinants in
    both densities cancel identically.
    """
    declared = subject.declared
    if not declared.injective:
        raise NotApplicable("injectivity is not declared")
    if declared.continuous and subject.z_dim < subject.y_dim:
        raise Broken(
            f"a continuous map from {subject.y_dim} to {subject.z_dim} dimensions cannot be injective",
            likely="a dimension is dropped; by invariance of domain there is no such map",
        )
    mapping = subject.mapping()
    squeezed = 0.0
    if declared.continuous and subject.z_dim == subject.y_dim:
        y = away_from(declared, subject.draw("orientation", subject.size(300, 1000, 5000)), 1e-3)
        matrix = jacobian(mapping, y)
        values = torch.linalg.svdvals(matrix)
        readable = values[:, -1] > 1e4 * torch.finfo(torch.float64).eps * values[:, 0]
        squeezed = 1 - float(readable.float().mean()) if len(y) else 1.0
        signs = torch.linalg.slogdet(matrix).sign[readable]
        if bool((signs > 0).any()) and bool((signs < 0).any()):
            few = min(int((signs > 0).sum()), int((signs < 0).sum()))
            if few >= 2:
                raise Broken(
                    f"g turns orientation round: det dg/dy has one sign at {few}, the other at {len(signs) - few} of "
                    f"{len(signs)} draws, so that it folds somewhere",
                    likely="abs, a square, a reflection, sin of more than a quarter turn",
                )
    pair = find_collision(mapping, subject.draw("collisions", subject.size(1000, 2000, 4000)))
    if pair is not None:
        shown = [", ".join(f"{v:.6g}" for v in point.tolist()[:4]) for point in pair[:2]]
        raise Broken(
            f"g({shown[0]}) = g({shown[1]}) to rounding (difference {pair[2]:.2g})",
            likely="a fold, a projection, a symmetry of g",
        )
    if squeezed == 1.0:
        raise Unsupported(
            "g squeezes some direction below rounding everywhere: injective on paper, but not in float64",
            likely="a very small eps; or a direction that g does not see",
        )
    if squeezed > 0.9:
        raise Skipped("g squeezes so much that its orientation can hardly be read")
