"""Which images are in memory, and how are the others read? Training images may stay on disk, read by row number."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from intel_core.compute.memory import fits_beside, require_bytes
from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError
from intel_core.reading.streamed import StreamedSplit

__all__ = ["ImageFiles", "Stream", "dataset_of_images"]

Stream = bool | Literal["auto"]
Values = Literal["any", "binary", "mask"]
Array = np.ndarray[Any, Any]

_SAMPLE = 64
"""How many training images are checked before a streamed run begins; they are evenly spaced."""


class ImageFiles:
    """Image files of one shape, read by row number; the `intel_core.reading.ahead.Rows` of a folder.

    Args:
        name: of the data set, for messages.
        folder: where the files are.
        text: their names relative to the folder, joined to one bytes object: a list of millions of strings would take
            more memory than a streamed run, and would be copied by each process that reads.
        ends: position in `text` at which each name ends, integers ``(n,)``.
        decode: reads one file as uint8 ``(C, H, W)``; a function that can be pickled.
        like: the file that decided the shape of an image, and that shape.
        values: what all images hold: ``"any"`` for bytes of any value; ``"binary"`` for 0 and 255 only; ``"mask"`` for
            0 and 1 only, which are read as 0 and 255.
    """

    itemsize = 1

    def __init__(
        self,
        name: str,
        folder: Path,
        text: bytes,
        ends: Array,
        decode: Callable[[Path], Array],
        like: tuple[str, tuple[int, ...]],
        values: Values = "any",
    ) -> None:
        self._name, self._folder, self._text, self._ends = name, folder, text, ends
        self._decode, self._like, self._values = decode, like, values

    @classmethod
    def of(cls, name: str, folder: Path, files: Sequence[str], decode: Callable[[Path], Array]) -> ImageFiles:
        """Files by their names relative to a folder; the first file decides the shape.

        Raises:
            DataError: if the first file cannot be read.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.full((1, 2, 2), 7, np.uint8))
        ...     files = ImageFiles.of("x", Path(folder), ["a.npy"] * 3, np.load)
        ...     files.shape, files.take(np.array([0, 2])).read([1]).tolist()
        ((3, 1, 2, 2), [[[[7, 7], [7, 7]]]])
        """
        encoded = [os.fsencode(file) for file in files]
        ends = np.cumsum([len(file) for file in encoded], dtype=np.int64)
        return cls(name, folder, b"".join(encoded), ends, decode, (files[0], decode(folder / files[0]).shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of images, then channels, height and width."""
        return (len(self._ends), *self._like[1])

    @property
    def size(self) -> float:
        """Bytes of all images in memory."""
        return float(math.prod(self.shape))

    def __repr__(self) -> str:
        return f"{self.shape[0]:,} files in {self._folder}"

    def file(self, row: int) -> str:
        """The name of one file."""
        return os.fsdecode(self._encoded(row))

    def _encoded(self, row: int) -> bytes:
        return self._text[self._ends[row - 1] if row else 0 : self._ends[row]]

    def take(self, rows: Array) -> ImageFiles:
        """The files at some rows, in the order of the rows."""
        encoded = [self._encoded(row) for row in rows.tolist()]
        ends = np.cumsum([len(file) for file in encoded], dtype=np.int64)
        return self._with(b"".join(encoded), ends, self._values)

    def holding(self, values: Values) -> ImageFiles:
        """The same files; each is checked to hold only such values when it is read."""
        return self._with(self._text, self._ends, values)

    def _with(self, text: bytes, ends: Array, values: Values) -> ImageFiles:
        return ImageFiles(self._name, self._folder, text, ends, self._decode, self._like, values)

    def sample(self) -> list[int]:
        """Some rows, evenly spaced and always the same."""
        n = self.shape[0]
        return sorted({round(i * (n - 1) / (_SAMPLE - 1)) for i in range(_SAMPLE)}) if n else []

    def read(self, rows: Sequence[int]) -> Tensor:
        """The images at some rows, uint8 ``(len(rows), C, H, W)``.

        Raises:
            DataError: with the file's name, if it cannot be read, has another size, or holds values that the others
                do not.
        """
        x = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for place, row in enumerate(rows):
            x[place] = self._image(self.file(row))
        return torch.from_numpy(x)

    def _image(self, file: str) -> Array:
        image = self._decode(self._folder / file)
        first, shape = self._like
        if image.shape != shape:
            sizes = [f"{f} is {s[2]}x{s[1]}" for f, s in ((first, shape), (file, image.shape))]
            raise DataError(
                f"{self._name}: {' but '.join(sizes)} (width x height); give one size for all, e.g. size=64"
            )
        if self._values == "any":
            return image
        top = 255 if self._values == "binary" else 1
        if not ((image == 0) | (image == top)).all():
            raise DataError(
                f"{self._name}: {file} holds other values than 0 and {top}, which is all that a sample of the images "
                "held; load them with stream=false"
            )
        return image if top == 255 else image * 255

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of a SHA-256 of the shape, all names in order, and the bytes of a sample.

        It is the same on every machine, with any version of the image decoder, and whether or not the images are
        streamed. Replacing a damaged file by a whole one changes it only if the file is in the sample. Files of the
        sample have been decoded before a run begins, so a run that a damaged file ended can always be resumed.
        """
        return self._digest(self.sample())

    def whole_fingerprint(self) -> str:
        """As `fingerprint`, with the bytes of all files, for those that are all read anyway."""
        return self._digest(range(self.shape[0]))

    def _digest(self, rows: Sequence[int]) -> str:
        digest = hashlib.sha256(f"uint8 {self.shape}".encode())
        digest.update(self._ends.astype("<i8").tobytes())
        digest.update(self._text)
        for row in rows:
            try:
                digest.update((self._folder / self.file(row)).read_bytes())
            except OSError as error:
                raise DataError(f"{self._name}: {self._folder / self.file(row)} cannot be read: {error}") from None
        return digest.hexdigest()[:16]


def dataset_of_images(
    name: str,
    parts: Sequence[ImageFiles],
    labels: Sequence[Tensor | None],
    *,
    stream: Stream,
    class_names: tuple[str, ...],
    advice: str,
) -> Dataset:
    """A data set of image files; its training images are read into memory, or stay on disk ("streamed").

    Of streamed images only a sample is checked here, the others when they are read; images in memory are all checked.

    Args:
        name: of the data set.
        parts: the files for training, validation and testing.
        labels: integers ``(n,)`` of each part, or None.
        stream: whether training images stay on disk; ``"auto"``: if they would take more than
            `intel_core.compute.memory.RESIDENT_SHARE` of the memory.
        class_names: names of the labels.
        advice: how a user makes the images in memory fewer or smaller, for messages.

    Raises:
        DataError: if an image that is checked cannot be read or differs in size, or if all hold the same single value.
        SpecError: if images that must be in memory do not fit into it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(6):
    ...         np.save(f"{folder}/{i}.npy", np.full((1, 2, 2), 40 * i, np.uint8))
    ...     files = ImageFiles.of("x", Path(folder), [f"{i}.npy" for i in range(6)], np.load)
    ...     parts = [files.take(np.array(rows)) for rows in ([3, 0, 1, 2], [4], [5])]
    ...     data = dataset_of_images("x", parts, [None] * 3, stream=True, class_names=(), advice="smaller images")
    ...     data.train, data.train.read(torch.tensor([0])).flatten().tolist(), data.test.x.shape
    (StreamedSplit(4 files in ...), [120, 120, 120, 120], torch.Size([1, 1, 2, 2]))
    """
    train, validation, test = parts
    streams = not fits_beside(train.size) if stream == "auto" else stream
    held = [validation, test] if streams else [train, validation, test]
    less = advice if streams else f"stream=true, {advice}"
    what = f"{name}: {sum(part.shape[0] for part in held):,} images{' to validate and test on' if streams else ''}"
    require_bytes(what, sum(part.size for part in held), torch.device("cpu"), f"Give {less}")
    seen = [train.read(train.sample() if streams else range(train.shape[0]))]
    seen += [part.read(range(part.shape[0])) for part in (validation, test)]
    values = _values_of(name, seen)
    if values == "mask":
        seen = [x * 255 for x in seen]
    digest = train.fingerprint()
    first = StreamedSplit(train.holding(values), labels[0]) if streams else Split(seen[0], labels[0], digest)
    held_out = zip((validation, test), seen[1:], labels[1:], strict=True)
    second, third = (Split(x, of_part, files.whole_fingerprint()) for files, x, of_part in held_out)
    support: Literal["binary", "unit"] = "unit" if values == "any" else "binary"
    return Dataset(name, first, second, third, support=support, class_names=class_names)


def _values_of(name: str, seen: Sequence[Tensor]) -> Values:
    """Which values all of some images hold.

    Raises:
        DataError: if every pixel has the same value.
    """
    lowest, highest = (min(int(x.min()) for x in seen), max(int(x.max()) for x in seen))
    if lowest == highest:
        raise DataError(f"{name}: every value is {lowest}; constant data cannot be modelled")
    if highest == 1:
        return "mask"
    # In pieces, since comparing all at once would take as much memory as the images do.
    parts = (part for x in seen for part in torch.split(x, 1000))
    return "binary" if all(bool(((part == 0) | (part == 255)).all()) for part in parts) else "any"
