"""Which data sets can be named? Their specs; torch and the readers are imported by `load`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from intel_core.data.dataset import DatasetSpec
from intel_core.errors import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from typing_extensions import Self

    from intel_core.data.dataset import Dataset, Examples
    from intel_datasets.celeba import Attributes

__all__ = [
    "ATTRIBUTES",
    "ArraysSpec",
    "CelebASpec",
    "CircleSpec",
    "CurveSpec",
    "DigitsSpec",
    "FashionMNISTSpec",
    "ImagesSpec",
    "InfinitySpec",
    "MNISTSpec",
    "MixtureSpec",
    "SphereSpec",
    "SquareSpec",
    "StarSpec",
    "SyntheticSpec",
    "TableSpec",
    "ThreeLoopsSpec",
]


def _one_as_list(value: Any) -> Any:
    """A single word stands for a list of one, so that a shell needs no brackets: ``drop=id``."""
    return value if isinstance(value, (list, tuple)) else (value,)


def _pair(value: Any) -> Any:
    """A single number stands for a square."""
    return value if value is None or isinstance(value, (list, tuple)) else (value, value)


def _number(value: Any) -> Any:
    """Literal numbers are compared strictly, but a text spec passes every bareword as a string."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _yes_no_auto(value: Any) -> Any:
    """Barewords of a text spec, so that a wrong one is answered with the choices."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(gt=0, lt=0.5)]
Weight = Annotated[float, Field(ge=0)]
Class = Annotated[int, Field(ge=0, le=9)]
Classes = Annotated[tuple[Class, ...], BeforeValidator(_one_as_list), Field(max_length=10)]
Words = Annotated[tuple[str, ...], BeforeValidator(_one_as_list)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
Stream = Annotated[Literal[True, False, "auto"], BeforeValidator(_yes_no_auto)]

_CLASSES = "digits or classes to keep, re-labelled 0, 1, … in this order; empty for all ten"
_BINARIZE = "make every pixel 0 or 1, by the threshold 0.5"
_VALIDATION = "share of the examples held out to watch training"
_TEST = "share of the examples held out for the final numbers"
_SPLIT_SEED = "seed of the split, independent of the run's seed"
_STREAM = (
    "read images to train on from disk as they are needed; auto: if they would take more than a quarter of the memory"
)


def _distinct(classes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(classes)) != len(classes):
        raise ValueError("name each class once")
    return classes


# --- small images -------------------------------------------------------------------------------------------


class DigitsSpec(DatasetSpec):
    """1,797 handwritten digits of 8x8 pixels that ship with scikit-learn: no download, seconds to train."""

    classes: Classes = Field((), description=_CLASSES)
    binarize: bool = Field(False, description=_BINARIZE)
    validation: Share = Field(0.1, description=_VALIDATION)
    test: Share = Field(0.1, description=_TEST)
    split_seed: Seed = Field(0, description=_SPLIT_SEED)

    _check_classes = field_validator("classes")(_distinct)

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.digits.load`."""
        from intel_datasets import digits

        return digits.load(self)


