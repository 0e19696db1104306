"""Which published sets of images can be named? Digits, MNIST, Fashion-MNIST and CelebA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from intel_core.data.dataset import DatasetSpec
from intel_core.errors import did_you_mean
from intel_datasets.specs.fields import (
    BINARIZE,
    CLASSES,
    FIRST_EXAMPLES,
    SPLIT_SEED,
    STREAM,
    TEST,
    VALIDATION,
    Classes,
    Pixels,
    Seed,
    Share,
    Stream,
    Weight,
    distinct,
)

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from intel_core.data.dataset import Dataset
    from intel_datasets.celeba import Attributes

__all__ = ["ATTRIBUTES", "CelebASpec", "DigitsSpec", "FashionMNISTSpec", "MNISTSpec"]


class DigitsSpec(DatasetSpec):
    """1,797 handwritten digits of 8x8 pixels that ship with scikit-learn: no download, seconds to train."""

    classes: Classes = Field((), description=CLASSES)
    binarize: bool = Field(False, description=BINARIZE)
    validation: Share = Field(0.1, description=VALIDATION)
    test: Share = Field(0.1, description=TEST)
    split_seed: Seed = Field(0, description=SPLIT_SEED)

    _check_classes = field_validator("classes")(distinct)

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.digits.load`."""
        from intel_datasets import digits
        from intel_datasets.files import Shares

        shares = Shares(self.validation, self.test, self.split_seed)
        return digits.load(self.classes, binarize=self.binarize, shares=shares)


class MNISTSpec(DatasetSpec):
    """70,000 handwritten digits of 28x28 pixels (LeCun et al., 1998), downloaded if they are missing."""

    official: ClassVar[Literal["MNIST", "FashionMNIST"]] = "MNIST"
    """Name of the class in `torchvision.datasets`, and of the folder that holds ``raw``."""

    path: str | None = Field(None, description="folder that holds MNIST/raw; by default --data-dir, else a cache")
    download: bool = Field(True, description="download missing files (11 MB for MNIST, 30 MB for Fashion-MNIST)")
    classes: Classes = Field((), description=CLASSES)
    binarize: bool = Field(False, description=BINARIZE)
    split: Literal["paper", "balanced"] = Field(
        "paper",
        description="paper: the last twelfth of the training images is for validation (55k/5k/10k for all classes); "
        "balanced: per class 5000 images for training, the next 500 for validation and up to 1000 for testing, as in "
        "the paper's MNIST-01",
    )
    shares: tuple[Weight, ...] = Field(
        (),
        max_length=10,
        description="proportions of the classes, reached by leaving images out, e.g. [1,3]; unchanged if empty",
    )
    data_seed: Seed = Field(0, description="seed that chooses which images `shares` leaves out")
    examples: int | None = Field(None, ge=4, description=FIRST_EXAMPLES)

    _check_classes = field_validator("classes")(distinct)

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

        return mnist.load(
            self.official,
            data_dir,
            path=self.path,
            download=self.download,
            classes=self.classes,
            split=self.split,
            shares=self.shares,
            data_seed=self.data_seed,
            examples=self.examples,
            binarize=self.binarize,
        )


class FashionMNISTSpec(MNISTSpec):
    """70,000 pictures of clothes of 28x28 pixels (Xiao et al., 2017), downloaded if they are missing."""

    official: ClassVar[Literal["MNIST", "FashionMNIST"]] = "FashionMNIST"


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
    """202,599 aligned faces (Liu et al., 2015), or as many of them as you have; the official partition."""

    path: str | None = Field(None, description="folder that holds celeba/img_align_celeba; by default --data-dir")
    download: bool = Field(
        False, description="let torchvision download the archive (1.4 GB) if it is missing; for research only"
    )
    attribute: str | None = Field(None, description="label each image by one of the 40 attributes, e.g. Male")
    size: Pixels = Field(
        64, description="height and width in pixels, to which the central 148x148 is resized (bilinear, antialiased)"
    )
    examples: int | None = Field(None, ge=4, description=FIRST_EXAMPLES)
    stream: Stream = Field("auto", description=STREAM)

    @field_validator("attribute")
    @classmethod
    def _check_attribute(cls, value: str | None) -> str | None:
        if value is not None and value not in ATTRIBUTES:
            raise ValueError(f"no attribute {value!r}{did_you_mean(value, ATTRIBUTES, say='attributes')}")
        return value

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.celeba.load`."""
        from intel_datasets import celeba

        return celeba.load(
            data_dir,
            path=self.path,
            download=self.download,
            attribute=self.attribute,
            size=self.size,
            examples=self.examples,
            stream=self.stream,
        )

    def attributes(self, data_dir: Path | None) -> Attributes:
        """See `intel_datasets.celeba.attributes`; linear probes use it."""
        from intel_datasets import celeba

        return celeba.attributes(data_dir, path=self.path, download=self.download, examples=self.examples)
