"""How good is a model on some data? The terms of the objective over a whole split, and how many units are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.model.divergence import knows
from intel_core.model.prior import ClosedForm
from intel_core.randomness import stream

if TYPE_CHECKING:
    from collections.abc import Mapping as Dictionary

    from intel_core.model.objectives import Objective
    from intel_core.model.vae import InteLVAE

__all__ = ["ACTIVE_VARIANCE", "evaluate"]

ACTIVE_VARIANCE = 0.01
"""A dimension of y is active if the variance of its posterior mean over the data exceeds this (Burda et al., 2016)."""

_ROWS = 500


@torch.no_grad()
def evaluate(
    model: InteLVAE,
    objective: Objective,
    split: Split,
    seed: int,
    weights: Dictionary[str, float] | None = None,
) -> dict[str, Any]:
    """Means over a split, in nats per example, with the mapping at its current strength.

    The noise depends on the seed alone, so two evaluations of a run differ only because the model does. The weights of
    all terms are 1, unless some are given.

    Returns:
        ``loss``, ``elbo``, ``log_likelihood``, ``kl``, the objective's other terms by name, ``active_units`` (how
        many dimensions have a posterior mean of variance above 0.01) and ``kl_per_dim``, which is
        empty where the prior knows no closed form.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    generator = torch.Generator(device).manual_seed(stream(seed, "evaluation"))
    totals: dict[str, float] = {}
    zeros = torch.zeros(model.y_dim, dtype=torch.float64, device=device)
    kl_per_dim, first, second = zeros.clone(), zeros.clone(), zeros.clone()
    for rows in torch.split(torch.arange(len(split)), max(1, _ROWS // objective.particles)):
        part = split.part(rows)
        x, given = to_float(part.x.to(device)), model.on(part.conditions)
        noise = torch.randn(objective.particles, len(rows), model.noise_dim, generator=generator, device=device)
        terms = objective(given, x, noise, weights or {})
        for name, value in terms.numbers().items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(rows)
        mean = terms.posterior.mean.double()
        if knows(model.prior, terms.posterior):
            kl_per_dim += cast(ClosedForm, model.prior).kl(terms.posterior).double().sum(0)
        else:
            kl_per_dim = kl_per_dim[:0]
        first += mean.sum(0)
        second += mean.square().sum(0)
    model.train(was_training)
    n = len(split)
    means = {name: total / n for name, total in totals.items()}
    variance = second / n - (first / n).square()
    return {
        "elbo": means["log_likelihood"] - means["kl"],
        **means,
        "active_units": int((variance > ACTIVE_VARIANCE).sum()),
        "kl_per_dim": (kl_per_dim / n).tolist(),
    }
