"""Which studies ship with the framework? Those of the paper's tables and figures, each a file beside this one."""

from __future__ import annotations

from typing import ClassVar

from intel_study.published import StudySpec

__all__ = ["Figure4Spec", "Table2Spec", "Table3Spec"]


class Table2Spec(StudySpec):
    """Digits that are neither a zero nor a one: MNIST-01, one latent dimension, clusters against other priors."""

    file: ClassVar[str] = "table2.yaml"


class Table3Spec(StudySpec):
    """Unequal shares of zeros and ones on MNIST-01, learned from equal ones."""

    file: ClassVar[str] = "table3.yaml"


class Figure4Spec(StudySpec):
    """Synthetic sets in the plane: do samples stay where the data are? ELBO and IWAE, also of Appendix C.2."""

    file: ClassVar[str] = "fig4.yaml"
