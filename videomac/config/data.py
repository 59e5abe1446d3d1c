"""Keys of the data path: from shards to batches of frame pairs."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section


class Bounds(Section):
    """What one clip may cost; a clip beyond a bound is counted under that bound's name and skipped."""

    max_pixels: int = pydantic.Field(default=8192 * 8192, gt=0)
    """Pixels of one decoded frame."""
    max_duration_s: float = pydantic.Field(default=3600.0, gt=0)
    """Seconds of video in one sample."""
    max_bytes: int = pydantic.Field(default=1 << 30, gt=0)
    """Bytes of one sample in the shard."""
    decode_timeout_s: float = pydantic.Field(default=20.0, gt=0)
    """CPU seconds for all pairs of one opened clip; ten times that in wall time."""


class Augment(Section):
    """One random crop and flip, drawn once, applied to both frames of a pair."""

    scale: tuple[float, float] = (0.2, 1.0)
    """Range of the crop's area as a share of the frame's."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Range of the crop's width over height."""
    flip: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Augment:
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"scale: expected 0 < low <= high <= 1, got {low}..{high}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio: expected 0 < low <= high, got {self.ratio[0]}..{self.ratio[1]}")
        return self


class Data(Section):
    """Which shards are read, how pairs are drawn from them, and how many actors decode."""

    manifest: str
    """`manifest.json` of the shards: a path or `s3://` URL (`videomac build-shards` writes one)."""
    storage_options: dict[str, str] = {}
    """For `s3://`: `endpoint_url`, `key`, `secret`, `region`; what is not given comes from the AWS_* environment."""
    decoder: Literal["pyav", "torchcodec"] = "pyav"
    """Never mixed in one run; torchcodec is an extra that needs FFmpeg's libraries."""
    allow_decoder_change: bool = False
    """Let a resumed run use another decoder (or version) than it began with: frames may differ by rounding."""
    image_size: tuple[int, int] = (224, 224)
    """Height and width of the crops, in pixels; multiples of the model's cell."""
    gap_s: tuple[float, float] = (0.1, 0.5)
    """Range of the time between the two frames of a pair, in seconds, drawn uniformly."""
    pair_sampling: Literal["uniform", "neighbours_6fps"] = "uniform"
    """`uniform`: stratified times, gap from `gap_s`; `neighbours_6fps`: the paper's pairs, every neighbour at 6 fps."""
    pairs_per_open: int = pydantic.Field(default=2, ge=1)
    """Pairs taken from a clip each time it is opened; divides the rows of a worker's micro-step."""
    pairs_per_second: float = pydantic.Field(default=1.0, gt=0)
    """Pairs drawn per second of video and epoch."""
    augment: Augment = Augment()
    downscale_first: bool = True
    """Downscale a large frame before cropping while the crop stays at least as large as the output."""
    shuffle_window: int = pydantic.Field(default=16, ge=1)
    """Shards whose samples are mixed with each other; larger mixes better and reads further apart."""
    bounds: Bounds = Bounds()
    max_bad_share: float = pydantic.Field(default=0.1, ge=0, le=1)
    """The run stops when more than this share of its rows could not be decoded (looked at from 200 rows on)."""
    actors: int = pydantic.Field(default=1, ge=1)
    """Decode actors per training worker."""
    cpus_per_actor: float = pydantic.Field(default=0.25, ge=0)
    """CPUs that Ray books for a decode actor; actors run one decoding thread each whatever is booked."""
    block_steps: int = pydantic.Field(default=8, ge=1)
    """Micro-steps in one Ray Data block: one task of a decode actor."""
    window_blocks: int = pydantic.Field(default=500, ge=2)
    """Blocks in one Ray Data execution; the next one starts ahead of its end."""
    prefetch_batches: int = pydantic.Field(default=2, ge=1)
    """Batches a worker keeps ready."""
    object_store_mb: int = pydantic.Field(default=256, ge=8)
    """Decoded rows waiting in Ray's object store, MiB over all workers; decoding pauses above it. With several actors
    at least what keeps them busy: `actors * (block_steps + 4)` micro-batches for each worker."""
    start_timeout_s: float = pydantic.Field(default=60.0, gt=0)
    """Error when the decode actors found no CPU for so long."""
    stall_timeout_s: float = pydantic.Field(default=300.0, gt=0)
    """Error when no batch came for so long."""
    io_timeout_s: float = pydantic.Field(default=60.0, gt=0)
    """How long one object-store request is tried again before the run ends with an error."""
    io_attempt_s: float = pydantic.Field(default=5.0, gt=0)
    """Longest silence of an object store before the request is given up and tried again."""
    read_ahead_mb: int = pydantic.Field(default=32, ge=1)
    """Clips that a decode actor keeps ready in memory, MiB; neighbours in a shard come in one request."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Data:
        if not 0 <= self.gap_s[0] <= self.gap_s[1]:
            raise ValueError(f"gap_s: expected 0 <= low <= high in seconds, got {self.gap_s[0]}..{self.gap_s[1]}")
        if min(self.image_size) < 1:
            raise ValueError(f"image_size: expected positive height and width, got {self.image_size}")
        if self.pair_sampling == "neighbours_6fps" and self.pairs_per_open != 1:
            raise ValueError(f"pair_sampling: neighbours_6fps needs pairs_per_open 1, got {self.pairs_per_open}")
        return self


class BuildShards(Section):
    """`videomac build-shards`: a pile of video becomes WebDataset shards, a manifest and an index."""

    source: str
    """A folder of videos or of frame folders, a list file (one path or URL a line), or an `s3://` prefix."""
    out: str
    """Folder or `s3://` prefix that receives `*.tar`, `manifest.json`, `index.parquet`, `rejected.jsonl`."""
    storage_options: dict[str, str] = {}
    """As `data.storage_options`."""
    shard_mb: float = pydantic.Field(default=64.0, gt=0)
    """Shards are closed at about this size, MiB."""
    segment_s: float = pydantic.Field(default=60.0, gt=0)
    """Longer videos are cut at keyframes into segments of about this length, seconds."""
    min_duration_s: float = pydantic.Field(default=0.5, ge=0)
    """Shorter clips are rejected."""
    fps: float | None = pydantic.Field(default=None, gt=0)
    """Frame rate of frame folders, which carry none (DAVIS: 24; YouTube-VOS: 6 as distributed)."""
    reencode: bool = False
    """Re-encode with H.264 so that seeking is cheap; otherwise bytes stay as they came."""
    short_side: int | None = pydantic.Field(default=None, ge=16)
    """With `reencode`: downscale to this short side, pixels; smaller clips are not enlarged."""
    reencode_fps: float | None = pydantic.Field(default=None, gt=0)
    """With `reencode`: frames per second; null keeps the clip's."""
    keyframe_interval: int = pydantic.Field(default=8, ge=1)
    """With `reencode`: frames from one keyframe to the next."""
    crf: int = pydantic.Field(default=20, ge=0, le=51)
    """With `reencode`: constant rate factor of x264; lower is better and larger."""
    val_share: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of the source videos that go to the validation split (chosen by hash of the source's name)."""
    bounds: Bounds = Bounds()
    parallel: int = pydantic.Field(default=0, ge=0)
    """Ray tasks at a time; 0: one per CPU."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> BuildShards:
        if not self.reencode and (self.short_side or self.reencode_fps):
            raise ValueError("short_side and reencode_fps change the frames: set reencode=true with them")
        return self


class Shards(Section):
    """`videomac verify-shards`, `show-shards` and `index-shards`: what exists, looked at."""

    manifest: str
    """`manifest.json`, or (index-shards) the folder or `s3://` prefix of tars without one."""
    storage_options: dict[str, str] = {}
    """As `data.storage_options`."""
    out: str = "shards.html"
    """show-shards: where the contact sheet page is written."""
    pairs: int = pydantic.Field(default=16, ge=1)
    """show-shards: pairs on the contact sheet."""
    seed: int = pydantic.Field(default=0, ge=0)
    """show-shards: seed of the plan whose first pairs are drawn."""
