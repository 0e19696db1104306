"""How sparse are the representations of a run? Hoyer scores of samples and means, with reference values."""

from __future__ import annotations

import math

from torch import Tensor

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.hoyer import gaussian_floor, hoyer_of_rows, hoyer_score, varying

__all__ = ["measure"]


def measure(
    subject: Subject,
    *,
    limit: int,
    seed: int,
) -> Measurement:
    """Hoyer scores of z, for posterior samples and for means.

    The arguments are the fields of `intel_metrics.specs.latent.HoyerSpec`.
    """
    encoding = subject.encode(limit=limit, seed=seed)
    n, width = encoding.z.shape
    prior = subject.prior(n, seed=seed).z
    numbers, constant = {}, {}
    for name, z, about in (
        ("samples", encoding.z, "z of one sample of q(y|x) per example"),
        ("means", encoding.z_mean, "z of the means of q(y|x)"),
    ):
        varies = int(varying(z).sum())
        constant[name] = width - varies
        if varies >= 2:
            numbers[name] = _score(z, gaussian_floor(varies), prior, about)
    if not numbers:
        raise NotApplicableError(f"a Hoyer score needs 2 dimensions of z that vary over the data; here are {varies}")
    notes = [
        f"{count} of {width} dimensions of z do not vary over the {name}; they are left out and do not count."
        for name, count in constant.items()
        if count
    ]
    return Measurement(
        numbers=numbers,
        protocol={
            "examples": n,
            "part": "test",
            "scaling": "each dimension divided by its standard deviation over the examples, not centred",
            "errors": "standard error over examples",
            "seed": seed,
        },
        details={"dimensions": width, "dimensions that do not vary": constant},
        notes=tuple(notes),
    )


def _score(z: Tensor, floor: float, prior: Tensor, about: str) -> Number:
    scores = hoyer_of_rows(z)
    return Number(
        value=float(scores.mean()),
        error=float(scores.std()) / math.sqrt(len(scores)),
        better="higher",
        beside={"Gaussian floor": floor, "z of the prior": hoyer_score(prior)},
        about=f"mean Hoyer score, {about}",
    )
