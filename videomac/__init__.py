"""videomac: self-supervised pretraining of ConvNet backbones on video (VideoMAC, CVPR 2024), on Ray."""

__version__ = "0.1.0"
