"""torch's compiler takes as long to import as torch itself: nothing that compiles nothing imports it."""

import subprocess
import sys

import pytest

MODULES = ("intel_core.fitting.fit", "intel_core.evaluation.run", "intel_core.helpers.pushforward")
CHECK = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(module, [name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What each module leaves imported, one after another in one process."""
    done = subprocess.run([sys.executable, "-c", CHECK, *MODULES], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("module", MODULES)
def test_the_compiler_is_not_imported(module: str, told: list[str]) -> None:
    assert f"{module} []" in told
