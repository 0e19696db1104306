"""The `intel` command: train, sample and inspect InteL-VAEs from a shell."""

__version__ = "0.1.0"
