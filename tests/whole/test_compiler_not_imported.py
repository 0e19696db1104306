"""torch's compiler takes as long to import as torch itself: nothing that compiles nothing imports it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["intel_core.fitting.fit", "intel_core.evaluation.run", "intel_core.helpers.pushforward"]
)
def test_the_compiler_is_not_imported(module: str) -> None:
    check = f"import sys, {module}; print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
