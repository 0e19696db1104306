"""Which likelihood has each column of a table? A spec that names them, and that the data complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from intel_core.components.spec import format_spec, parse_spec
from intel_core.errors import DataError, SpecError, did_you_mean
from intel_core.helpers.advice import AdvisesEncoder, ChecksData
from intel_core.model.contract import LikelihoodSpec, NetworkSpec

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset, Support
    from intel_core.model.likelihood import Likelihood

__all__ = ["MixedSpec"]

_MOST_NAMED = 5


def _pairs(value: Any) -> Any:
    """A dictionary stands for pairs, and one column for a list of one."""
    pairs = value.items() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple) or any(not isinstance(p, list | tuple) or len(p) != 2 for p in pairs):
        raise ValueError('expected likelihoods with their columns: {"gaussian": ["height"], "poisson": ["visits"]}')
    return tuple((text, tuple(of) if isinstance(of, list | tuple) else (of,)) for text, of in pairs)


class MixedSpec(LikelihoodSpec):
    """Tables whose columns hold values of several kinds: a likelihood for each kind, and its columns."""

    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit", "real")
    parts: Annotated[tuple[tuple[str, tuple[int | str, ...]], ...], BeforeValidator(_pairs)] = Field(
        (), description="likelihoods with their columns, by name or by position from 0"
    )
    rest: str | None = Field("gaussian", description="likelihood of all columns that no part names; none if null")

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        columns = [column for _, of in self.parts for column in of]
        for text in (*(text for text, _ in self.parts), *((self.rest,) if self.rest else ())):
            if isinstance(_likelihood(text), MixedSpec):
                raise ValueError("a part of mixed cannot be mixed itself")
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"column {column!r} is in two parts")
        for text, of in self.parts:
            if not of:
                raise ValueError(f"{text} has no columns")
        return self

    def for_data(self, dataset: Dataset) -> MixedSpec:
        """The same parts with the positions of all their columns, and `rest` among them.

        Raises:
            DataError: if a column is missing, no part explains one, or examples are no vectors.
        """
        if len(dataset.x_shape) != 1:
            raise DataError(
                f"likelihood mixed is for tables, but {dataset.name} has examples of shape {dataset.x_shape}"
            )
        width, names = dataset.x_shape[0], dataset.columns
        parts = [(text, [_position(column, names, width, dataset.name) for column in of]) for text, of in self.parts]
        taken = [column for _, of in parts for column in of]
        for column in taken:
            if taken.count(column) > 1:
                raise DataError(f"likelihood mixed: column {_named(column, names)} of {dataset.name} is in two parts")
        left = [column for column in range(width) if column not in taken]
        if left and self.rest is None:
            said = ", ".join(_named(column, names) for column in left[:_MOST_NAMED])
            raise DataError(
                f"likelihood mixed: no part explains column{'s' * (len(left) > 1)} {said}"
                f"{', …' * (len(left) > _MOST_NAMED)} of {dataset.name}; rest=gaussian is for all others"
            )
        if left and self.rest is not None:
            parts.append((self.rest, left))
        explicit = tuple((format_spec(_likelihood(text), explicit=True), tuple(of)) for text, of in parts)
        return self.model_copy(update={"parts": explicit, "rest": None})

    def _settled(self) -> Iterator[tuple[LikelihoodSpec, list[int]]]:
        """The parts, once their columns are known."""
        for text, of in self.parts:
            positions = [column for column in of if isinstance(column, int)]
            if len(positions) < len(of) or self.rest is not None:
                raise ValueError("columns that are named need the data; build it after for_data(dataset)")
            yield _likelihood(text), positions

    def advised_encoder(self, usual: NetworkSpec) -> NetworkSpec:
        """What the parts advise, one after another: counts are seen by their logarithms."""
        for text, _ in self.parts:
            part = _likelihood(text)
            usual = part.advised_encoder(usual) if isinstance(part, AdvisesEncoder) else usual
        return usual

    def check_data(self, dataset: Dataset) -> None:
        """Each part looks at its own columns.

        Raises:
            DataError: if values are others than a part explains, with the part.
        """
        from intel_core.reading.arrays import support_of

        for part, columns in self._settled():
            own = _of_columns(dataset, columns)
            own = replace(own, support=support_of(own.train.x))
            if own.support not in part.supports:
                raise DataError(
                    f"likelihood mixed: {part} explains {' or '.join(part.supports)} values, but {own.name} has "
                    f"{own.support} ones; standardize=[…] names the columns that are to be standardised"
                )
            if isinstance(part, ChecksData):
                if own.scaling is not None:
                    raise DataError(
                        f"likelihood mixed: {part} explains values as they are, but {own.name} were standardised; "
                        "standardize=[…] names the columns that are to be"
                    )
                part.check_data(own)

    def build(self) -> Likelihood:
        """See `intel_likelihoods.mixed.Mixed`."""
        from intel_likelihoods.mixed import Mixed

        return Mixed([(part.build(), columns) for part, columns in self._settled()])


def _likelihood(text: str) -> LikelihoodSpec:
    try:
        return cast(LikelihoodSpec, parse_spec("likelihoods", text))
    except SpecError as error:
        raise ValueError(str(error)) from None


def _position(column: int | str, names: tuple[str, ...], width: int, name: str) -> int:
    if isinstance(column, int):
        if not 0 <= column < width:
            raise DataError(
                f"likelihood mixed: there is no column {column} in {name}; its {width} are 0 to {width - 1}"
            )
        return column
    if not names:
        raise DataError(f"likelihood mixed: the columns of {name} have no names; say their positions, from 0")
    if column not in names:
        raise DataError(
            f"likelihood mixed: {name} has no column {column!r}{did_you_mean(column, list(names), say='columns')}"
        )
    return names.index(column)


def _named(column: int, names: tuple[str, ...]) -> str:
    return repr(names[column]) if names else str(column)


def _of_columns(dataset: Dataset, columns: list[int]) -> Dataset:
    """Some columns of a data set."""
    said = ", ".join(_named(column, dataset.columns) for column in columns[:_MOST_NAMED])
    said += ", …" * (len(columns) > _MOST_NAMED)
    scaling = None
    if dataset.scaling is not None:
        mean, std = (tuple(of[column] for column in columns) for of in dataset.scaling)
        is_plain = set(mean) == {0.0} and set(std) == {1.0}
        scaling = None if is_plain else (mean, std)
    splits = [
        replace(part, x=part.x[:, columns], digest="") for part in (dataset.train, dataset.validation, dataset.test)
    ]
    names = tuple(dataset.columns[column] for column in columns) if dataset.columns else ()
    return replace(
        dataset,
        name=f"column{'s' * (len(columns) > 1)} {said} of {dataset.name}",
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        scaling=scaling,
        columns=names,
    )
