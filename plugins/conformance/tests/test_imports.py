"""Is the kit quick to import, without the libraries that only some of it needs?"""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_kit_imports_neither_pytest_nor_hypothesis_nor_torch() -> None:
    code = (
        "import sys; import intel_conformance as t; from intel_conformance import conformance;"
        "print([m for m in ('pytest', 'hypothesis') if m in sys.modules]);"
        "import intel_conformance.runner; t.all_checks();"
        "print([m for m in ('pytest', '_pytest', 'hypothesis') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n")[:2] == ["[]", "[]"]
    light = "import sys, intel_conformance.catalogue, intel_conformance.levels; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
