"""Does the mapping keep what it declares, and are its capabilities what they say? Only what is declared is checked."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

from intel_conformance.check import check
from intel_conformance.closeness import allowance, same_kernel, worst_difference
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported
from intel_conformance.places import away_from, is_pair, onto, problem_of
from intel_conformance.subject import Subject
from intel_conformance.topology import clear_betti, clear_components, components_at
from intel_core.mappings.compose import as_module, bare, clustering_of
from intel_core.mappings.contract import Annealed, Clustering, Declared, Diagnosable, Invertible, Levelled, Regularised

_EPS = torch.finfo(torch.float64).eps
_DRAWS_OF_EACH = 300
"""Of each cluster: with 100, single linkage breaks or joins some of 15 in 1 of 25 tries, with 300 in 0 of 400."""
_MOST_DRAWS = 6000
"""All pairs of them take 0.3 GB and a second or two."""


@check("structure.protocols", "declared: whatever the mapping offers beyond a call")
def protocols(subject: Subject) -> None:
    """What the mapping offers beyond a call can be had: a property that raises would count as not there at all."""
    part: Any = bare(subject.mapping())
    for protocol in (Declared, Clustering, Invertible, Levelled, Annealed, Regularised, Diagnosable):
        members = [name for name in vars(protocol) if not name.startswith("_")]
        offered = [name for name in members if hasattr(type(part), name) or name in vars(part)]
        for name in offered:
            try:
                getattr(part, name)
            except Exception as error:
                raise Broken(
                    f"{name} raised {type(error).__name__}: {str(error)[:160]}; to isinstance it is then no "
                    f"{protocol.__name__}, and nothing that it promises is heard",
                    likely="an attribute that is spelled otherwise, or set after it is used",
                ) from error
        if 0 < len(offered) < len(members):
            missing = sorted(set(members) - set(offered))
            raise Unsupported(
                f"it has {' and '.join(sorted(offered))}, but not {' and '.join(missing)}: no {protocol.__name__}",
                likely="a name that is spelled otherwise",
            )


@check("structure.places", "declared: planes, centres, seams, steepness")
def places(subject: Subject) -> None:
    """Planes, centres and seams lie in the space of y; bounds are numbers that can be."""
    declared = subject.promised
    wrong = [
        f"plane {plane} is no pair of dimensions of y" for plane in declared.planes if not is_pair(plane, subject.y_dim)
    ]
    for name, found, codimension in (("seam", declared.seams, "1"), ("centre", declared.centres, "more than 1")):
        for place in found:
            problem = problem_of(place, subject.y_dim)
            if not problem and (place.codimension == 1) != (name == "seam"):
                problem = f"has codimension {place.codimension}, expected {codimension}"
            if problem:
                wrong.append(f"{name} {place}: {problem}")
    steep = declared.hoelder
    if steep is not None and not (0 < steep.exponent <= 1 and 0 < steep.constant < math.inf):
        wrong.append(f"{steep}: expected an exponent in (0, 1] and a positive constant")
    if declared.norm_bound is not None and not 0 < declared.norm_bound < math.inf:
        wrong.append(f"norm_bound={declared.norm_bound}: expected a positive number")
    if declared.clusters is not None and declared.clusters < 1:
        wrong.append(f"clusters={declared.clusters}: expected 1 or more")
    if declared.betti is not None and (not declared.betti or min(declared.betti) < 0 or declared.betti[0] < 1):
        wrong.append(f"betti={declared.betti}: expected counts, at least one piece")
    if declared.sparsity is not None and not 0 <= declared.sparsity[0] <= declared.sparsity[1] <= 1:
        wrong.append(f"sparsity={declared.sparsity}: expected 0 <= low <= high <= 1")
    if wrong:
        raise Broken(wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))


@check("structure.norm_bound", "declared: norm_bound")
def norm_bound(subject: Subject) -> None:
    """No ‖z‖ exceeds the declared bound, from 1e-6 to 1e6 and after climbing from the largest found."""
    bound = subject.declared.norm_bound
    if bound is None:
        raise NotApplicable("no norm bound is declared")
    mapping = subject.mapping()
    base = subject.draw("norms", subject.size(500, 2000, 10_000))
    points = [base * size for size in (1e-6, 1e-2, 0.3, 1.0, 3.0, 10.0, 1e2, 1e6)]
    points += [onto(place, base[:100]) for place in (*subject.declared.seams, *subject.declared.centres)]
    y = torch.cat(points)
    best = _norm(subject, mapping, y)
    top = best.topk(min(64, len(y)))
    y, best = y[top.indices], top.values
    generator = subject.generator("climb")
    for round_ in range(60):
        scale = 0.5 ** (round_ / 4) * y.abs().amax(-1, keepdim=True).clamp(min=1e-3)
        tried = y + scale * torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y)
        tried = tried.clamp(-1e6, 1e6)
        norms = _norm(subject, mapping, tried)
        better = norms > best
        y, best = torch.where(better[:, None], tried, y), torch.maximum(norms, best)
    worst = int(best.argmax())
    if float(best[worst]) > bound * (1 + 1e-5):
        point = ", ".join(f"{v:.4g}" for v in y[worst].tolist()[:6])
        raise Broken(
            f"‖z‖ = {float(best[worst]):.8g} at y = ({point}), declared norm_bound={bound:.6g}",
            likely="a bound for other settings, or for part of the dimensions",
            norm=float(best[worst]),
            bound=bound,
        )


def _norm(subject: Subject, mapping: torch.nn.Module, y: Tensor) -> Tensor:
    with torch.no_grad():
        norms: Tensor = torch.linalg.vector_norm(subject.call(mapping, y), dim=-1)
        return norms


@check("structure.clusters", "declared: clusters")
def clusters(subject: Subject) -> None:
    """The prior's image falls into the declared number of clusters, as a dendrogram of draws shows them."""
    declared = subject.declared.clusters
    if declared is None:
        raise NotApplicable("no number of clusters is declared")
    enough = _DRAWS_OF_EACH * declared
    if enough > _MOST_DRAWS:
        raise Skipped(f"{declared} clusters are too many to be counted in {_MOST_DRAWS} draws of the prior")
    n = max(enough, subject.size(1500, 2500, 4000))
    z = _image(subject, n, acting=True)
    part = clustering_of(subject.mapping())
    if part is not None and float(part[0].proportions().min()) < 0.5 / declared:
        raise Skipped("some cluster has so small a share that draws of the prior do not show it clearly")
    found, gap, distance = clear_components(z, 0.2 / declared, declared)
    if found == declared:
        return
    # A weak displacement separates in the limit only; that the shares are right, structure.proportions asks.
    if gap < 1.5 or (found == 1 and part is not None):
        raise Skipped(f"draws of the prior show no clear number of clusters in z (gap {gap:.2f})")
    # Along a thin curve points lie unevenly by chance, and some gap is always the widest: does it stay empty?
    if found > declared:
        joined = components_at(_image(subject, 4 * n, acting=True, name="more"), 0.2 / declared, distance)
        if joined == declared:
            return
        if joined < found:
            raise Skipped(f"{n} draws of the prior fall into {found} clusters in z, {4 * n} into {joined}")
    raise Broken(
        f"{len(z)} draws fall into {found} cluster{'' if found == 1 else 's'} (gap {gap:.2f}), declared {declared}",
        likely="a cut that reaches one plane only, a wrong number of sectors, a displacement that is too small",
        found=found,
        declared=declared,
    )


