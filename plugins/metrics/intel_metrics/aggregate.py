r"""Is the aggregate posterior of y the prior? Two distances of samples, and a permutation test.

=================  ===========================================================================================
sliced W2          :math:`(E_u W_2^2(u \cdot a, u \cdot b))^{1/2}` over directions u of length 1; of one dimension,
                   W2 couples sorted values
MMD², unbiased     :math:`\frac{1}{n(n-1)} \sum_{i \ne j} [k(a_i, a_j) + k(b_i, b_j)]
                   - \frac{2}{n^2} \sum_{ij} k(a_i, b_j)` with :math:`k(a, b) = \exp(-\|a - b\|^2 / 2h^2)`
=================  ===========================================================================================

Sources: Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015; Gretton et al., "A kernel
two-sample test", 2012.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.own_prior import own_prior
from intel_core.helpers.pushforward import Image

__all__ = ["Tested", "measure", "mmd_squared", "permutation_test", "prior_bandwidth", "sliced_wasserstein"]

LEAST = 20
"""The smallest number of examples."""


def sliced_wasserstein(
    a: Tensor, b: Tensor, directions: int = 100, *, generator: torch.Generator | None = None
) -> float:
    r"""The sliced Wasserstein-2 distance of two samples of one size, in the units of the values.

    For :math:`N(m, s^2 I)` against N(0, I) in D dimensions it tends to :math:`(\|m\|^2 / D + (s - 1)^2)^{1/2}`.

    Args:
        a: points ``(n, D)``.
        b: points ``(n, D)``.
        directions: how many directions, uniform on the sphere.
        generator: source of the directions, on the CPU.

    Raises:
        ValueError: if the samples differ in shape.

    >>> a = torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    >>> round(sliced_wasserstein(a, a + 0.5), 6)
    0.5
    """
    along_a, along_b = _projected(a, b, _directions(a.shape[1], directions, generator))
    return _distance(along_a.sort().values, along_b.sort().values)


def _directions(width: int, count: int, generator: torch.Generator | None) -> Tensor:
    raw = torch.randn(count, width, generator=generator, dtype=torch.float64)
    unit: Tensor = raw / torch.linalg.vector_norm(raw, dim=1, keepdim=True)
    return unit


def _projected(a: Tensor, b: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """A row for each direction, ``(directions, n)``."""
    if a.shape != b.shape or a.dim() != 2:
        raise ValueError(f"two samples of one shape (n, D) are needed, not {tuple(a.shape)} and {tuple(b.shape)}")
    return directions @ a.double().T, directions @ b.double().T


def _distance(sorted_a: Tensor, sorted_b: Tensor) -> float:
    return float((sorted_a - sorted_b).square().mean().sqrt())


_floors: dict[tuple[int, int, int, int, bytes], Tensor] = {}
"""Distances of draws of N(0, I) from others, by what they are made of: numbers, and the state of the generator."""


def prior_bandwidth(width: int) -> float:
    r"""The bandwidth :math:`h = \sqrt D` that N(0, I) suggests: :math:`E\|a - b\|^2 = 2D`, so k is about 1/e.

    It depends only on the number of dimensions, so that runs with the same number can be compared.

    >>> prior_bandwidth(4)
    2.0
    """
    return math.sqrt(width)


def mmd_squared(a: Tensor, b: Tensor, bandwidth: float | None = None) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy with a Gaussian kernel.

    It can come out negative, and often does for two samples of one distribution.

    Args:
        a: points ``(n, D)``, n >= 2.
        b: points ``(n, D)``.
        bandwidth: h; `prior_bandwidth` by default.

    Raises:
        ValueError: if the samples differ in shape, or the bandwidth is not positive.

    >>> two = torch.tensor([[0.0], [100.0]])
    >>> mmd_squared(two, two, 1.0)
    -1.0
    """
    if a.shape != b.shape or a.dim() != 2 or len(a) < 2:
        raise ValueError(f"two samples of one shape (n >= 2, D) are needed, not {tuple(a.shape)} and {tuple(b.shape)}")
    n = len(a)
    sign = torch.ones(2 * n, 1, dtype=torch.float64)
    sign[n:] = -1
    return float(_mmd_of_signs(_kernel(a, b, bandwidth), sign))


