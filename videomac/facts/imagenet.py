"""Mean and standard deviation of ImageNet's pixels by channel (red, green, blue), as shares of 255."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
