"""Do priors, posteriors and likelihoods keep their contracts, and are their densities those of their draws?"""
