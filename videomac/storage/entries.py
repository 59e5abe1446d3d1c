"""What storages and their callers hand to each other."""

from __future__ import annotations

Content = bytes | bytearray | memoryview
"""A file's or sample's bytes, wherever they lie."""
