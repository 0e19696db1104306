"""Which mappings are the checks tested on? Mutants, which must be found, and steep ones, which must pass."""
