"""Sparse ConvNets on packed cells, their masked reference, and the decoder.

Begin at `registry.build_encoder`, which makes an `encoder.Encoder` of any name in `registry.SIZES`: called with images
and visible cells it returns four stages of packed cells, `dense` those of whole images. docs/design/packed-cells.md
shows both, and how the parts below fit together.
"""
