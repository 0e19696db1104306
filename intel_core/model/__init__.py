"""What is the model: likelihoods, networks, objectives, and how they form a VAE?"""
