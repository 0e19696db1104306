"""What is a data set, and which rows has a step?"""

from intel_core.data.dataset import Dataset, DatasetSpec, Examples, OnManifold, Shaped, Split, Unsplit
from intel_core.data.splitting import split_rows

__all__ = ["Dataset", "DatasetSpec", "Examples", "OnManifold", "Shaped", "Split", "Unsplit", "split_rows"]
