"""What is a data set, and which rows has a step?"""

from intel_core.data.dataset import Dataset, DatasetSpec, Split

__all__ = ["Dataset", "DatasetSpec", "Split"]
