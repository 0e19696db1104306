"""Which of the user's own files can be named? Arrays, tables, and folders of images."""

from __future__ import annotations

import warnings
from os.path import splitext
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from intel_core.data.dataset import DatasetSpec
from intel_datasets.specs.fields import (
    BACKGROUND,
    FOLDERS,
    SPLIT_SEED,
    STREAM,
    TEST,
    VALIDATION,
    Background,
    Colours,
    Folders,
    ImageSize,
    Seed,
    Share,
    Stream,
    Word,
    Words,
    YesNoAuto,
    YesNoColumns,
    as_before,
)

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from intel_core.data.dataset import Dataset
    from intel_core.reading.capabilities import Examples
    from intel_datasets.table_file import Layout

__all__ = ["ArraysSpec", "ImagesSpec", "TableSpec"]


class ArraysSpec(DatasetSpec):
    """Your numbers from a NumPy file (.npy or .npz): vectors (n, D) or images (n, H, W), (n, C, H, W)."""

    path: str = Field(min_length=1, description=".npy or .npz file; uint8 stands for x/255 (or for 0 and 1)")
    key: str | None = Field(None, description="array of an .npz file; by default its only one, or x")
    labels_key: str | None = Field(None, description="array of the .npz file that holds labels")
    labels: str | None = Field(None, description=".npy file with one label (whole number or word) per example")
    standardize: YesNoAuto = Field(
        "auto",
        description="scale to mean 0 and variance 1, measured on the training rows: vectors by column, images as a "
        "whole; auto: only if values are far from the scale of about 1 that models are trained on",
    )
    validation: Share = Field(0.1, description=VALIDATION)
    test: Share = Field(0.1, description=TEST)
    split_seed: Seed = Field(0, description=SPLIT_SEED)

    @model_validator(mode="before")
    @classmethod
    def _unscaled_before(cls, values: Any) -> Any:
        former = {"path", "key", "labels_key", "labels", "validation", "test", "split_seed"}
        return as_before(values, former, standardize=False)

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.labels is not None and self.labels_key is not None:
            raise ValueError("labels and labels_key are both given; labels come from one place")
        return self

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.arrays.load`."""
        from intel_datasets import arrays
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return arrays.load(
            self.path,
            data_dir,
            key=self.key,
            labels_key=self.labels_key,
            labels=self.labels,
            standardize=self.standardize,
            shares=shares,
        )

    def examples(self, data_dir: Path | None) -> Examples:
        """See `intel_datasets.arrays.examples`."""
        from intel_datasets import arrays

        return arrays.examples(self.path, data_dir, key=self.key, labels_key=self.labels_key, labels=self.labels)

    def like(self, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None) -> ArraysSpec:
        """The same file, of which the arrays are read that have the names that a run's own arrays had."""
        from intel_datasets import arrays

        if not isinstance(trained, ArraysSpec):
            return self
        there, said = arrays.names_in(self.path, data_dir), self.model_fields_set
        taken = {"key": trained.key, "labels_key": None if self.labels else trained.labels_key}
        return self.model_copy(update={key: name for key, name in taken.items() if name in there and key not in said})


class TableSpec(DatasetSpec):
    """Your numeric columns from a .csv, .tsv or .parquet file."""

    path: str = Field(
        min_length=1,
        description=".csv, .tsv or .parquet file, one example per row; or a folder with train.csv, val.csv, test.csv",
    )
    label: Word | None = Field(None, description="column of labels (whole numbers or words); it is not modelled")
    columns: Words = Field((), description="columns to model; all but the label if empty")
    drop: Words = Field((), description="columns to leave out")
    conditions: Words = Field(
        (), description="columns that encoder and decoder see beside x and z, words or numbers; they are not modelled"
    )
    header: YesNoAuto = Field(
        "auto",
        description="whether the first line of a text file names the columns; if false they are 0, 1, …; auto: it "
        "does, but is refused if it looks like data",
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="character between columns of a text file; by default a comma, in .tsv files a tab",
    )
    decimal: Literal[".", ","] = Field(".", description="decimal point or decimal comma in numbers of a text file")
    thousands: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="character between groups of three digits in numbers of a text file, e.g. the comma of 1,234",
    )
    standardize: YesNoColumns = Field(
        True,
        description="scale each column to mean 0 and variance 1, measured on the training rows only; or a list of the "
        "columns that are scaled",
    )
    constant: Literal["refuse", "drop"] = Field(
        "refuse", description="columns with one value in all training rows: refuse the table, or drop them"
    )
    missing: Literal["refuse", "drop", "mean", "median"] = Field(
        "refuse",
        description="rows with missing values: refuse the table, drop them, or fill them in by the mean or the median "
        "of the training rows",
    )
    id: Word | None = Field(None, description="column that names the rows, for files of encodings; it is not modelled")
    validation: Share = Field(0.1, description=VALIDATION)
    test: Share = Field(0.1, description=TEST)
    split_seed: Seed = Field(0, description=SPLIT_SEED)

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise ValueError(f"columns names {name!r} twice")
            for key in ("drop", "conditions"):
                if name in getattr(self, key):
                    raise ValueError(f"{name!r} is in both columns and {key}")
            if name in (self.label, self.id):
                word = "label" if name == self.label else "id"
                raise ValueError(f"{name!r} is both the {word} and one of the columns to model")
        if self.thousands == self.decimal:
            raise ValueError(f"{self.decimal!r} cannot be both the decimal point and what stands between thousands")
        if (self.separator or ",") == self.decimal and not self.path.lower().endswith((".tsv", ".parquet")):
            raise ValueError(f"{self.decimal!r} cannot stand between columns and in numbers; name another separator")
        return self

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.table.load`."""
        from intel_datasets import table
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return table.load(
            self.path,
            data_dir,
            self._layout(),
            standardize=self.standardize,
            constant=self.constant,
            missing=self.missing,
            shares=shares,
        )

    def examples(self, data_dir: Path | None) -> Examples:
        """See `intel_datasets.table.examples`."""
        from intel_datasets import table

        return table.examples(self.path, data_dir, self._layout(), self.missing)

    def names_of_parts(self, data_dir: Path | None) -> dict[str, tuple[str, ...]]:
        """See `intel_datasets.table.names_of_parts`."""
        from intel_datasets import table
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return table.names_of_parts(self.path, data_dir, self._layout(), self.missing, shares)

    def _layout(self) -> Layout:
        from intel_datasets.table_file import Layout

        written = (self.header, self.separator, self.decimal, self.thousands)
        return Layout(self.label, self.columns, self.drop, *written, self.id, self.conditions)

    def like(self, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None) -> TableSpec:
        """The same table, of which the columns are read that a run was trained on, written as its table was.

        What is said stays, and so does what the file does not have: another separator, other columns, no labels.
        """
        from intel_core.reading.columns import require_columns
        from intel_datasets import table

        said, known = self.model_fields_set, tuple(summary.get("columns") or ())
        new = self
        if isinstance(trained, TableSpec) and splitext(self.path)[1] == splitext(trained.path)[1]:
            keys = [key for key in ("header", "decimal", "thousands", "separator") if key not in said]
            new = self.model_copy(update={key: getattr(trained, key) for key in keys})
            if "separator" in keys and not table.has_separator(new.path, data_dir, new.separator):
                new = self
        there = table.columns_of(new.path, data_dir, new._layout())
        if not said & {"columns", "drop"} and known and set(known) & set(there):
            require_columns(self.path, known, there)
            new = new.model_copy(update={"columns": known})
        if not isinstance(trained, TableSpec):
            return new
        if trained.id is not None and "id" not in said and trained.id not in there:
            warnings.warn(
                f"{self.path} has no column {trained.id!r}, which named the rows of the training data: its rows have "
                "no names",
                stacklevel=2,
            )
        beside = {key: getattr(trained, key) for key in ("label", "id") if key not in said}
        taken: dict[str, Any] = {
            key: name for key, name in beside.items() if name in there and name not in (*new.columns, *new.drop)
        }
        taken |= {} if "missing" in said else {"missing": trained.missing}
        if "conditions" not in said and set(trained.conditions) <= set(there):
            taken["conditions"] = trained.conditions
        return new.model_copy(update=taken)


class ImagesSpec(DatasetSpec):
    """Your images from a folder; sub-folders, if it has any, are the classes, or train, val and test parts."""

    path: str = Field(
        min_length=1, description="folder of images, or of one sub-folder of images per class or part of a split"
    )
    size: ImageSize = Field(
        None,
        description="pixels, 64 or [height,width]: crop the centre to that aspect ratio, then resize; unchanged if "
        "unset",
    )
    channels: Colours = Field(3, description="1 for grey, 3 for colour")
    background: Background = Field("white", description=BACKGROUND)
    folders: Folders = Field("auto", description=FOLDERS)
    stream: Stream = Field("auto", description=STREAM)
    validation: Share = Field(0.1, description=VALIDATION)
    test: Share = Field(0.1, description=TEST)
    split_seed: Seed = Field(0, description=SPLIT_SEED)

    @model_validator(mode="before")
    @classmethod
    def _classes_before(cls, values: Any) -> Any:
        former = {"path", "size", "channels", "stream", "validation", "test", "split_seed"}
        return as_before(values, former, folders="classes")

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.images.load`."""
        from intel_datasets import images
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return images.load(
            self.path,
            data_dir,
            size=self.size,
            channels=self.channels,
            background=self.background,
            folders=self.folders,
            stream=self.stream,
            shares=shares,
        )

    def examples(self, data_dir: Path | None) -> Examples:
        """See `intel_datasets.images.examples`."""
        from intel_datasets import images

        return images.examples(
            self.path,
            data_dir,
            size=self.size,
            channels=self.channels,
            background=self.background,
            folders=self.folders,
        )

    def names_of_parts(self, data_dir: Path | None) -> dict[str, tuple[str, ...]]:
        """See `intel_datasets.images.names_of_parts`."""
        from intel_datasets import images
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return images.names_of_parts(self.path, data_dir, folders=self.folders, shares=shares)

    def like(self, trained: DatasetSpec, summary: dict[str, Any], data_dir: Path | None) -> ImagesSpec:
        """The same images, read as those that a run was trained on wherever nothing else is said.

        >>> new = ImagesSpec(path="new", channels=3)
        >>> new.like(ImagesSpec(path="old", size=64, channels=1), {"shape": [1, 64, 64]}, None)
        ImagesSpec(path='new', size=(64, 64), channels=3, background='white', folders='auto', stream='auto', ...)
        """
        if isinstance(trained, ImagesSpec):
            taken = {key: getattr(trained, key) for key in ("size", "channels", "background")}
        else:
            shape = list(summary.get("shape") or [])
            taken = {"channels": shape[0]} if len(shape) == 3 and shape[0] in (1, 3) else {}
        said = self.model_fields_set
        return self.model_copy(update={key: value for key, value in taken.items() if key not in said})
