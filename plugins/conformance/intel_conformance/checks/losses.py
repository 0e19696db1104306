"""Are auxiliary losses those of a batch, of any size and shape? The check belongs to the group ``structure``."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported, first_line
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_ROWS = 40
_GROWS = {
    0.5: "falls with the batch",
    math.sqrt(2): "grows with the root of the batch",
    2.0: "grows with the batch",
    4.0: "grows with the square of the batch",
}
"""What a loss may be multiplied by in a batch in which each row is twice, and what it does then."""
_SEED = 1234


@check("structure.regularisers", "capability: Regularised")
def regularisers(candidate: Candidate) -> None:
    """Auxiliary losses are finite scalars for any batch that training makes, and z is that of a plain call."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Regularised) or not part.regularisers:
        raise NotApplicable("it has no auxiliary losses")
    weights = dict(part.regularisers)
    in_evaluation: Any = bare(candidate.mapping().eval())
    if dict(in_evaluation.regularisers) != weights:
        raise Broken(
            f"regularisers is {weights} in training mode, {dict(in_evaluation.regularisers)} in evaluation mode",
            likely="self.training",
        )
    bad = [name for name, weight in weights.items() if not 0 <= weight < math.inf]
    if bad:
        raise Broken(f"the weight of {bad[0]!r} is {weights[bad[0]]}, expected 0 or more")
    for n in (1, _ROWS):
        y = candidate.draw("losses", n)
        z, terms = part.map_with_regularisers(y)
        _one_mapping(z, candidate.call(mapping, y))
        if set(terms) != set(weights):
            raise Broken(f"map_with_regularisers gives {sorted(terms)}, but regularisers names {sorted(weights)}")
        _finite_scalars(terms, f"of {n} rows")
        again, other = part.map_with_regularisers(y)[1], in_evaluation.map_with_regularisers(y)[1]
        for name, term in terms.items():
            if torch.equal(again[name], term) and not torch.allclose(other[name], term, 1e-6, 1e-12):
                raise Broken(
                    f"the auxiliary loss {name!r} is {float(term):.6g} in training mode, {float(other[name]):.6g} in "
                    "evaluation mode",
                    likely="self.training: what a run reports of its held-out data is then another loss",
                )
    _equal_rows(candidate, part)
    _repeatable(candidate, part)
    _leading_shapes(candidate, part)
    if candidate.strength in (None, 1.0):  # with a weak bias there may be nothing to learn
        _gradients(candidate, mapping, part, weights)
    _batches(candidate, part)


def _one_mapping(found: Tensor, z: Tensor) -> None:
    if (worst := worst_difference(found, z, same_kernel(z))) is not None:
        raise Broken(
            f"map_with_regularisers gives a z that differs from that of a call by {worst[0]:.3g}: training and "
            "generation would use two mappings",
            likely="z is computed in two places, in different ways",
            moved=worst[0],
        )


def _finite_scalars(terms: dict[str, Tensor], about: str) -> None:
    for name, term in terms.items():
        if term.shape != () or not bool(torch.isfinite(term)):
            raise Broken(f"the auxiliary loss {name!r} {about} is {term!r:.80}, expected a finite scalar")


def _equal_rows(candidate: Candidate, part: Regularised) -> None:
    equal = candidate.draw("losses", 1).expand(_ROWS, -1).clone().requires_grad_()
    for name, term in part.map_with_regularisers(equal)[1].items():
        slopes = torch.autograd.grad(term, equal, retain_graph=True, allow_unused=True) if term.requires_grad else ()
        for what, value in zip(("", "gradient of the "), (term, *slopes), strict=False):
            if value is not None and not bool(torch.isfinite(value).all()):
                raise Broken(
                    f"the {what}auxiliary loss {name!r} of {_ROWS} equal rows is not finite",
                    likely="1 / distance, log(variance), or a norm of a difference that is 0",
                )


