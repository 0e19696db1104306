"""What does a mapping declare? Its properties as lines of text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.mappings.compose import properties_of

if TYPE_CHECKING:
    from intel_core.mappings.contract import Mapping
    from intel_core.mappings.properties import Locus

__all__ = ["as_json", "as_lines", "parameters_of"]

_MOST_PLACES = 3


def parameters_of(mapping: Mapping) -> int:
    """Number of learnable parameters."""
    return sum(p.numel() for p in mapping.parameters()) if isinstance(mapping, nn.Module) else 0


def as_json(mapping: Mapping) -> dict[str, Any]:
    """All properties; what is not declared is null or an empty list. Dimensions are counted from 0."""
    promised = properties_of(mapping)
    steep = promised.hoelder
    return {
        "y_dim": mapping.y_dim,
        "z_dim": mapping.z_dim,
        "parameters": parameters_of(mapping),
        "continuous": promised.continuous,
        "injective": promised.injective,
        "norm_bound": promised.norm_bound,
        "clusters": promised.clusters,
        "proportions": _proportions(mapping),
        "betti": promised.betti,
        "sparsity": promised.sparsity,
        "hoelder": None if steep is None else {"constant": steep.constant, "exponent": steep.exponent},
        "planes": promised.planes,
        "centres": [_place(place) for place in promised.centres],
        "seams": [_place(place) for place in promised.seams],
    }


def _proportions(mapping: Mapping) -> list[float] | None:
    clusters = clustering_of(mapping)
    return None if clusters is None else [float(p) for p in clusters[0].proportions().detach().double()]


def _place(place: Locus) -> dict[str, Any]:
    return {"dims": place.dims, "point": place.point, "directions": place.directions}


def as_lines(mapping: Mapping) -> dict[str, str]:
    """A sentence for each declared property; coordinates are counted from 0, as in specs."""
    promised = properties_of(mapping)
    lines = {"continuous": "yes" if promised.continuous else "no"}
    if promised.injective:
        # A map onto a thin neighbourhood of a circle is injective only in exact arithmetic.
        thin = promised.betti is not None
        lines["injective"] = (
            "on paper: what is lost is thinner than eps" if thin else "yes: KL(q(z|x) ‖ p(z)) is that of y"
        )
    if promised.clusters is not None:
        shares = _proportions(mapping) or []
        shown = ", ".join(f"{share:.3g}" for share in shares[:12]) + (", …" if len(shares) > 12 else "")
        lines["clusters"] = f"{promised.clusters}" + (f", with shares {shown} of the prior" if shown else "")
    if promised.norm_bound is not None:
        lines["norm"] = f"‖z‖ ≤ {promised.norm_bound:.4g}"
    if promised.betti is not None:
        lines["topology"] = f"Betti numbers {', '.join(map(str, promised.betti))}: {_topology(promised.betti)}"
    if promised.sparsity is not None:
        lines["sparsity"] = "mean Hoyer score between {:.3g} and {:.3g}".format(*promised.sparsity)
    if promised.hoelder is not None:
        steep = promised.hoelder
        power = "" if steep.exponent == 1 else f"^{steep.exponent:.3g}"
        lines["steepness"] = f"‖g(y) − g(y′)‖ ≤ {steep.constant:.4g} ‖y − y′‖{power} for points at most 1 apart"
    if promised.planes:
        lines["planes"] = _some([_names(plane) for plane in promised.planes], 6)
    if promised.centres:
        lines["centres"] = _some(_told(promised.centres), _MOST_PLACES)
    if promised.seams:
        lines["seams"] = _some(_told(promised.seams), _MOST_PLACES)
    return lines


def _topology(betti: Sequence[int]) -> str:
    """What the first numbers count.

    >>> _topology((1, 5))
    '1 piece, 5 loops'
    """
    names = ("piece", "loop", "void")
    counts = [f"{n} {name}{'' if n == 1 else 's'}" for n, name in zip(betti, names, strict=False)]
    return ", ".join(counts)


def _some(texts: list[str], most: int) -> str:
    rest = len(texts) - most
    return "; ".join(texts[:most]) + (f"; and {rest} more" if rest > 0 else "")


def _names(dims: Sequence[int]) -> str:
    inside = ", ".join(f"y{i}" for i in dims)
    return f"({inside})" if len(dims) > 1 else inside


def _told(places: Sequence[Locus]) -> list[str]:
    """Where they are; those that are told in the same words, counted."""
    counts = Counter(_where(place) for place in places)
    return [text if n == 1 else f"{text} ({n} of these)" for text, n in counts.items()]


def _where(place: Locus) -> str:
    values = ", ".join(f"{x:.3g}" for x in place.point)
    text = f"{_names(place.dims)} = {f'({values})' if len(place.dims) > 1 else values}"
    if len(place.directions) == 1:
        text += f" along ({', '.join(f'{x:.3g}' for x in place.directions[0])})"
    elif place.directions:
        text += f" along {len(place.directions)} directions"
    return text
