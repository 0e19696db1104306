"""The checks, a module for each group; each check is a plain function of the subject."""
