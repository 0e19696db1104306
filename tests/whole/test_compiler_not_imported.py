"""torch's compiler takes as long to import as torch itself: nothing that compiles nothing imports it."""

import subprocess
import sys
from pathlib import Path

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


TRAIN = """
import sys
from intel_core import fit, fit_replicates
folder = sys.argv[1]
fit(data="digits", mapping="cluster:k=3", start="none", steps=2, run_dir=folder + "/one")
fit_replicates(2, data="circle:n=200", mapping="circle", steps=2, run_dir=folder + "/two")
print([name for name in ("torch._dynamo", "sympy", "sklearn") if name in sys.modules])
"""


@pytest.mark.slow
def test_nor_does_training(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAIN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