class MNISTSpec(DatasetSpec):
    """70,000 handwritten digits of 28x28 pixels (LeCun et al., 1998), downloaded where they are missing."""

    official: ClassVar[str] = "MNIST"
    """Name of the class in `torchvision.datasets`, and of the folder that holds ``raw``."""

    path: str | None = Field(None, description="folder that holds MNIST/raw; by default --data-dir, else a cache")
    download: bool = Field(True, description="download what is missing (11 MB for MNIST, 30 MB for Fashion-MNIST)")
    classes: Classes = Field((), description=_CLASSES)
    binarize: bool = Field(False, description=_BINARIZE)
    split: Literal["paper", "balanced"] = Field(
        "paper",
        description="paper: the last twelfth of the training images validates (55k/5k/10k for all classes); "
        "balanced: per class 5000 train, the next 500 validate, up to 1000 test, as the paper's MNIST-01",
    )
    shares: tuple[Weight, ...] = Field(
        (),
        max_length=10,
        description="proportions of the classes, made by leaving images out, e.g. [1,3]; empty: as is",
    )
    data_seed: Seed = Field(0, description="seed that chooses which images `shares` leaves out")
    examples: int | None = Field(None, ge=4, description="train on the first so many images only")

    _check_classes = field_validator("classes")(_distinct)

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        expected = len(self.classes) or 10
        if self.shares and len(self.shares) != expected:
            raise ValueError(f"shares has {len(self.shares)} numbers for {expected} classes")
        if self.shares and sum(self.shares) <= 0:
            raise ValueError("shares are all 0, at least one class must remain")
        return self

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.mnist.load`."""
        from intel_datasets import mnist

        return mnist.load(self, data_dir)


class FashionMNISTSpec(MNISTSpec):
    """70,000 pictures of clothes of 28x28 pixels (Xiao et al., 2017), downloaded where they are missing."""

    official: ClassVar[str] = "FashionMNIST"


ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""The 40 attributes of CelebA, in the order of its file."""


class CelebASpec(DatasetSpec):
    """202,599 aligned faces (Liu et al., 2015), or those of them that are there; the official partition."""

    path: str | None = Field(None, description="folder that holds celeba/img_align_celeba; by default --data-dir")
    download: bool = Field(
        False, description="let torchvision download the archive (1.4 GB) if it is missing; for research only"
    )
    attribute: str | None = Field(None, description="label each image by one of the 40 attributes, e.g. Male")
    size: Pixels = Field(64, description="pixels: the central 148x148 is cut out, then resized (bilinear, antialiased)")
    examples: int | None = Field(None, ge=4, description="train on the first so many images only")
    stream: Stream = Field("auto", description=_STREAM)

    @field_validator("attribute")
    @classmethod
    def _check_attribute(cls, value: str | None) -> str | None:
        if value is not None and value not in ATTRIBUTES:
            raise ValueError(f"no attribute {value!r}{did_you_mean(value, ATTRIBUTES, say='attributes')}")
        return value

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.celeba.load`."""
        from intel_datasets import celeba

        return celeba.load(self, data_dir)

    def attributes(self, data_dir: Path | None) -> Attributes:
        """See `intel_datasets.celeba.attributes`; what probes ask for."""
        from intel_datasets import celeba

        return celeba.attributes(self, data_dir)


# --- synthetic data -----------------------------------------------------------------------------------------


class SyntheticSpec(DatasetSpec):
    """Base of the synthetic sets: points on a known curve or surface, drawn afresh from a seed."""

    shape: ClassVar[str] = ""
    """Name in `intel_datasets.synthetic`."""

    n: int = Field(10_000, ge=20, le=10_000_000, description="training points; a fifth as many validate and test each")
    noise: float = Field(0.0, ge=0, le=100, description="standard deviation of isotropic Gaussian noise added to them")
    data_seed: Seed = Field(0, description="seed of the points")
    standardize: bool = Field(
        False, description="mean 0 and variance 1 per coordinate, measured on the training points"
    )

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.synthetic.load`."""
        from intel_datasets import synthetic

        return synthetic.load(self.shape, self.n, self.noise, self.data_seed, self.standardize)


class CurveSpec(SyntheticSpec):
    """Base of those on a curve or surface: `intel_core.Supported` and `intel_core.Shaped`, whatever the noise."""

    def distance_to_support(self, points: Tensor) -> Tensor:
        """Distance of each point, in the units before standardisation; see `intel_datasets.synthetic`.

        Raises:
            DataError: for a wrong shape or values that are not finite.
        """
        import torch

        from intel_datasets import synthetic

        return torch.from_numpy(synthetic.distance_to_support(self.shape, points))

    def along_support(self, n: int) -> Tensor:
        """`n` points spread evenly over it, ``(n, 2)`` or ``(n, 3)``, float64."""
        import torch

        from intel_datasets import synthetic

        return torch.from_numpy(synthetic.along_support(self.shape, n))

    @property
    def betti(self) -> tuple[int, ...]:
        """Betti numbers of the curve or surface."""
        from intel_datasets import synthetic

        return synthetic.BETTI[self.shape]


class CircleSpec(CurveSpec):
    """Circle of radius 2 in the plane, uniform; the paper calls it 'sphere'."""

    shape: ClassVar[str] = "circle"


class SquareSpec(CurveSpec):
    """Outline of the square with corners (±√2, ±√2), uniform."""

    shape: ClassVar[str] = "square"


class StarSpec(CurveSpec):
    """Outline of a five-pointed star with radii 2 and 2/3, uniform."""

    shape: ClassVar[str] = "star"


class InfinitySpec(CurveSpec):
    """Figure eight 2(cos t, sin t cos t) with two holes, t uniform."""

    shape: ClassVar[str] = "infinity"


