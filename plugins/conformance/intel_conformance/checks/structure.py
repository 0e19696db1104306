"""Are the properties that the mapping declares true of it? A property that is not declared is not checked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.continuity.segments import crossing
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported
from intel_conformance.places import is_pair, onto, problem_of, share_near, thinned
from intel_conformance.topology import clear_betti, clear_components, components_at
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.helpers.pushforward import KeepsDirections, Pushforward, ScaleFree
from intel_core.helpers.shares import TakesShares
from intel_core.mappings.compose import as_module, bare
from intel_core.mappings.contract import Annealed, Clustering, Declared, Diagnosable, Invertible, Levelled, Regularised

_EPS = torch.finfo(torch.float64).eps
_PROTOCOLS = (
    Declared,
    Clustering,
    Invertible,
    Levelled,
    Annealed,
    Regularised,
    Diagnosable,
    Pushforward,
    ScaleFree,
    KeepsDirections,
)
_DRAWS_OF_EACH = 300
"""Per cluster. With 100, single linkage breaks or joins some of 15 clusters in 1 of 25 tries; with 300 in 0 of 400."""
_MOST_DRAWS = 6000
"""The distances between all pairs of so many take 0.3 GB and a second or two."""


@check("structure.protocols", "declared: what the mapping offers beside its call")
def protocols(candidate: Candidate) -> None:
    """No attribute that the mapping offers beside its call raises when it is read."""
    part: Any = bare(candidate.mapping())
    for protocol in _PROTOCOLS:
        members = [name for name in vars(protocol) if not name.startswith("_")]
        offered = [name for name in members if hasattr(type(part), name) or name in vars(part)]
        for name in offered:
            try:
                getattr(part, name)
            except Exception as error:
                raise Broken(
                    f"{name} raised {type(error).__name__}: {str(error)[:160]}; the mapping then does not count as "
                    f"{protocol.__name__}, and what it declares as such is ignored",
                    likely="a misspelled attribute, or one that is set after it is used",
                ) from error
        if 0 < len(offered) < len(members):
            missing = sorted(set(members) - set(offered))
            raise Unsupported(
                f"it has {' and '.join(sorted(offered))} but not {' and '.join(missing)}: not {protocol.__name__}",
                likely="a misspelled name",
            )


@check("structure.places", "declared: planes, centres, seams, steepness")
def places(candidate: Candidate) -> None:
    """Declared planes, centres and seams lie in the space of y, and declared bounds are possible values."""
    declared = candidate.promised
    wrong = [
        f"plane {plane} is not a pair of dimensions of y"
        for plane in declared.planes
        if not is_pair(plane, candidate.y_dim)
    ]
    for name, found, codimension in (("seam", declared.seams, "1"), ("centre", declared.centres, "more than 1")):
        for place in found:
            problem = problem_of(place, candidate.y_dim)
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
        wrong.append(f"betti={declared.betti}: expected counts, the first of them 1 or more")
    if declared.sparsity is not None and not 0 <= declared.sparsity[0] <= declared.sparsity[1] <= 1:
        wrong.append(f"sparsity={declared.sparsity}: expected 0 <= low <= high <= 1")
    if wrong:
        raise Broken(wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))


_NEAR, _MOST = 1e-3, 0.03


@check("structure.seams", "declared: seams, centres")
def seams(candidate: Candidate) -> None:
    """Where declared seams and centres take up more than 3 % of the draws, to 0.001, g bends at most of them."""
    declared = candidate.declared
    everything = (*declared.seams, *declared.centres)
    if not everything:
        raise NotApplicable("no seams or centres are declared")
    share = share_near(everything, candidate.draw("near", 2000), _NEAR)
    if share <= _MOST:
        return
    mapping = candidate.mapping()
    tried = [*thinned(declared.seams), *thinned(declared.centres)]
    generator = candidate.generator("across")
    bent = sum(_bends(mapping, *crossing(place, 8, candidate.y_dim, generator)) for place in tried)
    if bent < 0.5 * len(tried):
        raise Broken(
            f"{len(everything)} seams and centres are declared, {share:.0%} of the draws are within {_NEAR:g} of one, "
            f"and g is smooth at {len(tried) - bent} of {len(tried)} of them",
            likely="places where g does nothing special; checks look away from declared places",
            share=share,
            smooth=len(tried) - bent,
        )


@torch.no_grad()
def _bends(mapping: torch.nn.Module, starts: Tensor, ends: Tensor) -> bool:
    """Whether g has a kink or a jump on some of the segments: most of its bend in one or two of 2,000 cells."""
    t = torch.linspace(0, 1, 2001, dtype=starts.dtype)[:, None]
    z = mapping(starts[:, None] + t * (ends - starts)[:, None])
    second = z.diff(n=2, dim=1).abs().amax(-1)
    slope = z.diff(dim=1).abs().amax((1, 2))
    return bool((second.amax(1) > 50 * second.median(1).values + 1e-6 * slope).any())


@check("structure.norm_bound", "declared: norm_bound")
def norm_bound(candidate: Candidate) -> None:
    """‖z‖ stays within the declared bound: for y from 1e-6 to 1e6, and after a search uphill from the largest."""
    bound = candidate.declared.norm_bound
    if bound is None:
        raise NotApplicable("no norm bound is declared")
    mapping = candidate.mapping()
    base = candidate.draw("norms", candidate.size(500, 2000, 10_000))
    points = [base * size for size in (1e-6, 1e-2, 0.3, 1.0, 3.0, 10.0, 1e2, 1e6)]
    declared = candidate.declared
    points += [onto(place, base[:100]) for place in (*thinned(declared.seams), *thinned(declared.centres))]
    y = torch.cat(points)
    best = _norm(candidate, mapping, y)
    top = best.topk(min(64, len(y)))
    y, best = y[top.indices], top.values
    generator = candidate.generator("climb")
    for round_ in range(60):
        scale = 0.5 ** (round_ / 4) * y.abs().amax(-1, keepdim=True).clamp(min=1e-3)
        tried = y + scale * torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y)
        tried = tried.clamp(-1e6, 1e6)
        norms = _norm(candidate, mapping, tried)
        better = norms > best
        y, best = torch.where(better[:, None], tried, y), torch.maximum(norms, best)
    worst = int(best.argmax())
    if float(best[worst]) > bound * (1 + 1e-5):
        point = ", ".join(f"{v:.4g}" for v in y[worst].tolist()[:6])
        raise Broken(
            f"‖z‖ = {float(best[worst]):.8g} at y = ({point}), declared norm_bound={bound:.6g}",
            likely="a bound for other settings, or for some of the dimensions only",
            norm=float(best[worst]),
            bound=bound,
        )


def _norm(candidate: Candidate, mapping: torch.nn.Module, y: Tensor) -> Tensor:
    with torch.no_grad():
        norms: Tensor = torch.linalg.vector_norm(candidate.call(mapping, y), dim=-1)
        return norms


@check("structure.clusters", "declared: clusters")
def clusters(candidate: Candidate) -> None:
    """The image of the prior has the declared number of clusters, counted by single linkage of draws."""
    declared = candidate.declared.clusters
    if declared is None:
        raise NotApplicable("no number of clusters is declared")
    enough = _DRAWS_OF_EACH * declared
    if enough > _MOST_DRAWS:
        raise Skipped(f"{declared} clusters are too many to be counted in {_MOST_DRAWS} draws of the prior")
    n = max(enough, candidate.size(1500, 2500, 4000))
    z = _image(candidate, n, acting=True)
    part = clustering_of(candidate.mapping())
    if part is not None and float(part[0].proportions().min()) < 0.5 / declared:
        raise Skipped("some cluster has so small a share that draws of the prior do not show it clearly")
    found, gap, distance = clear_components(z, 0.2 / declared, declared)
    if found == declared:
        return
    # Clusters that are moved apart a little have no gap between them; structure.proportions checks their shares.
    if gap < 1.5 or (found == 1 and part is not None):
        raise Skipped(f"the number of clusters in z is not clear from draws of the prior (gap {gap:.2f})")
    # Along a thin curve chance leaves gaps, of which one is the widest. A real gap stays empty with more draws.
    if found > declared:
        joined = components_at(_image(candidate, 4 * n, acting=True, name="more"), 0.2 / declared, distance)
        if joined == declared:
            return
        if joined < found:
            raise Skipped(f"{n} draws of the prior fall into {found} clusters in z, but {4 * n} draws into {joined}")
    raise Broken(
        f"{len(z)} draws fall into {found} cluster{'' if found == 1 else 's'} (gap {gap:.2f}), declared {declared}",
        likely="a cut through one plane only, a wrong number of sectors, a displacement that is too small",
        found=found,
        declared=declared,
    )


@check("structure.proportions", "capability: Clustering")
def proportions(candidate: Candidate) -> None:
    """Each draw is assigned to one of K clusters, with the frequencies that are declared."""
    mapping = candidate.mapping()
    found = clustering_of(mapping)
    if found is None:
        raise NotApplicable("it is not a Clustering")
    part, dims = found
    k = part.n_clusters
    shares = part.proportions().detach().double()
    if tuple(shares.shape) != (k,) or float(shares.min()) < 0 or abs(float(shares.sum()) - 1) > 1e-6:
        raise Broken(f"proportions() is {shares.tolist()}, expected {k} shares that sum to 1")
    if candidate.declared.clusters not in (None, k):
        raise Broken(f"n_clusters is {k}, but {candidate.declared.clusters} clusters are declared")
    _count(candidate, part, dims, "")
    if isinstance(part, TakesShares):
        wanted = torch.arange(1.0, k + 1, dtype=torch.float64, device=candidate.device)
        with torch.no_grad():
            part.set_proportions((wanted / wanted.sum()).to(part.proportions()))
        _count(candidate, part, dims, "after set_proportions() ")
        now = part.proportions().detach().double()
        # A product of clusters cannot have any shares, and fixed ones stay.
        if not torch.allclose(now, shares) and float(((now - 1 / k) * (wanted - wanted.mean())).sum()) <= 0:
            raise Broken(
                f"set_proportions({[round(float(x), 3) for x in wanted / wanted.sum()][:6]}) makes the shares "
                f"{[round(float(x), 3) for x in now][:6]}",
                likely="shares in another order",
            )
    if float(shares.min()) == 0:
        raise Unsupported(
            f"cluster {int(shares.argmin())} has a share of 0: assign() never gives it",
            likely="a centre within the others, or a border that is passed over",
        )


def _count(candidate: Candidate, part: Clustering, dims: tuple[int, ...], about: str) -> None:
    """The shares of draws of the prior are the declared ones, in any state of the mapping."""
    k, shares = part.n_clusters, part.proportions().detach().double()
    n = candidate.size(5000, 20_000, 100_000)
    index = part.assign(candidate.draw("assigned", n)[:, list(dims)])
    if tuple(index.shape) != (n,) or index.is_floating_point():
        raise Broken(f"assign() gives {index.dtype} of shape {tuple(index.shape)}, expected integers of shape ({n},)")
    if int(index.min()) < 0 or int(index.max()) >= k:
        raise Broken(f"assign() gives {int(index.min())} to {int(index.max())}, expected 0 to {k - 1}")
    counted = torch.bincount(index, minlength=k).double() / n
    allowed = 6 * (shares * (1 - shares) / n).sqrt() + 6 / n
    worst = int(((counted - shares).abs() - allowed).argmax())
    if float((counted - shares).abs()[worst]) > float(allowed[worst]):
        raise Broken(
            f"{about}cluster {worst} has a share of {float(counted[worst]):.4f} of {n} draws of the prior, but "
            f"proportions() gives {float(shares[worst]):.4f}",
            likely="assign() and the mapping differ in a border, or the shares are not those of N(0, I)",
        )


@check("structure.betti", "declared: betti", level="deep")
def betti(candidate: Candidate) -> None:
    """The image of the prior has the declared numbers of pieces and loops, by persistent homology of landmarks."""
    declared = candidate.declared.betti
    if declared is None:
        raise NotApplicable("no Betti numbers are declared")
    if any(isinstance(stage, Clustering) for stage in as_module(candidate.mapping()).modules()):
        raise NotApplicable("it is a Clustering: its clusters look like pieces, though the image is connected")
    z = _image(candidate, 6000, acting=True)
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
            raise Skipped(f"b{dim} is not clear from {len(z)} draws (gap {gap:.1f} in persistence)")


@check("structure.sparsity", "declared: sparsity")
def sparsity(candidate: Candidate) -> None:
    """The mean Hoyer score of z under the prior lies in the declared range."""
    declared = candidate.declared.sparsity
    if declared is None:
        raise NotApplicable("no sparsity is declared")
    if candidate.z_dim < 2:
        raise NotApplicable("a Hoyer score needs two dimensions of z")
    z = _image(candidate, candidate.size(2000, 20_000, 100_000))
    root = math.sqrt(candidate.z_dim)
    scores = (root - z.abs().sum(-1) / torch.linalg.vector_norm(z, dim=-1).clamp(min=1e-300)) / (root - 1)
    mean, error = float(scores.mean()), float(scores.std()) / math.sqrt(len(z))
    if not declared[0] - 5 * error <= mean <= declared[1] + 5 * error:
        raise Broken(
            f"the mean Hoyer score is {mean:.4f} ± {error:.4f}, declared from {declared[0]:.4g} to {declared[1]:.4g}",
            likely="a range for another number of dimensions, or for the mapping before training",
            score=mean,
        )


def _image(candidate: Candidate, n: int, *, acting: bool = False, name: str = "image") -> Tensor:
    """Z for draws of the prior; if `acting`, only in the dimensions that the mapping declares to act on."""
    with torch.no_grad():
        z = candidate.call(candidate.mapping(), candidate.draw(name, n))
    if not bool(torch.isfinite(z).all()):
        raise Broken("z is not finite for draws of the prior")
    dims = sorted({d for plane in candidate.declared.planes for d in plane})
    # Dimensions that are passed through add noise and no topology.
    return z[:, dims] if acting and dims and candidate.z_dim == candidate.y_dim else z
