"""Mappings that the checks are tested on: mutants, which must be found, and steep ones, which must pass."""