def _kernel(a: Tensor, b: Tensor, bandwidth: float | None) -> Tensor:
    """K of all pairs of both samples, ``(2n, 2n)``."""
    pooled = torch.cat([a, b]).double()
    h = prior_bandwidth(a.shape[1]) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"a bandwidth must be positive, not {h:g}")
    distances = torch.cdist(pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.square_().div_(-2 * h * h).exp_()  # in place: the matrix is large


def _mmd_of_signs(kernel: Tensor, sign: Tensor) -> Tensor:
    """MMD² for each column of signs, +1 for the first sample and -1 for the second, ``(2n, P) -> (P,)``."""
    n = len(kernel) // 2
    inside = kernel.clone().fill_diagonal_(0.0)
    # (1 + s_i s_j) / 2 is 1 for two points of one sample, else 0; a point does not form a pair with itself.
    quadratic = (sign * (inside @ sign)).sum(0)
    total = inside.sum()
    same, other = (total + quadratic) / 2, (total - quadratic) / 2
    return same / (n * (n - 1)) - other / (n * n)


class Tested(NamedTuple):
    """A distance between two samples, and how often a random division of both exceeds it.

    Attributes:
        value: the distance.
        p: ``(1 + permutations at least as large) / (1 + permutations)``: for two samples of one distribution, it is at
            most α with a probability of at most α.
    """

    value: float
    p: float


def permutation_test(
    a: Tensor,
    b: Tensor,
    *,
    directions: int = 100,
    permutations: int = 199,
    bandwidth: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tested, Tested]:
    """The sliced Wasserstein-2 distance and MMD² of two samples, each with its p-value.

    Args:
        a: independent points ``(n, D)``.
        b: independent points ``(n, D)``, independent of those.
        directions: see `sliced_wasserstein`; the same for all permutations.
        permutations: number of random divisions of all 2n points.
        bandwidth: see `mmd_squared`.
        generator: source of directions and divisions, on the CPU.

    Returns:
        The distance, then MMD².

    Raises:
        ValueError: as `sliced_wasserstein` and `mmd_squared` do.

    >>> seeded = torch.Generator().manual_seed(0)
    >>> a = torch.randn(50, 2, generator=seeded)
    >>> [tested.p for tested in permutation_test(a, a + 5, permutations=19, generator=seeded)]
    [0.05, 0.05]
    """
    ways = _directions(a.shape[1], directions, generator)
    values, order = torch.cat(_projected(a, b, ways), 1).sort()
    n = len(a)
    divisions = torch.stack([torch.randperm(2 * n, generator=generator) for _ in range(permutations)], 1)
    sign = torch.where(torch.arange(2 * n).unsqueeze(1) < n, 1.0, -1.0).double()
    signs = torch.cat([sign, torch.where(divisions < n, 1.0, -1.0).double()], 1)

    discrepancies = _mmd_of_signs(_kernel(a, b, bandwidth), signs)
    # Sorted once: a permutation changes which values belong to the first sample, but not their order.
    distances = []
    for column in signs.T:
        first = (column > 0)[order]
        shape = (len(values), n)
        distances.append(_distance(values[first].reshape(shape), values[~first].reshape(shape)))
    return _tested(torch.tensor(distances, dtype=torch.float64)), _tested(discrepancies)


def _tested(values: Tensor) -> Tested:
    """The first value is that of the samples themselves, the others are those of permutations."""
    # Values that are equal up to rounding count as equal.
    slack = 1e-12 * values.abs().max()
    return Tested(float(values[0]), float((values >= values[0] - slack).double().mean()))


def measure(
    subject: Subject,
    *,
    limit: int,
    directions: int,
    permutations: int,
    pairs: int,
    seed: int,
) -> Measurement:
    """Distances of the aggregate posterior of a run from the prior, beside the same distances for draws of the prior.

    The arguments are the fields of `intel_metrics.specs.latent.AggregateSpec`.
    """
    y = subject.encode(limit=limit, seed=seed).y.double()
    n, width = y.shape
    if n < LEAST:
        raise NotApplicableError(f"a distance of samples needs {LEAST} test examples, there are {n}")
    generator, own = subject.generator(seed, "aggregate"), own_prior(subject.model)
    image = getattr(subject.model.prior, "image", None)
    of_z = ""
    if isinstance(image, Image):
        y, of_z = image.at_prior_lengths(y, generator), ", in z: lengths that z does not have are drawn from the prior"
    called = "N(0, I)" if own is None else f"the prior, {subject.run.spec.prior}"

    def prior() -> Tensor:
        if own is None:
            return torch.randn(n, width, generator=generator, dtype=torch.float64)
        return own.draws(n, generator).double()

    distance, discrepancy = permutation_test(
        y, prior(), directions=directions, permutations=permutations, generator=generator
    )
    # Of N(0, I) they are the same numbers for every run of as many examples and dimensions, and take most of the time.
    asked = (n, width, directions, pairs, bytes(generator.get_state().numpy())) if own is None else None
    floor = None if asked is None else _floors.get(asked)
    if floor is None:
        floors = []
        for pair in range(pairs):
            subject.tell("prior against prior", pair / pairs)
            one, other = prior(), prior()
            floors.append((sliced_wasserstein(one, other, directions, generator=generator), mmd_squared(one, other)))
        floor = torch.tensor(floors, dtype=torch.float64)
        if asked is not None:
            _floors[asked] = floor
    middle, spread = floor.mean(0).tolist(), floor.std(0).tolist()
    numbers = {}
    for i, (name, tested, about) in enumerate(
        (
            ("sliced W2", distance, f"sliced Wasserstein-2 distance of y of the data to draws of {called}"),
            ("MMD squared", discrepancy, "squared maximum mean discrepancy, unbiased: may be below 0"),
        )
    ):
        beside = {"prior against prior": middle[i], "its standard deviation": spread[i], "p": tested.p}
        numbers[name] = Number(value=tested.value, better="lower", beside=beside, about=about)
    return Measurement(
        numbers=numbers,
        protocol={
            "examples": n,
            "part": "test",
            "y": f"one sample of q(y|x) per example{of_z}",
            **({} if own is None else {"prior": str(subject.run.spec.prior)}),
            "directions": directions,
            "bandwidth": prior_bandwidth(width),
            "kernel": "exp(-|a - b|^2 / (2 bandwidth^2))",
            "p": f"permutation test, {permutations} permutations",
            "prior against prior": f"{pairs} pairs of independent samples of the same size",
            "seed": seed,
        },
        notes=("Distances depend on the numbers of examples and dimensions: compare them with prior against prior.",),
    )
