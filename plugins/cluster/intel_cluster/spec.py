"""Which settings has the cluster mapping? Its spec; only `build` imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator
from typing_extensions import Self

from intel_core.mappings.contract import MappingSpec
from intel_core.schedules import ConstantScheduleSpec, GeometricScheduleSpec, LinearScheduleSpec

if TYPE_CHECKING:
    from intel_cluster.mapping import ClusterMapping
    from intel_cluster.split import Split
    from intel_core.schedules import ScheduleSpec

__all__ = ["ClusterSpec"]

_PRESETS: dict[str, dict[str, Any]] = {
    "default": {"c1": 0.5, "c2": 0.5, "eps": 0.1, "split": "auto", "turn": True, "order": True},
    "paper": {
        "c1": 5.0,
        "c2": 0.2,
        "eps": 1e-3,
        "split": "sectors",
        "learnable": False,
        "turn": False,
        "order": False,
    },
}
"""Defaults by preset. Where `learnable` is missing, proportions are learned unless they are given."""

START = 0.3
"""Strength with which a run with fixed proportions starts: enough to attract a factor of the data."""
GROWTH = 0.5
"""Share of the training over which that strength grows to 1."""
PATIENCE = 1 / 8
"""Share of the training after which proportions begin to be learned, when the data have chosen their clusters."""

ROOM = 3
"""Dimensions beside those that are cut, for what varies within clusters, if a run's user names no number."""

MOST_CELLS = 256
"""Most clusters of one cut; with more, a sector would be narrower than 1.4 degrees."""
MOST_CLUSTERS = 4096
"""Most clusters of several cuts."""
SUM_TOLERANCE = 1e-3
"""How far the sum of given proportions may be from 1, so that 0.333,0.333,0.333 is accepted."""


def _read_k(value: object) -> object:
    """An integer or a list of integers; pydantic's own check of the union would give two messages for a mistake."""
    parts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [_read_count(part) for part in parts]
    if not numbers:
        raise ValueError("an empty list cuts nothing; write a number such as 3 or a list such as [2,3]")
    if math.prod(numbers) > MOST_CLUSTERS:
        raise ValueError(f"this makes {math.prod(numbers)} clusters, at most {MOST_CLUSTERS} are possible")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _read_count(value: object) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("expected a whole number such as 3 or a list such as [2,3]")
    if not 2 <= number <= MOST_CELLS:
        more = f"; several cuts make more, e.g. k=[{MOST_CELLS // 4},{-(-number * 4 // MOST_CELLS)}]"
        hint = more if MOST_CELLS < number <= MOST_CLUSTERS else ""
        raise ValueError(f"a cut makes 2 to {MOST_CELLS} clusters, not {number}{hint}")
    return number


Count = Annotated[int, Field(ge=2, le=MOST_CELLS)]
Counts = Annotated[Count | tuple[Count, ...], BeforeValidator(_read_k)]