@check("structure.proportions", "capability: Clustering")
def proportions(subject: Subject) -> None:
    """Every draw is assigned to one of K clusters, each as often as the proportions say."""
    mapping = subject.mapping()
    found = clustering_of(mapping)
    if found is None:
        raise NotApplicable("it is no Clustering")
    part, dims = found
    k = part.n_clusters
    shares = part.proportions().detach().double()
    if tuple(shares.shape) != (k,) or float(shares.min()) < 0 or abs(float(shares.sum()) - 1) > 1e-6:
        raise Broken(f"proportions() is {shares.tolist()}, expected {k} shares that sum to 1")
    if subject.declared.clusters not in (None, k):
        raise Broken(f"n_clusters is {k}, but {subject.declared.clusters} clusters are declared")
    n = subject.size(5000, 20_000, 100_000)
    index = part.assign(subject.draw("assigned", n)[:, list(dims)])
    if tuple(index.shape) != (n,) or index.is_floating_point():
        raise Broken(f"assign() gives {index.dtype} of shape {tuple(index.shape)}, expected integers of shape ({n},)")
    if int(index.min()) < 0 or int(index.max()) >= k:
        raise Broken(f"assign() gives {int(index.min())} to {int(index.max())}, expected 0 to {k - 1}")
    counted = torch.bincount(index, minlength=k).double() / n
    allowed = 6 * (shares * (1 - shares) / n).sqrt() + 6 / n
    worst = int(((counted - shares).abs() - allowed).argmax())
    if float((counted - shares).abs()[worst]) > float(allowed[worst]):
        raise Broken(
            f"cluster {worst} has {float(counted[worst]):.4f} of {n} draws of the prior, proportions() says "
            f"{float(shares[worst]):.4f}",
            likely="a border in another place than the mapping's, or shares of something else than N(0, I)",
        )


