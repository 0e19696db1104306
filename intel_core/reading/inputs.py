"""Who reads what a user holds? The base of readers, and how the one for an object is found.

A *reader* is a component of the kind ``inputs``: its spec says which objects it reads and how, and one is chosen by the
type of the object. Nothing is imported to find out: classes are known by their names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from intel_core.components.discovery import available
from intel_core.components.loading import load, name_of
from intel_core.components.spec import ComponentSpec, parse_spec, texts_as_data, validate
from intel_core.errors import EnvironmentProblem, PluginError, SpecError
from intel_core.reading.capabilities import Examples

__all__ = [
    "Choose",
    "InputSpec",
    "all_options",
    "as_it_comes",
    "frame_of",
    "options_like",
    "reader_class",
    "reader_of",
    "type_names",
]

Choose = Callable[[Sequence[str]], "list[int] | None"]
"""Of the names of all columns, the positions of those that are wanted, in order; None if they are not known by name."""


def as_it_comes(names: Sequence[str]) -> list[int] | None:
    """No columns are known by name."""
    return None


class InputSpec(ComponentSpec):
    """Base of every reader's spec, registered under the entry-point group ``intelvae.inputs``.

    Its fields are what may be said beside the object: ``fit(data=adata, layer="counts")``. A run keeps them, so that
    objects that are encoded later are read in the same way.
    """

    kind: ClassVar[str] = "inputs"
    types: ClassVar[tuple[str, ...]] = ()
    """Classes whose objects are read, and those of their subclasses: ``"anndata.AnnData"``, the outermost package and
    the name of the class. Of several readers, that of the nearest base class is taken."""

    @classmethod
    def takes(cls, given: object) -> bool:
        """Whether an object is read that no reader knows by its class, such as one with certain methods."""
        return False

    def parts(self, given: Any) -> tuple[Any, Any, Any] | None:
        """What is held for training, validation and testing, each an object for a reader; None if it is not split.

        A part that is None is drawn from the training part.
        """
        return None

    def read(self, name: str, given: Any, choose: Choose = as_it_comes) -> Examples:
        """The examples, in their own order and units; numbers as exact as they are, NaN where one is missing.

        Args:
            name: of the data, for messages.
            given: the object.
            choose: tells which columns are wanted, where they have names and a trained model knows them.

        Raises:
            DataError: if they cannot be read, in a line that names what stands in the way.
        """
        raise PluginError(f"{type(self).__name__} does not define read(name, given, choose)")

    def frame(self, given: Any, columns: Mapping[str, Any]) -> Any:
        """Columns of numbers about the rows of an object as a data frame, of the library and with the index it has.

        Raises:
            EnvironmentProblem: if no library of data frames is installed.
        """
        return frame_of(columns)


def frame_of(columns: Mapping[str, Any], index: Sequence[Any] | None = None) -> Any:
    """A data frame of pandas, or of another library if that is not installed.

    Args:
        columns: arrays ``(n,)`` by name.
        index: of the rows; lost in a library whose frames have none, or if it is of something else.

    Raises:
        EnvironmentProblem: if there is none.
    """
    import narwhals

    for library in ("pandas", "polars", "pyarrow"):
        with contextlib.suppress(ImportError):
            frame = narwhals.from_dict(dict(columns), backend=library).to_native()
            if index is not None and hasattr(frame, "index") and len(index) == len(frame):
                frame.index = index
            return frame
    raise EnvironmentProblem("a data frame needs a library of them, such as pandas: pip install pandas")


def type_names(given: object) -> list[str]:
    """The classes of an object, nearest first, as `InputSpec.types` names them.

    >>> import collections
    >>> type_names(collections.OrderedDict())
    ['collections.OrderedDict', 'builtins.dict', 'builtins.object']
    """
    return [f"{one.__module__.partition('.')[0]}.{one.__qualname__}" for one in type(given).__mro__]


def all_options() -> set[str]:
    """Everything that some installed reader may be told.

    >>> {"drop", "label"} <= all_options()
    True
    """
    options: set[str] = set()
    for component in available("inputs"):
        if component.is_live:
            with contextlib.suppress(PluginError):
                options |= {*load("inputs", component.qualified).model_fields}
    return options


def reader_class(given: object) -> type[InputSpec] | None:
    """The reader's class of an object; None if nothing reads it.

    Raises:
        SpecError: if several do, and none knows its class better than the others.
    """
    bases = type_names(given)
    found: list[tuple[int, str, type[InputSpec]]] = []
    for component in available("inputs"):
        if not component.is_live:
            continue
        with contextlib.suppress(PluginError):  # one that is broken does not keep others from reading
            spec_class = cast("type[InputSpec]", load("inputs", component.qualified))
            near = [bases.index(name) for name in spec_class.types if name in bases]
            if near or spec_class.takes(given):
                found.append((min(near, default=len(bases)), component.qualified, spec_class))
    nearest = [one for one in found if one[0] == min(rank for rank, _, _ in found)]
    if len(nearest) > 1:
        names = [name for _, name, _ in nearest]
        raise SpecError(
            f"data: a {type(given).__name__} is read by {' and by '.join(names)}; INTEL_DISABLE_PLUGINS={names[0]} "
            "leaves the other"
        )
    return nearest[0][2] if nearest else None


def reader_of(given: object, options: Mapping[str, Any] | None = None) -> InputSpec | None:
    """The reader of an object; None if nothing reads it.

    Args:
        given: the object.
        options: fields of the reader's spec.

    Raises:
        SpecError: if it knows no such option, or two readers are equally near.
    """
    spec_class = reader_class(given)
    if spec_class is None:
        return None
    name = f"data (read as {name_of('inputs', spec_class)})" if options else ""
    return cast("InputSpec", validate(spec_class, name, options)) if options else spec_class()


def options_like(given: object, text: str) -> dict[str, Any]:
    """What was said to the reader of other objects, if it is one for this object, too.

    Args:
        given: the object.
        text: the reader of the others, as a run keeps it.
    """
    if not text:
        return {}
    with contextlib.suppress(SpecError), texts_as_data():
        former = parse_spec("inputs", text)
        if type(former) is reader_class(given):
            return {key: getattr(former, key) for key in former.model_fields_set}
    return {}
