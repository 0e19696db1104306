"""Which are the lowest versions that the core declares? Prints them as constraints for pip; see `make test-lowest`.

>>> print(pinned("torch>=2.6", "pyyaml>=6.0.1"))
torch==2.6
pyyaml==6.0.1
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def pinned(*needs: str) -> str:
    """Each lower bound as the one version that is allowed."""
    return "\n".join(need.replace(">=", "==") for need in needs)


def declared(text: str) -> list[str]:
    """The dependencies of the core, from the text of its ``pyproject.toml``: Python 3.10 has no reader of TOML."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, flags=re.DOTALL | re.MULTILINE)
    if listed is None:
        sys.exit(f"{PROJECT} declares no dependencies")
    return re.findall(r'"([^"]+)"', listed[1])


NOT_DECLARED = "pyarrow<26"
"""What a package that tests use needs without declaring it: from 26 on pyarrow refuses numpy 1 when it is imported."""

if __name__ == "__main__":
    print(pinned(*declared(PROJECT.read_text(encoding="utf-8"))))
    print(NOT_DECLARED)
