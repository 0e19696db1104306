"""Do priors and posteriors keep their contracts, and are their densities those of their draws?"""
