"""What is the `intel` command? A shell for training, sampling and inspecting InteL-VAEs."""

__version__ = "0.1.0"
