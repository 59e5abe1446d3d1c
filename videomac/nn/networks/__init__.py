"""The encoders, the decoder, and how they are built, initialised and loaded."""
