"""Makes the package `specimens` importable, here and in the processes that tests start with this path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
