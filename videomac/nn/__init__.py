"""Sparse ConvNets on packed cells, their masked reference, and the decoder."""
