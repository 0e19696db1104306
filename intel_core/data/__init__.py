"""What is a data set, and which rows has a step?"""

from intel_core.data.dataset import Dataset, DatasetSpec, Split
from intel_core.data.splitting import split_rows

__all__ = ["Dataset", "DatasetSpec", "Split", "split_rows"]
