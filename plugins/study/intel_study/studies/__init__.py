"""Which studies ship with the framework? Those of the paper's tables and figures, each a file beside this one."""

from __future__ import annotations

from typing import ClassVar

from intel_study.published import StudySpec

__all__ = [
    "AblationSpec",
    "Figure3Spec",
    "Figure4Spec",
    "Figure7Spec",
    "Figure8Spec",
    "FigureC3Spec",
    "StrengthSpec",
    "Table1Spec",
    "Table2Spec",
    "Table3Spec",
    "Table4Spec",
    "TableB1Spec",
]


class Table1Spec(StudySpec):
    """Samples of MNIST: ten clusters against other priors and posteriors, by Fréchet distance."""

    file: ClassVar[str] = "table1.yaml"


class Table2Spec(StudySpec):
    """Digits that are neither a zero nor a one: MNIST-01, one latent dimension, clusters against other priors."""

    file: ClassVar[str] = "table2.yaml"


class Table3Spec(StudySpec):
    """Unequal shares of zeros and ones on MNIST-01, learned from equal ones."""

    file: ClassVar[str] = "table3.yaml"


class Table4Spec(StudySpec):
    """Sparse latents on faces: CelebA, or as much of it as is there."""

    file: ClassVar[str] = "table4.yaml"


class Figure3Spec(StudySpec):
    """A sparse prior or a sparse mapping: does what is encoded look like what is drawn?"""

    file: ClassVar[str] = "fig3.yaml"


class Figure4Spec(StudySpec):
    """Synthetic sets in the plane: do samples stay where the data are? ELBO and IWAE, also Appendix C.2."""

    file: ClassVar[str] = "fig4.yaml"


class Figure7Spec(StudySpec):
    """Sparsity against samples and few labels, Fashion-MNIST."""

    file: ClassVar[str] = "fig7.yaml"


class Figure8Spec(StudySpec):
    """Which dimensions a class uses, Fashion-MNIST."""

    file: ClassVar[str] = "fig8.yaml"


class TableB1Spec(StudySpec):
    """Attributes of faces from few labels: a hierarchy against plain VAEs of several sizes."""

    file: ClassVar[str] = "b1.yaml"


class FigureC3Spec(StudySpec):
    """Sparsity against samples and few labels, MNIST."""

    file: ClassVar[str] = "c3.yaml"


class AblationSpec(StudySpec):
    """The sparsity loss without its mapping, MNIST."""

    file: ClassVar[str] = "ablation.yaml"


class StrengthSpec(StudySpec):
    """Do two clusters find two digits in the plane, with a strength that grows or is whole from the first step?"""

    file: ClassVar[str] = "strength.yaml"
