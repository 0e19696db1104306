"""Which faults must the checks find? At least one mutant for each check, in modules of their groups and five more."""

from __future__ import annotations

import importlib

from intel_conformance.check import GROUPS

from specimens.mutant import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant"]

for _group in (*GROUPS, "precision", "calls", "training", "cost", "careless"):
    importlib.import_module(f"specimens.mutants.{_group}")
