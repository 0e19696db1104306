"""How do the data sets and data loaders of torch become examples? Item by item, in the order of the data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler

from intel_core.components.wording import one_line
from intel_core.errors import DataError, IntelError
from intel_core.reading.capabilities import Examples
from intel_core.reading.columns import Column, Columns, examples_in
from intel_core.reading.labelling import labels_beside
from intel_core.reading.values import as_array, read_exactly

if TYPE_CHECKING:
    from intel_core.reading.inputs import Choose

__all__ = ["array_of", "columns_of_items", "read_items"]


def read_items(
    name: str, given: Any, asked: Columns, most: int | None, choose: Choose, *, called: str = ""
) -> Examples:
    """All examples of a data set or a data loader, in memory.

    Args:
        name: of the data, for messages.
        given: a data set, by number or by iteration, whose items are x, (x, label) or a dictionary; or a loader of one.
            A loader that shuffles is read in the order of its data set, and the last batch is read, too: a training
            shuffles by itself.
        asked: what is said about the entries of dictionaries.
        most: how many examples to take, the first ones.
        choose: as of `InputSpec.read`, for the entries of dictionaries.
        called: what messages call it; its class by default.

    Raises:
        DataError: if it is empty or may never end, an item cannot be read, or items are of different kinds.

    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from intel_core.reading.inputs import as_it_comes
    >>> data = TensorDataset(torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 0]))
    >>> found = read_items("mine", DataLoader(data, batch_size=2), Columns(), None, as_it_comes)
    >>> found.x.tolist(), found.labels
    ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], tensor([0, 1, 0]))
    """
    what = f"{name}: a {called or type(given).__name__}"
    batched = isinstance(given, DataLoader) and given.batch_sampler is not None
    if isinstance(given, DataLoader) and not batched:
        raise DataError(f"{what} without batches (batch_size=None); give its data set: data=loader.dataset")
    length = _length(given)
    if length is None and most is None:
        raise DataError(f"{what} has no length and may never end; examples=N takes the first N")
    if length == 0:
        raise DataError(f"{what} of no items; nothing to model")
    collected: dict[Any, list[Any]] = {}
    form, count = None, 0
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed for its workers
        for item in _guarded(what, _items(given, most)):
            parts = _parts(what, item)
            if form is None:
                form = list(parts)
            elif list(parts) != form:
                raise DataError(f"{what}: item {count} holds {_named(parts)}, and those before it {_named(form)}")
            for key, value in parts.items():
                collected.setdefault(key, []).append(value)
            count += len(parts[form[0]]) if batched else 1
            if most is not None and count >= most:
                break
    if not count:
        raise DataError(f"{what} of no items; nothing to model")
    joined = {key: _joined(what, key, values, batched=batched)[:most] for key, values in collected.items()}
    if form is not None and all(isinstance(key, str) for key in form):
        return examples_in(name, columns_of_items(joined), asked, choose)
    if asked.label is not None or asked.columns or asked.drop or asked.id:
        raise DataError(f"{what} gives items without names; label, columns, drop and id go with dictionaries")
    x = read_exactly(name, joined[0]).x
    labels, classes = labels_beside(name, joined.get(1), len(x))
    return Examples(x, labels, classes)


def columns_of_items(entries: dict[str, Any]) -> list[Column]:
    """Entries of dictionaries as columns: words, numbers, or an array in each row."""
    columns = []
    for key, values in entries.items():
        if values.dtype.kind in "USO" and values.ndim == 1:
            sort, said = (
                ("words", "words") if all(isinstance(v, str) for v in values.tolist()) else ("other", "objects")
            )
        elif values.ndim > 1:
            sort, said = "rows", f"an array of shape {tuple(values.shape[1:])}"
        else:
            sort, said = ("numbers", "numbers") if values.dtype.kind in "buif" else ("other", str(values.dtype))
        columns.append(Column(key, sort, lambda values=values: values, said))  # type: ignore[misc,arg-type]
    return columns


def _length(given: Any) -> int | None:
    """How many items or batches there are; None if that is not known."""
    try:
        return len(given)
    except (TypeError, NotImplementedError):
        return None


def _items(given: Any, most: int | None) -> Iterator[Any]:
    """Items, or batches of them, in the order of the data set."""
    if isinstance(given, DataLoader):
        yield from _in_order(given)
    elif isinstance(given, IterableDataset) or not hasattr(given, "__getitem__"):
        yield from given
    else:
        length = _length(given)
        for number in range(min(one for one in (length, most) if one is not None)):
            yield given[number]


def _in_order(loader: DataLoader[Any]) -> Iterable[Any]:
    """The loader as it is, or if it shuffles or leaves out the last batch, one like it that does not."""
    plain = type(loader.sampler) in (RandomSampler, SequentialSampler) and type(loader) is DataLoader
    if not plain or loader.batch_size is None or isinstance(loader.dataset, IterableDataset):
        return loader
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        generator=torch.Generator(),
    )


def _guarded(what: str, items: Iterator[Any]) -> Iterator[Any]:
    """Items, and what their own code raises in a line that tells which it was."""
    number = 0
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except (IntelError, Warning, MemoryError):
            raise
        except Exception as error:
            said = one_line(f"{type(error).__name__}: {error}")
            raise DataError(f"{what}: item {number} cannot be read: {said}") from error
        yield item
        number += 1


def _parts(what: str, item: Any) -> dict[Any, Any]:
    """The parts of an item or a batch: by name, or x as 0 and the label as 1."""
    if isinstance(item, dict):
        return {str(key): value for key, value in item.items()}
    if isinstance(item, tuple | list) and not _are_numbers(item):
        if len(item) > 2 or not item:
            raise DataError(
                f"{what} gives items of {len(item)} parts; expected x or (x, label); of more, dictionaries say which "
                "is which"
            )
        return dict(enumerate(item))
    return {0: item}


def _are_numbers(item: Sequence[Any]) -> bool:
    """Whether a list holds the values of one example."""
    return bool(item) and isinstance(item, list) and all(isinstance(value, int | float) for value in item)


def _named(parts: Iterable[Any]) -> str:
    words = [repr(part) if isinstance(part, str) else ("x", "a label")[part] for part in parts]
    return " and ".join(words) or "nothing"


def _joined(what: str, key: Any, values: Sequence[Any], *, batched: bool) -> Any:
    """The values of all items as one array."""
    import numpy as np

    where = f"{what}: {repr(key) if isinstance(key, str) else ('x', 'the labels')[key]}"
    arrays = [array_of(where, value) for value in values]
    shapes = {array.shape[1:] if batched else array.shape for array in arrays}
    if len(shapes) > 1:
        first, other = sorted(shapes)[:2]
        raise DataError(
            f"{where} has items of shapes {first} and {other}; a model needs one: a transform of the data set that "
            "resizes them"
        )
    if batched and any(array.ndim == 0 for array in arrays):
        raise DataError(f"{where}: batches of no examples; give the data set itself: data=loader.dataset")
    return np.concatenate(arrays) if batched else np.stack(arrays)


def array_of(name: str, value: Any) -> Any:
    """One value as an array: a tensor, an image (its channels first), numbers, or words."""
    import numpy as np

    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    is_image = hasattr(value, "mode") and hasattr(value, "getbands")
    if is_image and value.mode in ("P", "1", "CMYK", "YCbCr"):
        value = value.convert("RGB" if value.mode != "1" else "L")
    array = np.asarray(value) if isinstance(value, str) else as_array(name, value)
    return np.moveaxis(array, -1, 0) if is_image and array.ndim == 3 else array
