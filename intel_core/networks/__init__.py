"""Which encoders and decoders ship with the framework? Dense, convolutional and affine ones."""
