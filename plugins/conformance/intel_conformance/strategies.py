"""What do property-based tests draw? Hypothesis strategies for points, latents, noise, posteriors and specs.

Single points, segments and posteriors are drawn as numbers, so that a failing example shrinks to one that can be read.
Of batches hypothesis draws an integer seed, from which a torch generator makes the tensors: such an example can be
repeated, unlike draws from torch's global random state.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

import torch
from hypothesis import reject
from hypothesis import strategies as st
from pydantic.fields import FieldInfo
from torch import Tensor

from intel_conformance.places import onto
from intel_core.components.discovery import available
from intel_core.components.loading import load
from intel_core.errors import IntelError
from intel_core.mappings.contract import MappingSpec
from intel_core.mappings.properties import Properties
from intel_core.model.posterior import DiagonalGaussian

__all__ = ["Segment", "features", "gaussians", "latents", "noises", "points", "segments", "specs"]

_SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def latents(
    draw: Callable[[Any], Any],
    y_dim: int,
    *,
    rows: int | None = None,
    dtype: torch.dtype = torch.float64,
    most: float = 1e6,
) -> Tensor:
    """Rows of y of shape ``(rows, y_dim)``: standard normal draws, some of them scaled, on axes or at the origin.

    Args:
        draw: supplied by hypothesis.
        y_dim: number of dimensions.
        rows: number of rows; 1 to 40 if None.
        dtype: of y.
        most: the largest scale that is drawn; the smallest is 1e-30.
    """
    n = draw(st.integers(1, 40)) if rows is None else rows
    generator = torch.Generator().manual_seed(draw(_SEEDS))
    y = torch.randn(n, y_dim, generator=generator, dtype=torch.float64)
    size = draw(st.sampled_from([s for s in (1.0, 1e-30, 1e-7, 1e-3, 30.0, 1e3, 1e6) if s <= most]))
    kind = draw(st.sampled_from(["inside", "axes", "origin"]))
    if kind == "axes":
        keep = torch.randint(0, y_dim, (n,), generator=generator)
        y = torch.where(torch.arange(y_dim) == keep[:, None], y, 0.0)
    elif kind == "origin":
        y[torch.randint(0, n, (1,), generator=generator)] = 0.0
    rows_of_y: Tensor = (size * y).to(dtype)
    return rows_of_y


def points(y_dim: int, *, most: float = 6.0) -> st.SearchStrategy[tuple[float, ...]]:
    """One y as numbers from -most to most, with few decimals where that is enough; shrinks towards 0.

    >>> points(2).validate()
    """
    plain = st.integers(-round(100 * most), round(100 * most)).map(lambda n: n / 100)
    return st.tuples(*[st.one_of(plain, st.floats(-most, most, allow_subnormal=False)) for _ in range(y_dim)])


class Segment(NamedTuple):
    """Two points of the space of y, and what lies between them."""

    start: tuple[float, ...]
    end: tuple[float, ...]
    across: str = "anything"


@st.composite
def segments(draw: Callable[[Any], Any], y_dim: int, declared: Properties | None = None) -> Segment:
    """A segment: between any two points, across a declared seam, or past a declared centre.

    Args:
        draw: supplied by hypothesis.
        y_dim: number of dimensions.
        declared: properties whose seams and centres are crossed; for none, any segment.
    """
    places = (*declared.seams, *declared.centres) if declared else ()
    start = draw(points(y_dim))
    number = draw(st.integers(0, len(places)))
    if number == 0:
        end = draw(points(y_dim))
        if start == end:
            reject()
        return Segment(start, end)
    place = places[number - 1]
    at = onto(place, torch.tensor(start, dtype=torch.float64)[None])[0]
    way = torch.tensor(draw(points(y_dim, most=2.0)), dtype=torch.float64)
    if not bool(way.any()):
        reject()
    return Segment(tuple((at - way).tolist()), tuple((at + 1.3 * way).tolist()), f"{place}")


@st.composite
def gaussians(draw: Callable[[Any], Any], y_dim: int, *, dtype: torch.dtype = torch.float64) -> DiagonalGaussian:
    """A diagonal Gaussian posterior of shape ``(1, y_dim)``: the prior itself, or one near it or far from it."""
    mean = draw(points(y_dim, most=4.0))
    log_variance = [min(value, 2.0) for value in draw(points(y_dim))]
    return DiagonalGaussian(torch.tensor([mean], dtype=dtype), torch.tensor([log_variance], dtype=dtype))


@st.composite
def noises(
    draw: Callable[[Any], Any], noise_dim: int, *leading: int, dtype: torch.dtype = torch.float64, most: float = 8.0
) -> Tensor:
    """Standard normal noise of shape ``(*leading, noise_dim)``, all 0 or far out in some examples.

    Args:
        draw: supplied by hypothesis.
        noise_dim: how many numbers a draw takes, `intel_core.Prior.noise_dim`.
        leading: the other dimensions; ``(1 to 40,)`` if none is given.
        dtype: of the noise.
        most: the largest absolute value.
    """
    shape = leading or (draw(st.integers(1, 40)),)
    generator = torch.Generator().manual_seed(draw(_SEEDS))
    scale = draw(st.sampled_from([1.0, 0.0, 3.0]))
    noise: Tensor = scale * torch.randn(*shape, noise_dim, generator=generator, dtype=torch.float64)
    return noise.clamp(-most, most).to(dtype)


@st.composite
def features(
    draw: Callable[[Any], Any],
    width: int,
    *,
    examples: int | None = None,
    dtype: torch.dtype = torch.float64,
    most: float = 20.0,
) -> Tensor:
    """What an encoder may give for a `intel_core.PosteriorFamily`, ``(examples, width)``: small, usual or extreme.

    Args:
        draw: supplied by hypothesis.
        width: number of features, `intel_core.PosteriorFamily.features`.
        examples: number of rows; 1 to 40 if None.
        dtype: of the features.
        most: the largest absolute value.
    """
    n = draw(st.integers(1, 40)) if examples is None else examples
    generator = torch.Generator().manual_seed(draw(_SEEDS))
    scale = draw(st.sampled_from([1.0, 0.0, 1e-3, 5.0]))
    found: Tensor = scale * torch.randn(n, width, generator=generator, dtype=torch.float64)
    return found.clamp(-most, most).to(dtype)


def specs(*choices: str | type[MappingSpec], y_dim: int = 4) -> st.SearchStrategy[MappingSpec]:
    """Specs with drawn settings that can be built in `y_dim` dimensions.

    Args:
        choices: spec classes or names of installed mappings; if none is given, all that are installed.
        y_dim: number of dimensions in which the specs can be built.

    >>> specs("circle").validate()
    """
    names: tuple[Any, ...] = choices or tuple(c.name for c in available("mappings") if c.status == "OK")
    classes = [cast(type[MappingSpec], name if inspect.isclass(name) else load("mappings", name)) for name in names]
    return st.one_of([_of_class(spec_class, y_dim) for spec_class in classes])


@st.composite
def _of_class(draw: Callable[[Any], Any], spec_class: type[MappingSpec], y_dim: int) -> MappingSpec:
    """Each field has its default or is drawn from its type and bounds; specs that cannot be built are rejected."""
    values: dict[str, Any] = {}
    for name, field in spec_class.model_fields.items():
        if name == "dims" or (not field.is_required() and draw(st.booleans())):
            continue
        values[name] = draw(_of_field(field))
    try:
        spec = spec_class.model_validate(values)
        with torch.random.fork_rng(devices=[]):
            spec.build(y_dim)
    except (ValueError, IntelError):
        reject()
    return spec


def _of_field(field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values of the type of a field within its bounds, which do not apply to None."""
    parts = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    choices: list[st.SearchStrategy[Any]] = [st.none()] if NoneType in parts else []
    for part in parts:
        if part is not NoneType:
            kind: Any = part
            for item in field.metadata:
                kind = Annotated[kind, item]
            choices.append(st.from_type(kind))
    return st.one_of(choices)