@check("structure.betti", "declared: betti", level="deep")
def betti(subject: Subject) -> None:
    """The prior's image has the declared numbers of pieces and loops, by persistent homology of landmarks."""
    declared = subject.declared.betti
    if declared is None:
        raise NotApplicable("no Betti numbers are declared")
    if any(isinstance(stage, Clustering) for stage in as_module(subject.mapping()).modules()):
        raise NotApplicable("clusters are pulled apart: draws show pieces of the mass, between which hardly any falls")
    z = _image(subject, 6000, acting=True)
    for dim, expected in enumerate(declared[:2]):
        found, gap = clear_betti(z, dim)
        if found != expected and gap >= 3:
            name = ("pieces", "loops")[dim]
            raise Broken(
                f"b{dim} of the prior's image is {found} (gap {gap:.1f} in persistence), declared {expected} {name}",
                likely="Betti numbers of another set, or of other settings",
                dimension=dim,
                found=found,
                declared=expected,
            )
        if found != expected:
            raise Skipped(f"{len(z)} draws show no clear b{dim} (gap {gap:.1f} in persistence)")


@check("structure.sparsity", "declared: sparsity")
def sparsity(subject: Subject) -> None:
    """The mean Hoyer score of z under the prior lies between the declared values."""
    declared = subject.declared.sparsity
    if declared is None:
        raise NotApplicable("no sparsity is declared")
    if subject.z_dim < 2:
        raise NotApplicable("a Hoyer score needs two dimensions of z")
    z = _image(subject, subject.size(2000, 20_000, 100_000))
    root = math.sqrt(subject.z_dim)
    scores = (root - z.abs().sum(-1) / torch.linalg.vector_norm(z, dim=-1).clamp(min=1e-300)) / (root - 1)
    mean, error = float(scores.mean()), float(scores.std()) / math.sqrt(len(z))
    if not declared[0] - 5 * error <= mean <= declared[1] + 5 * error:
        raise Broken(
            f"the mean Hoyer score is {mean:.4f} ± {error:.4f}, declared from {declared[0]:.4g} to {declared[1]:.4g}",
            likely="a bound for another number of dimensions, or before training",
            score=mean,
        )


