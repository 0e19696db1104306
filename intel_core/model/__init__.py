"""What is an InteL-VAE? Its posterior, likelihoods and objectives, and how they form a model."""
