"""The checks, one module for each group. Each check is a plain function of the candidate."""
