"""Is every mapping plugin's package light to import, and does it offer what it says? One table for all."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = {
    "intel_circle": ["circle", "sphere", "torus:planes=2"],
    "intel_cluster": ["cluster:k=[2,3]"],
    "intel_hierarchy": ["hierarchy:levels=[8,8,16]"],
    "intel_holes": ["holes:h=3"],
    "intel_priors": ["first:keep=3"],
    "intel_sparse": ["sparse:gamma=30", "lsp:gamma=30"],
}
each_package = pytest.mark.parametrize("package", PACKAGES)


@each_package
def test_importing_the_spec_does_not_import_torch(package: str) -> None:
    code = (
        f"import sys; from intel_core import parse_spec; import {package}, {package}.spec;"
        f"[parse_spec('mappings', text) for text in {PACKAGES[package]}];"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split()[0] == "False"


@each_package
def test_public_names(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
        assert name in dir(module)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018
