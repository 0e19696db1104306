"""What is a mapping? The contract of ``z = g(y)``, its spec, and the optional capabilities around it.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, runtime_checkable

from pydantic import BeforeValidator, Field

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.mappings.properties import Properties
    from intel_core.schedules import ScheduleSpec


__all__ = [
    "Annealed",
    "Clustering",
    "Declared",
    "Diagnosable",
    "Invertible",
    "Levelled",
    "Mapping",
    "MappingSpec",
    "Regularised",
]


@runtime_checkable
class Mapping(Protocol):
    r"""A deterministic map :math:`z = g_\psi(y)` from the intermediary latent to the representation.

    Any ``torch.nn.Module`` with the two attributes is one; there is nothing to inherit from. The contract:

    1. ``z = mapping(y)`` with `y` of shape ``(..., y_dim)`` and `z` of shape ``(..., z_dim)``, any leading
       shape, the same dtype and device.
    2. A pure function of its parameters and the row: no random number, no difference between training and
       evaluation mode, no change of its input.
    3. Each row is mapped alone: nothing depends on the rest of the batch.
    4. Continuous and sub-differentiable in `y` and in the parameters unless it declares otherwise; values and
       gradients finite everywhere, at the origin and on every boundary too.

    1 to 3 make the posterior's path and the prior's path pass through one and the same g, which is what
    Theorem 1 of the paper needs: :math:`KL(q(z|x) \| p(z)) \le KL(q(y|x) \| N(0, I))`.

    Capabilities beyond this are small protocols of their own (`Declared`, `Clustering`, `Invertible`, `Levelled`,
    `Annealed`, `Regularised`, `Diagnosable`), found by ``isinstance`` and never by name.

    Source: Miao et al., section 4.
    """

    y_dim: int
    z_dim: int

    def __call__(self, y: Tensor, /) -> Tensor:
        """Map each row of `y`."""
        ...


# --- optional capabilities -------------------------------------------------------------------------------------


@runtime_checkable
class Declared(Protocol):
    """A mapping that declares its properties."""

    @property
    def properties(self) -> Properties:
        """The promises."""
        ...


@runtime_checkable
class Clustering(Protocol):
    """A mapping that cuts the latent space into clusters."""

    @property
    def n_clusters(self) -> int:
        """Number of clusters K."""
        ...

    def assign(self, y: Tensor) -> Tensor:
        """Index of the cluster of each row, ``(..., y_dim) -> (...)``, integers in ``[0, K)``."""
        ...

    def proportions(self) -> Tensor:
        """The prior's mass in each cluster, shape ``(K,)``, sums to 1."""
        ...


@runtime_checkable
class Invertible(Protocol):
    """An injective mapping with an inverse on its image and a volume change."""

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``."""
        ...

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log |det J|`` of each row, J = dg/dy, or ``log(det J^T J) / 2`` into more dimensions; shape ``(...)``."""
        ...


@runtime_checkable
class Regularised(Protocol):
    """A mapping with auxiliary losses that are computed in the same forward pass.

    ``loss = -ELBO + sum of regularisers[name] * term[name]``; weights are never negative.
    """

    @property
    def regularisers(self) -> Dictionary[str, float]:
        """Weight of each term, by name."""
        ...

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``z`` and the scalar terms for a batch ``(..., y_dim)``."""
        ...


@runtime_checkable
class Annealed(Protocol):
    """A mapping whose bias a run can turn on gradually, by the schedule named ``strength``.

    With the whole bias from the first step, training can end in a poor optimum: the posterior's samples seldom fall
    where g is steep, so the gradient hardly shows what crossing such a place would bring. With a weak bias the encoder
    first finds its arrangement, and keeps it as the bias grows. At each strength g is a valid mapping, and the
    strength that it was saved with belongs to its state.
    """

    def set_strength(self, strength: float) -> None:
        """Set the strength: 0 is no bias (the identity, if that makes sense), 1 the mapping that the spec describes."""
        ...


@runtime_checkable
class Levelled(Protocol):
    """A mapping whose dimensions form levels, from the top one, on which all others depend, to the lowest."""

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The dimensions of each level, in y and in z alike."""
        ...


@runtime_checkable
class Diagnosable(Protocol):
    """A mapping that can judge from encoded data whether its bias took."""

    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        """Numbers, and lists of numbers, about posterior means `y` of shape ``(n, y_dim)``."""
        ...


# --- specs -----------------------------------------------------------------------------------------------------


def _read_dims(value: object) -> object:
    """Dimensions written as ``0-1``, as ``3`` or as a list."""
    if not isinstance(value, str):
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value
    shown = repr(value if len(value) <= 60 else f"{value[:60]}…")
    first, dash, last = value.partition("-")
    try:
        low, high = int(first), int(last if dash else first)
    except ValueError:
        raise ValueError(f"{shown} is neither a range such as 0-1 nor a list such as [0,2]") from None
    if not 0 <= high - low < 100_000:
        raise ValueError(f"{shown} is an empty or too large range")
    return tuple(range(low, high + 1))


Dims = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), BeforeValidator(_read_dims)]


class MappingSpec(ComponentSpec):
    """Base of every mapping's spec.

    A plugin's whole spec is a subclass with fields and one method, `build`, registered under the entry-point
    group ``intelvae.mappings``; it imports torch in `build`, not at the top.
    """

    kind: ClassVar[str] = "mappings"
    dims: Dims | None = Field(
        None, description="dimensions of y that the mapping acts on, e.g. 0-1 or [0,3]; the rest pass through"
    )

    def advised_schedules(self, steps: int, settled: Dictionary[str, ScheduleSpec]) -> dict[str, ScheduleSpec]:
        """Schedules that a run should have unless its user names others; none by default.

        Args:
            steps: length of the run.
            settled: the schedules that are already decided, that of ``kl`` among them.

        Returns:
            Schedules by name: ``strength`` for a mapping that is `Annealed` (ignored if two mappings of a run
            disagree), or the name of one of its auxiliary losses.
        """
        return {}

    def build(self, y_dim: int) -> Mapping:
        """The mapping for `y_dim` dimensions.

        Raises:
            ValueError: if there is no such mapping for `y_dim` dimensions.
        """
        raise PluginError(f"{type(self).__name__} does not define build(y_dim)")
