"""Which likelihoods ship with the framework?"""
