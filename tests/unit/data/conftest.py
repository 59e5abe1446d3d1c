"""Fixtures of the data tests: three small videos in two shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.data.material import write_shards, write_video


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three videos of 1, 1.5 and 2 s at 24 fps."""
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"{name}.mp4", frames) for name, frames in (("a", 24), ("b", 36), ("c", 48))]


@pytest.fixture(scope="session")
def small_shards(tmp_path_factory: pytest.TempPathFactory, small_videos: list[Path]) -> str:
    """Path of the manifest of these videos' shards."""
    return write_shards(tmp_path_factory.mktemp("shards"), small_videos)