def _terms(part: Regularised, y: Tensor, seed: int = _SEED) -> dict[str, float]:
    """The losses after torch's generator was seeded, as a step of a run draws from it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return {name: float(term) for name, term in part.map_with_regularisers(y)[1].items()}


def _repeatable(candidate: Candidate, part: Regularised) -> None:
    """A loss may draw random numbers from torch's generator, which a checkpoint holds; from no other."""
    y = candidate.draw("losses", _ROWS)
    first, second = (_terms(part, y) for _ in range(2))
    for name, value in first.items():
        if not math.isclose(value, second[name], rel_tol=1e-9, abs_tol=1e-12):
            raise Broken(
                f"the auxiliary loss {name!r} of the same rows is {value:.6g}, in the next call {second[name]:.6g}, "
                "though torch's generator was in the same state",
                likely="numpy's or another generator, a counter, or a running average: a run that goes on from a "
                "checkpoint is then another run",
            )


def _leading_shapes(candidate: Candidate, part: Regularised) -> None:
    """With IWAE y has the shape (particles, n, y_dim)."""
    y = candidate.draw("losses", _ROWS)
    expected = _terms(part, y)
    random = {name for name, value in _terms(part, y, _SEED + 1).items() if value != expected[name]}
    for leading in ((1, _ROWS), (2, _ROWS // 2)):
        about = f"of y of shape ({leading[0]}, {leading[1]}, y_dim)"
        try:
            z, terms = part.map_with_regularisers(y.reshape(*leading, -1))
        except Exception as error:
            said = first_line(error, 160)
            raise Broken(
                f"map_with_regularisers {about} raised {type(error).__name__}: {said}",
                likely="rows are taken to be dimension 0; flatten the leading dimensions, y.flatten(0, -2)",
            ) from error
        if z.shape[:-1] != leading:
            raise Broken(f"map_with_regularisers {about} gives z of shape {tuple(z.shape)}")
        _finite_scalars(terms, about)
    for name, value in _terms(part, y[None]).items():
        if name not in random and not math.isclose(value, expected[name], rel_tol=1e-6, abs_tol=1e-9):
            raise Broken(
                f"the auxiliary loss {name!r} of {_ROWS} rows is {expected[name]:.6g}, and {value:.6g} if their shape "
                f"is (1, {_ROWS}, y_dim), as with one particle",
                likely="mean(0) or len(y) where all leading dimensions are meant; flatten them, y.flatten(0, -2)",
            )


def _gradients(candidate: Candidate, mapping: torch.nn.Module, part: Regularised, weights: dict[str, float]) -> None:
    plain = part.map_with_regularisers(candidate.draw("losses", _ROWS))[1]
    terms = part.map_with_regularisers(candidate.draw("losses", _ROWS).requires_grad_())[1]
    for name, term in terms.items():
        if weights[name] > 0 and not term.requires_grad:
            raise Broken(
                f"the auxiliary loss {name!r} has no gradient, neither with respect to y nor to a parameter: it "
                "teaches nothing",
                likely="detach(), or what has no derivative: argmax, a comparison, a count",
            )
        if weights[name] > 0 and not plain[name].requires_grad and any(p.requires_grad for p in mapping.parameters()):
            raise Unsupported(
                f"the auxiliary loss {name!r} has no gradient with respect to the parameters", likely="detach()"
            )


def _batches(candidate: Candidate, part: Regularised) -> None:
    """A loss is a mean over the batch, as the ELBO is."""
    y = candidate.draw("losses", 64)
    once, twice = (_terms(part, rows) for rows in (y, torch.cat([y, y])))
    for name, value in once.items():
        for factor, how in _GROWS.items():
            if abs(value) > 1e-9 and abs(twice[name] / value - factor) < 1e-6:
                raise Unsupported(
                    f"the auxiliary loss {name!r} is {factor:.3g} times as large for a batch in which each row is "
                    f"twice: it {how}, while the ELBO is a mean over the batch",
                    likely="sum() where mean() is meant, a norm of the batch, or a mean that is divided once more",
                )
