"""Which settings has the cluster mapping? Its spec; only `build` imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator
from typing_extensions import Self

from intel_core.mappings.contract import MappingSpec
from intel_core.schedules import ConstantScheduleSpec, GeometricScheduleSpec, LinearScheduleSpec

if TYPE_CHECKING:
    from intel_cluster.mapping import ClusterMapping
    from intel_cluster.split import Split
    from intel_core.schedules import ScheduleSpec

__all__ = ["ClusterSpec"]

MAX_SECTORS = 256
"""Most sectors of one plane; with more, a sector would be narrower than 1.4 degrees."""
MAX_CLUSTERS = 4096
"""Most clusters of a product of planes."""
SUM_TOLERANCE = 1e-3
"""How far the sum of given proportions may be from 1, so that 0.333,0.333,0.333 is accepted."""

START = 0.3
"""Strength with which a run with fixed proportions starts: enough to attract a factor of the data."""
GROWTH = 0.5
"""Share of the training over which that strength grows to 1."""
PATIENCE = 1 / 8
"""Share of the training after which proportions begin to be learned, when the data have chosen their clusters."""

C2_FIXED = 0.2
C2_LEARNABLE = 0.5


def _read_k(value: object) -> object:
    """An integer or a list of integers; pydantic's own check of the union would give two messages for a mistake."""
    parts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [_read_count(part) for part in parts]
    if not numbers:
        raise ValueError("an empty list cuts nothing; write a number such as 3 or a list such as [2,3]")
    if math.prod(numbers) > MAX_CLUSTERS:
        raise ValueError(f"this makes {math.prod(numbers)} clusters, at most {MAX_CLUSTERS} are possible")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _read_count(value: object) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("expected a whole number such as 3 or a list such as [2,3]")
    if not 2 <= number <= MAX_SECTORS:
        raise ValueError(f"a plane is cut into 2 to {MAX_SECTORS} clusters, not {number}")
    return number


Count = Annotated[int, Field(ge=2, le=MAX_SECTORS)]
Counts = Annotated[Count | tuple[Count, ...], BeforeValidator(_read_k)]