class ClusterSpec(MappingSpec):
    r"""K clusters: the latent space is cut into cells, whose points are pushed away from their cell's boundary.

    .. math:: g(y) = y + \varphi(dis(y))\, r(y), \qquad \varphi(t) = c_1 t^{c_2}

    with `r` the unit vector along the middle of the cell of y and `dis` the distance to that cell's boundary. The cells
    are those around the corners of a simplex in K - 1 dimensions, each of which borders on all others, or sectors of a
    plane. For K = 2 in one dimension and for K = 3 in two they are the same.

    A preset is a set of defaults; settings that are given replace them. ``paper`` has the authors' sectors and
    constants, whose slope at a boundary, c1 eps^(c2-1) = 1256, training finds hard to cross.

    Source: Miao et al., section 6.2 and appendix C.2, equations (6), (C.1), (C.2).

    >>> ClusterSpec(k=3).build(2).n_clusters
    3
    >>> ClusterSpec().c2, ClusterSpec(preset="paper").c2
    (0.5, 0.2)
    """

    k: Counts = Field(3, description="number of clusters; a list such as [2,3] makes two cuts and 2·3 clusters")
    preset: Literal["default", "paper"] = Field(
        "default",
        description="defaults of the other settings; default: chosen by measurement; paper: the authors' sectors, "
        "c1=5, c2=0.2, eps=0.001 and fixed proportions",
    )
    c1: PositiveFloat | None = Field(
        None, le=1e6, description="displacement at distance 1 from the boundary; 0.5 if unset, paper: 5"
    )
    c2: float | None = Field(None, gt=0, le=1, description="exponent of the displacement; if unset 0.5, paper: 0.2")
    learnable: bool | None = Field(
        None, description="learn the clusters' proportions; if unset, unless proportions are given, paper: false"
    )
    estimator: Literal["mass", "pathwise"] = Field(
        "mass",
        description="how proportions are learned; mass: they follow the posterior's mass in each cluster, once the "
        "strength is 1; pathwise: by the gradient through g",
    )
    proportions: tuple[PositiveFloat, ...] | None = Field(
        None, description="share of each cluster, or its start value if learnable; equal if unset"
    )
    phase: float = Field(0.0, description="angle of the first boundary ray of sectors, in radians")
    split: Literal["auto", "simplex", "sectors"] | None = Field(
        None,
        description="what is cut; simplex: k-1 dimensions into cells that all touch each other; sectors: a plane; "
        "auto: simplex if there are enough dimensions, otherwise sectors; if unset auto, paper: sectors",
    )
    form: Literal["exact", "smooth"] = Field(
        "exact",
        description="displacement at distance t; exact: linear below eps, the paper's c1*t**c2 above; smooth: "
        "c1*((t+eps)**c2 - eps**c2)",
    )
    eps: float | None = Field(
        None,
        ge=1e-12,
        le=1,
        description="distance below which the displacement is changed to keep its slope at most c1*eps**(c2-1); if "
        "unset 0.1, paper: 0.001",
    )

    turn: bool | None = Field(
        None,
        description="let a start turn the cells to where it finds the clusters, whatever the directions of y; if unset "
        "true, paper: false",
    )
    order: bool | None = Field(
        None,
        description="let a start that turns sectors of a plane say in which order they lie around it, and keep the "
        "shares that it finds; if unset true, paper: false",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier(cls, values: Any) -> Any:
        """A text of an earlier version, which wrote every setting that there was.

        First there was no preset, `auto` was sectors, and `line` what is a simplex now; then there was no turn; then
        there was no order.
        """
        missing = cls.model_fields.keys() - values.keys() if isinstance(values, Mapping) else set()
        if missing == {"order"}:
            return {**values, "order": False}
        if missing == {"turn", "order"}:
            return {**values, "turn": False, "order": False}
        if missing == {"preset", "turn", "order"}:
            earlier = {"auto": "sectors", "line": "simplex"}
            split = earlier.get(values["split"], values["split"])
            return {**values, "split": split, "turn": False, "order": False}
        if isinstance(values, Mapping) and values.get("split") == "line":
            raise ValueError("split=line is split=simplex now")
        return values

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        chosen = {"learnable": self.proportions is None} | _PRESETS[self.preset]
        for name, value in chosen.items():
            if getattr(self, name) is None:
                # Frozen for everyone else: a spec must record the value that it stands for.
                object.__setattr__(self, name, value)
        if self.estimator != "mass" and not self.learnable:
            raise ValueError("an estimator is for learned proportions; write learnable=true")
        if self.split == "simplex" and self.phase:
            raise ValueError("a simplex has no phase; write split=sectors")
        if self.proportions is not None:
            self._check_proportions(self.proportions)
        return self

    def _check_proportions(self, shares: tuple[float, ...]) -> None:
        if isinstance(self.k, tuple):
            raise ValueError(f"proportions are for a single cut, not for the product k={_show(self.k)}")
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

    def advised_latent(self, usual: int, values: int) -> int:
        """Room for what varies within clusters: three dimensions beside those that are cut.

        What is usual stays where that is six or more and at least k; and no more dimensions than an example has values.

        >>> ClusterSpec(k=4).advised_latent(2, 12), ClusterSpec(k=10).advised_latent(10, 784)
        (6, 10)
        """
        if usual > max(self.fewest_dims, ROOM + 2):
            return usual
        return max(usual, min(self.fewest_dims + ROOM, values))

    def said_of_latent(self, y_dim: int) -> str:
        """That the clusters are sectors, where there are too few dimensions for cells that all touch each other.

        >>> ClusterSpec(k=10).said_of_latent(2)
        '10 clusters in 2 dimensions are sectors of a plane; in 9 or more they are cells that all touch each other'
        >>> ClusterSpec(k=10).said_of_latent(9)
        ''
        """
        if self.split != "auto" or self.phase or not self._planes <= y_dim < self._cells:
            return ""
        count, where = math.prod(self._counts), "a plane" if len(self._counts) == 1 else "planes"
        return (
            f"{count} clusters in {y_dim} dimensions are sectors of {where}; in {self._cells} or more they are cells "
            "that all touch each other"
        )

    @property
    def fewest_dims(self) -> int:
        """The dimensions that are cut, if there are enough of them for `split`.

        >>> ClusterSpec(k=10).fewest_dims, ClusterSpec(k=10, split="sectors").fewest_dims
        (9, 2)
        """
        return self._planes if self.split == "sectors" or self.phase else self._cells

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.k if isinstance(self.k, tuple) else (self.k,)

    @property
    def _cells(self) -> int:
        """Dimensions of simplices."""
        return sum(k - 1 for k in self._counts)

    @property
    def _planes(self) -> int:
        """Dimensions of sectors."""
        return 2 * len(self._counts)

    def build(self, y_dim: int) -> ClusterMapping:
        """The mapping for `y_dim` dimensions; dimensions that are not cut pass through.

        Args:
            y_dim: number of dimensions of y.

        Raises:
            ValueError: if there are too few dimensions for this many clusters.

        >>> ClusterSpec(k=[2, 3]).build(3).n_clusters
        6
        """
        from intel_cluster.displacement import Displacement
        from intel_cluster.mapping import ClusterMapping, LearnedClusterMapping
        from intel_cluster.sectors import SectorSplit
        from intel_cluster.simplex import SimplexSplit

        assert self.c1 is not None
        assert self.c2 is not None
        assert self.eps is not None
        displacement, learned = Displacement(self.c1, self.c2, self.eps, self.form), bool(self.learnable)
        shares = [tuple(1 / k for _ in range(k)) for k in self._counts]
        if self.proportions is not None:
            shares = [tuple(share / math.fsum(self.proportions) for share in self.proportions)]
        cuts: list[Split]
        if self._is_simplex(y_dim):
            cuts = [SimplexSplit(p, displacement, learned) for p in shares]
        else:
            # Three sectors are alike whatever their order, and several cuts have no centres of their own.
            ordered = bool(self.turn and self.order) and len(shares) == 1 and len(shares[0]) > 3
            cuts = [SectorSplit(p, displacement, self.phase, learned, ordered) for p in shares]
        follow = learned and self.estimator == "mass"
        made = LearnedClusterMapping if follow else ClusterMapping
        return made(cuts, y_dim, bool(self.turn))

    def _is_simplex(self, y_dim: int) -> bool:
        """Whether simplices are cut, and not sectors.

        Raises:
            ValueError: if there are too few dimensions.
        """
        cells, planes = self._cells, self._planes
        there = "there is 1" if y_dim == 1 else f"there are {y_dim}"
        if self.split == "simplex" and y_dim < cells:
            other = ", or split=sectors" if y_dim >= planes else ""
            raise ValueError(
                f"split=simplex with k={_show(self.k)} needs {cells} latent dimensions, {there}; take more{other}"
            )
        # The sectors of a line are its two halves.
        halves = y_dim == 1 and self.k == 2
        if halves and self.phase:
            raise ValueError("a line has no angles, so phase must be 0; proportions move the split")
        if halves or self.split == "simplex" or (self.split == "auto" and not self.phase and y_dim >= cells):
            return True
        if y_dim < planes:
            fewest = min(cells, planes) if self.split == "auto" and not self.phase else planes
            hint = "; k=2 works in one" if y_dim == 1 else ""
            raise ValueError(f"k={_show(self.k)} needs at least {fewest} latent dimensions, {there}{hint}")
        return False


def _show(k: int | tuple[int, ...]) -> str:
    """As a user would type it."""
    return str(k) if isinstance(k, int) else "[" + ",".join(str(part) for part in k) + "]"