class MixtureSpec(SyntheticSpec):
    """Two Gaussians of standard deviation 0.3 around (-2, 0) and (2, 0), half of the points each."""

    shape: ClassVar[str] = "mixture"

    @property
    def betti(self) -> tuple[int, ...]:
        """Two pieces, though thin tails join them."""
        from intel_datasets import synthetic

        return synthetic.BETTI[self.shape]


class SphereSpec(CurveSpec):
    """Sphere of radius 2 in three dimensions, uniform by area; the paper's 'sphere' is circle."""

    shape: ClassVar[str] = "sphere"


class ThreeLoopsSpec(CurveSpec):
    """Chain of three touching circles of radius 2/3 with three holes, uniform; not in the paper."""

    shape: ClassVar[str] = "three_loops"


# --- the user's own files -----------------------------------------------------------------------------------


class ArraysSpec(DatasetSpec):
    """Your numbers from a NumPy file (.npy or .npz): vectors (n, D) or images (n, H, W), (n, C, H, W)."""

    path: str = Field(min_length=1, description=".npy or .npz file; uint8 stands for x/255 (or for 0 and 1)")
    key: str | None = Field(None, description="array of an .npz file; by default its only one, or x")
    labels_key: str | None = Field(None, description="array of the .npz file that holds labels")
    labels: str | None = Field(None, description=".npy file with one label (whole number or word) per example")
    validation: Share = Field(0.1, description=_VALIDATION)
    test: Share = Field(0.1, description=_TEST)
    split_seed: Seed = Field(0, description=_SPLIT_SEED)

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.labels is not None and self.labels_key is not None:
            raise ValueError("labels and labels_key are both given; labels come from one place")
        return self

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.arrays.load`."""
        from intel_datasets import arrays

        return arrays.load(self, data_dir)

    def examples(self, data_dir: Path | None) -> Examples:
        """See `intel_datasets.arrays.examples`."""
        from intel_datasets import arrays

        return arrays.examples(self, data_dir)


class TableSpec(DatasetSpec):
    """Your numeric columns from a .csv, .tsv or .parquet file."""

    path: str = Field(min_length=1, description=".csv, .tsv or .parquet file, one example per row")
    label: str | None = Field(None, description="column of labels (whole numbers or words); it is not modelled")
    columns: Words = Field((), description="columns to model; empty for all but the label")
    drop: Words = Field((), description="columns to leave out")
    header: bool = Field(True, description="the first line of a text file names the columns; else they are 0, 1, …")
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="between columns of a text file; by default a comma, a tab in .tsv",
    )
    decimal: Literal[".", ","] = Field(".", description="between whole and broken parts of numbers in a text file")
    standardize: bool = Field(True, description="mean 0 and variance 1 per column, measured on the training rows only")
    validation: Share = Field(0.1, description=_VALIDATION)
    test: Share = Field(0.1, description=_TEST)
    split_seed: Seed = Field(0, description=_SPLIT_SEED)

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise ValueError(f"columns names {name!r} twice")
            if name in self.drop:
                raise ValueError(f"{name!r} is in both columns and drop")
            if name == self.label:
                raise ValueError(f"{name!r} is both the label and one of the columns to model")
        if (self.separator or ",") == self.decimal and not self.path.lower().endswith((".tsv", ".parquet")):
            raise ValueError(f"{self.decimal!r} cannot stand between columns and in numbers; name another separator")
        return self

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.table.load`."""
        from intel_datasets import table

        return table.load(self, data_dir)

    def examples(self, data_dir: Path | None) -> Examples:
        """See `intel_datasets.table.examples`."""
        from intel_datasets import table

        return table.examples(self, data_dir)


class ImagesSpec(DatasetSpec):
    """Your images from a folder; sub-folders, if it has any, are the classes."""

    path: str = Field(min_length=1, description="folder of images, or of one sub-folder of images per class")
    size: Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_pair)] = Field(
        None,
        description="pixels, 64 or [height,width]: crop the centre to that aspect, then resize; empty: as is",
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(_number)] = Field(3, description="1 for grey, 3 for colour")
    stream: Stream = Field("auto", description=_STREAM)
    validation: Share = Field(0.1, description=_VALIDATION)
    test: Share = Field(0.1, description=_TEST)
    split_seed: Seed = Field(0, description=_SPLIT_SEED)

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.images.load`."""
        from intel_datasets import images

        return images.load(self, data_dir)