class ClusterSpec(MappingSpec):
    r"""K clusters: sectors of a plane, whose points are pushed away from the sector's boundary along its bisector.

    .. math:: g(y) = y + \varphi(dis(y))\, r(y), \qquad \varphi(t) = c_1 t^{c_2}

    with `r` the bisector of the sector of y and `dis` the distance to that sector's boundary.

    Source: Miao et al., section 6.2 and appendix C.2, equations (6), (C.1), (C.2).

    >>> ClusterSpec(k=3).build(2).n_clusters
    3
    >>> ClusterSpec(learnable=True).c2
    0.5
    """

    k: Counts = Field(
        3,
        description="number of clusters; a list such as [2,3] cuts the planes (y0,y1), (y2,y3), … into 2·3 clusters",
    )
    c1: PositiveFloat = Field(5.0, le=1e6, description="displacement at distance 1 from the boundary")
    c2: float | None = Field(
        None, gt=0, le=1, description="exponent of the displacement; if unset 0.2, or 0.5 with learnable=true"
    )
    learnable: bool = Field(False, description="learn the clusters' proportions")
    estimator: Literal["mass", "pathwise"] = Field(
        "mass",
        description="how proportions are learned; mass: they follow the posterior's mass in each cluster, once the "
        "strength is 1; pathwise: by the gradient through g",
    )
    proportions: tuple[PositiveFloat, ...] | None = Field(
        None, description="share of each cluster, or its start value if learnable; equal if unset"
    )
    phase: float = Field(0.0, description="angle of the first boundary ray in radians")
    split: Literal["auto", "sectors", "line"] = Field(
        "auto",
        description="cut planes into sectors, or a line in two; auto: the line if y has 1 dimension",
    )
    form: Literal["exact", "smooth"] = Field(
        "exact",
        description="displacement at distance t; exact: linear below eps, the paper's c1*t**c2 above; smooth: "
        "c1*((t+eps)**c2 - eps**c2)",
    )
    eps: float = Field(
        1e-3,
        ge=1e-12,
        le=1,
        description="distance below which the displacement is changed to keep its slope at most c1*eps**(c2-1)",
    )

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        if self.estimator != "mass" and not self.learnable:
            raise ValueError("an estimator is for learned proportions; write learnable=true")
        if self.c2 is None:
            # Frozen for everyone else: a spec must record the number that it stands for.
            object.__setattr__(self, "c2", C2_LEARNABLE if self.learnable else C2_FIXED)
        if self.split == "line":
            self._check_line()
        if self.proportions is not None:
            self._check_proportions(self.proportions)
        return self

    def _check_line(self) -> None:
        if self.k != 2:
            raise ValueError(f"a line is split into 2 clusters, not k={_show(self.k)}; write k=2")
        if self.phase:
            raise ValueError("a line has no angles, so phase must be 0; proportions move the split")

    def _check_proportions(self, shares: tuple[float, ...]) -> None:
        if isinstance(self.k, tuple):
            raise ValueError(f"proportions are for a single plane or line, not for the product k={_show(self.k)}")
        if len(shares) != self.k:
            raise ValueError(f"{len(shares)} proportions for k={self.k} clusters")
        if abs(math.fsum(shares) - 1) > SUM_TOLERANCE:
            raise ValueError(f"proportions must sum to 1, these sum to {math.fsum(shares):.6g}")

    def advised_schedules(self, steps: int, settled: Mapping[str, ScheduleSpec]) -> dict[str, ScheduleSpec]:
        """With fixed proportions the strength grows over half the training; learned proportions wait, at strength 1.

        They wait for an eighth of the training, and until the KL term has its full weight: before that, nothing keeps
        all posteriors from going to one side, and the proportions would follow them.

        >>> kl = {"kl": LinearScheduleSpec(steps=300)}
        >>> ClusterSpec(learnable=True).advised_schedules(1000, kl)["proportions"].delay
        300
        """
        if not (self.learnable and self.estimator == "mass"):
            return {"strength": GeometricScheduleSpec(start=START, steps=max(1, int(steps * GROWTH)))}
        warmed_up = settled["kl"].settled if "kl" in settled else 0
        wait = max(int(steps * PATIENCE), min(warmed_up or 0, steps))
        return {"strength": ConstantScheduleSpec(), "proportions": LinearScheduleSpec(delay=wait, steps=1)}

    def build(self, y_dim: int) -> ClusterMapping:
        """The mapping for `y_dim` dimensions; dimensions that are not cut pass through.

        Args:
            y_dim: number of dimensions of y.

        Raises:
            ValueError: if there are too few dimensions for this many clusters.

        >>> ClusterSpec(k=[2, 3]).build(5).n_clusters
        6
        """
        from intel_cluster.displacement import Displacement
        from intel_cluster.line import LineSplit
        from intel_cluster.mapping import ClusterMapping, LearnedClusterMapping
        from intel_cluster.sectors import SectorSplit

        counts = self.k if isinstance(self.k, tuple) else (self.k,)
        on_line = self.split == "line" or (self.split == "auto" and y_dim == 1)
        if not on_line or counts != (2,):
            self._check_fits(y_dim, 2 * len(counts))
        elif y_dim == 1:
            self._check_line()
        assert self.c2 is not None
        displacement = Displacement(self.c1, self.c2, self.eps, self.form)
        shares = [tuple(1 / k for _ in range(k)) for k in counts]
        if self.proportions is not None:
            shares = [tuple(share / math.fsum(self.proportions) for share in self.proportions)]
        if on_line:
            left, right = shares[0]
            # Phi^-1 loses its digits near 1, so it is computed from the smaller share.
            threshold = NormalDist().inv_cdf(left) if left <= right else -NormalDist().inv_cdf(right)
            cuts: list[Split] = [LineSplit(threshold, displacement, self.learnable)]
        else:
            cuts = [SectorSplit(p, displacement, self.phase, self.learnable) for p in shares]
        follow = self.learnable and self.estimator == "mass"
        return LearnedClusterMapping(cuts, y_dim) if follow else ClusterMapping(cuts, y_dim)

    def _check_fits(self, y_dim: int, needed: int) -> None:
        if y_dim >= needed:
            return
        there = "there is 1" if y_dim == 1 else f"there are {y_dim}"
        hint = ""
        if y_dim == 1:
            hint = "; k=2 works in one" if self.k != 2 else "; split=line works in one"
        raise ValueError(f"k={_show(self.k)} needs at least {needed} latent dimensions, {there}{hint}")


def _show(k: int | tuple[int, ...]) -> str:
    """As a user would type it."""
    return str(k) if isinstance(k, int) else "[" + ",".join(str(part) for part in k) + "]"
