"""Which settings has the hierarchical mapping? Its spec; only `build` imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from intel_core.mappings.contract import MappingSpec

if TYPE_CHECKING:
    from intel_hierarchy.mapping import HierarchyMapping

__all__ = ["HierarchySpec"]

MAX_LEVELS = 256
"""Most levels; the authors' code has 2 to 10."""
MAX_HIDDEN_LAYERS = 16
"""Most hidden layers of one level's network."""
MAX_WIDTH = 65536
"""Most units of a hidden layer, and most dimensions of a level."""

AFFINE_HIDDEN = (32,)
AFFINE_BOUND = 2.0


def _read_levels(value: object) -> object:
    """A number of levels or a list of their sizes; pydantic's own check of the union would give two messages."""
    expected = "expected a number of levels such as 3 or a list of their sizes such as [8,8,16]"
    sizes = None
    if isinstance(value, Sequence) and not isinstance(value, str):
        sizes = tuple(_whole(size, expected) for size in value)
    count = _whole(value, expected) if sizes is None else len(sizes)
    if not 2 <= count <= MAX_LEVELS:
        raise ValueError(f"a hierarchy has 2 to {MAX_LEVELS} levels, not {count}")
    for size in sizes or ():
        if not 1 <= size <= MAX_WIDTH:
            raise ValueError(f"a level has 1 to {MAX_WIDTH} dimensions, not {size}")
    return count if sizes is None else sizes


def _read_hidden(value: object) -> object:
    """A single width stands for a list of one."""
    if value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
        return value
    return (_whole(value, "expected the width of a hidden layer such as 32 or a list of widths such as [64,32]"),)


def _whole(value: object, expected: str) -> int:
    """A whole number, given as a number or as text.

    Raises:
        ValueError: with the text `expected`.
    """
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(expected)
    return number


Size = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Count = Annotated[int, Field(ge=2, le=MAX_LEVELS)]
Levels = Annotated[Count | tuple[Size, ...], BeforeValidator(_read_levels)]
Hidden = Annotated[tuple[Size, ...], Field(max_length=MAX_HIDDEN_LAYERS), BeforeValidator(_read_hidden)]


class HierarchySpec(MappingSpec):
    r"""Levels of features: a learned network computes each from the level above and from a block of y of its own.

    .. math:: z_0 = y_0, \qquad z_i = NN_i(z_{i-1}, y_i), \qquad z = [z_0, z_1, \dots, z_{L-1}]

    Source: Miao et al., appendix B.

    >>> HierarchySpec(levels=3).build(8).levels
    ((0, 1, 2), (3, 4, 5), (6, 7))
    >>> HierarchySpec(form="affine").hidden
    (32,)
    """

    levels: Levels = Field(
        3, description="number of levels, with sizes as equal as possible, or their sizes from the top, e.g. [8,8,16]"
    )
    form: Literal["dense", "affine"] = Field(
        "dense",
        description="dense: the paper's networks; affine: a bijection, y*exp(s) + t, with s and t computed from the "
        "level above",
    )
    activation: Literal["relu", "leaky_relu", "elu", "tanh", "softplus", "gelu", "identity"] = Field(
        "relu", description="applied after each layer; with form=affine only after hidden layers"
    )
    hidden: Hidden | None = Field(
        None, description="widths of hidden layers of each level's network; none if unset, [32] with form=affine"
    )
    bound: float | None = Field(
        None,
        gt=0,
        le=20,
        description="with form=affine, the bound on |s|; 2 if unset, which allows factors exp(s) from 0.14 to 7.4",
    )

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        affine = self.form == "affine"
        if self.bound is not None and not affine:
            raise ValueError("bound limits the scales of form=affine; form=dense has none")
        # Frozen for everyone else: a spec must record the numbers that it stands for.
        if self.hidden is None:
            object.__setattr__(self, "hidden", AFFINE_HIDDEN if affine else ())
        if self.bound is None and affine:
            object.__setattr__(self, "bound", AFFINE_BOUND)
        return self

    def sizes(self, y_dim: int) -> tuple[int, ...]:
        """The number of dimensions of each level, from the top; they differ by at most 1, and larger ones come first.

        Args:
            y_dim: number of dimensions of y.

        Raises:
            ValueError: if the levels do not fit `y_dim`.

        >>> HierarchySpec(levels=5).sizes(12)
        (3, 3, 2, 2, 2)
        """
        if isinstance(self.levels, tuple):
            if sum(self.levels) != y_dim:
                there = "there is 1" if y_dim == 1 else f"there are {y_dim}"
                raise ValueError(f"levels={_show(self.levels)} sum to {sum(self.levels)} latent dimensions, {there}")
            return self.levels
        if y_dim < self.levels:
            there = "there is 1" if y_dim == 1 else f"there are {y_dim}"
            raise ValueError(f"{self.levels} levels need at least {self.levels} latent dimensions, {there}")
        size, larger = divmod(y_dim, self.levels)
        return tuple(size + (i < larger) for i in range(self.levels))

    def build(self, y_dim: int) -> HierarchyMapping:
        """The mapping for `y_dim` dimensions, with new weights from torch's default generator.

        Args:
            y_dim: number of dimensions of y.

        Raises:
            ValueError: if the levels do not fit `y_dim`.

        >>> HierarchySpec(levels=[1, 1, 2]).build(4).z_dim
        4
        """
        from intel_hierarchy.affine import AffineHierarchy
        from intel_hierarchy.dense import DenseHierarchy

        assert self.hidden is not None
        sizes = self.sizes(y_dim)
        if self.form == "dense":
            return DenseHierarchy(sizes, self.hidden, self.activation)
        assert self.bound is not None
        return AffineHierarchy(sizes, self.hidden, self.activation, self.bound)


def _show(sizes: tuple[int, ...]) -> str:
    """As a user would type it."""
    return "[" + ",".join(str(size) for size in sizes) + "]"
