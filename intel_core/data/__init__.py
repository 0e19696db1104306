"""What is a data set, and which rows has a step?"""

from intel_core.data.dataset import Dataset, DatasetSpec, Split
from intel_core.lazy import lazy_names

__all__ = ["Dataset", "DatasetSpec", "Split"]

# A name that this package has offered before its module moved.
__getattr__ = lazy_names("intel_core", {"reading.splitting": ("split_rows",)})[0]