@check("structure.inverse", "capability: Invertible")
def inverse(subject: Subject) -> None:
    """The inverse of g(y) is y as far as rounding lets it be, and g of it is g(y)."""
    mapping = subject.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if not subject.declared.injective:
        raise Broken("it has an inverse, but declares injective=False", likely="Properties(injective=True) is missing")
    y = away_from(subject.declared, subject.draw_wide("inverse", 400), 0.02)[:100]
    if not len(y):
        raise Skipped("no draw is away from the declared seams and centres")
    z = subject.call(mapping, y)
    back = part.inverse(z.detach())
    if tuple(back.shape) != tuple(y.shape):
        raise Broken(
            f"inverse(z) has shape {tuple(back.shape)} for z of shape {tuple(z.shape)}, expected {tuple(y.shape)}"
        )
    if not bool(torch.isfinite(back).all()):
        raise Broken("inverse(g(y)) is not finite", likely="a division by what is 0 on the image's border")
    again = subject.call(mapping, back)
    smallest = torch.linalg.svdvals(jacobian(mapping, y))[:, -1]
    # What rounding of z does to y, where g squeezes; and the 1e-7 by which constants made in float32 are off.
    allowed = 1e-5 * (1 + y.abs().amax(-1)) + 1e5 * _EPS * z.abs().amax(-1) / smallest.clamp(min=1e-300)
    off = (back - y).abs().amax(-1)
    returned = (again - z).abs().amax(-1) > 1e-6 * z.abs().amax()
    wrong = (off > allowed) | returned.detach()
    if int(wrong.sum()) >= 2:
        row = int((off - allowed).argmax())
        raise Broken(
            f"inverse(g(y)) is off by {float(off[row]):.3g} at y = {[round(v, 4) for v in y[row].tolist()[:6]]} "
            f"({int(wrong.sum())} of {len(y)} rows)",
            likely="an inverse of other settings, of another branch, or iterated too little",
            off=float(off[row]),
        )


@check("structure.volume", "capability: Invertible")
def volume(subject: Subject) -> None:
    """log_abs_det_jacobian(y) is the logarithm of autograd's determinant."""
    mapping = subject.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if subject.z_dim != subject.y_dim:
        raise NotApplicable("z has another number of dimensions than y")
    y = away_from(subject.declared, subject.draw_wide("volume", 400), 0.02)[:60]
    if not len(y):
        raise Skipped("no draw is away from the declared seams and centres")
    claimed = part.log_abs_det_jacobian(y)
    if tuple(claimed.shape) != (len(y),):
        raise Broken(f"log_abs_det_jacobian(y) has shape {tuple(claimed.shape)}, expected {(len(y),)}")
    matrix = jacobian(mapping, y)
    values = torch.linalg.svdvals(matrix)
    expected = values.log().sum(-1)
    # A determinant of nearly parallel columns is rounding itself.
    readable = values[:, -1] > 1e5 * _EPS * values[:, 0]
    if not bool(readable.any()):
        raise Skipped("g squeezes so much that its determinant is lost in rounding")
    error = 1e-6 * (1 + expected.abs()) + 10 * _EPS * values[:, 0] / values[:, -1].clamp(min=1e-300)
    wrong = readable & ~((claimed - expected).abs() <= error)
    if int(wrong.sum()) >= 2:
        row = int(wrong.int().argmax())
        raise Broken(
            f"log_abs_det_jacobian is {float(claimed[row]):.6g}, autograd's determinant says "
            f"{float(expected[row]):.6g} ({int(wrong.sum())} of {len(y)} rows)",
            likely="a term of the sum is missing, a sign, or log where log|.| is meant",
        )


@check("structure.levels", "capability: Levelled")
def levels(subject: Subject) -> None:
    """The levels share out the dimensions, and none depends on one below it."""
    mapping = subject.mapping()
    part = bare(mapping)
    if not isinstance(part, Levelled):
        raise NotApplicable("it is not Levelled")
    found = sorted(d for level in part.levels for d in level)
    if found != list(range(subject.y_dim)) or not all(part.levels):
        raise Broken(f"levels are {part.levels}, expected each of {subject.y_dim} dimensions in one of them")
    if subject.z_dim != subject.y_dim:
        raise Broken(
            f"levels share out the dimensions of y and of z, but there are {subject.y_dim} and {subject.z_dim}"
        )
    slopes = jacobian(mapping, subject.draw_wide("levels", 2000)).abs().amax(0)
    for i, upper in enumerate(part.levels):
        for j, lower in enumerate(part.levels[i + 1 :], i + 1):
            if bool(slopes[list(upper)][:, list(lower)].any()):
                raise Broken(f"level {i} of z depends on level {j} of y, which is below it", likely="levels in reverse")


@check("structure.regularisers", "capability: Regularised")
def regularisers(subject: Subject) -> None:
    """Auxiliary losses come with the z that a plain call gives; finite scalars with weights of 0 or more."""
    mapping = subject.mapping()
    part = bare(mapping)
    if not isinstance(part, Regularised) or not part.regularisers:
        raise NotApplicable("it has no auxiliary losses")
    weights = dict(part.regularisers)
    bad = [name for name, weight in weights.items() if not 0 <= weight < math.inf]
    if bad:
        raise Broken(f"the weight of {bad[0]!r} is {weights[bad[0]]}, expected 0 or more")
    for n in (1, 40):
        y = subject.draw("losses", n)
        z = subject.call(mapping, y)
        given, terms = part.map_with_regularisers(y)
        if (worst := worst_difference(given, z, same_kernel(z))) is not None:
            raise Broken(
                f"map_with_regularisers gives another z than the call, by {worst[0]:.3g}: training and generation "
                "would have two mappings",
                likely="something is computed twice and differently",
                moved=worst[0],
            )
        if set(terms) != set(weights):
            raise Broken(f"map_with_regularisers gives {sorted(terms)}, regularisers names {sorted(weights)}")
        for name, term in terms.items():
            if weights[name] > 0 and not term.requires_grad and any(p.requires_grad for p in mapping.parameters()):
                raise Unsupported(
                    f"the auxiliary loss {name!r} has no gradient with respect to the parameters", likely="detach()"
                )
            if term.shape != () or not bool(torch.isfinite(term)):
                raise Broken(f"the auxiliary loss {name!r} of {n} rows is {term!r:.80}, expected a finite scalar")


@check("structure.strength", "capability: Annealed")
def strength(subject: Subject) -> None:
    """At every strength there is a finite mapping, strength 1 is the whole one, and the state remembers."""
    mapping = subject.mapping()
    part = bare(mapping)
    if not isinstance(part, Annealed):
        raise NotApplicable("it is not Annealed")
    y = subject.draw("strength", 40)
    whole = subject.call(mapping, y)
    for value in (0.0, 0.3, 1.0):
        part.set_strength(value)
        z = subject.call(mapping, y, doing=f"at strength {value}")
        if not bool(torch.isfinite(z).all()):
            raise Broken(f"z is not finite at strength {value}")
    if (worst := worst_difference(z, whole, allowance(mapping, y, whole, subject.generator("allowance")))) is not None:
        raise Broken(f"set_strength(1) gives another mapping than the spec, by {worst[0]:.3g}")
    if subject.given is None:
        part.set_strength(0.5)
        other = subject.mapping()
        other.load_state_dict(mapping.state_dict())
        half = subject.call(mapping, y)
        if worst_difference(subject.call(other, y), half, same_kernel(half)) is not None:
            raise Broken("the strength is lost between state_dict and load_state_dict", likely="keep it in a buffer")


@check("structure.diagnose", "capability: Diagnosable")
def diagnose(subject: Subject) -> None:
    """A diagnosis, with labels and without, is made of what JSON can hold."""
    part = bare(subject.mapping(torch.float32))
    if not isinstance(part, Diagnosable):
        raise NotApplicable("it is not Diagnosable")
    y = subject.draw("diagnose", 60).float()
    labels = torch.arange(60, device=y.device) % 3
    for given in (None, labels):
        try:
            found: Any = part.diagnose(y, given)
            json.dumps(found)
        except Exception as error:
            about = "with labels" if given is not None else "without labels"
            raise Broken(f"diagnose {about} raised {type(error).__name__}: {str(error)[:160]}") from error
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise Broken(f"diagnose gives {type(found).__name__}, expected a dict of numbers by name")


def _image(subject: Subject, n: int, *, acting: bool = False, name: str = "image") -> Tensor:
    """Z of draws of the prior; of the dimensions alone in which the mapping says that it acts, if wanted."""
    with torch.no_grad():
        z = subject.call(subject.mapping(), subject.draw(name, n))
    if not bool(torch.isfinite(z).all()):
        raise Broken("z is not finite for draws of the prior")
    dims = sorted({d for plane in subject.declared.planes for d in plane})
    # What passes through changes no topology, and would only blur it.
    return z[:, dims] if acting and dims and subject.z_dim == subject.y_dim else z
