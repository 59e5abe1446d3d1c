"""Keys of the data path, from videos to shards and from shards to batches of frame pairs."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section
from videomac.config.messages import BadValueError
from videomac.config.places import InputPlace, OutputPlace, Place
from videomac.config.secrets import StorageOptions


class Bounds(Section):
    """What one clip may cost; a clip that exceeds a bound is skipped and counted under that bound's name."""

    max_pixels: int = pydantic.Field(default=8192 * 8192, gt=0)
    """Pixels of one decoded frame."""
    max_duration_s: float = pydantic.Field(default=3600.0, gt=0)
    """Seconds of video in one sample."""
    max_bytes: int = pydantic.Field(default=1 << 30, gt=0)
    """Bytes of one sample in the shard."""
    decode_timeout_s: float = pydantic.Field(default=20.0, gt=0)
    """CPU time for all pairs of one opened clip, in seconds; the limit on elapsed time is ten times as long."""
    max_memory_mb: int = pydantic.Field(default=4096, ge=256)
    """Memory (address space) that a decoding process may take for clips, beyond its libraries, in MiB. A clip of 1 GiB
    is in memory two to three times while it is decoded."""
    max_file_mb: int = pydantic.Field(default=2048, ge=64)
    """Largest file that a decoding process may write, in MiB: a cut or re-encoded segment, or the pixels of one
    answer."""


class Augment(Section):
    """One random crop and flip, drawn once and applied to both frames of a pair."""

    scale: tuple[float, float] = (0.2, 1.0)
    """Range of the crop's area, as a share of the frame's area."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Range of the crop's width divided by its height."""
    flip: float = pydantic.Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Augment:
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise BadValueError("scale", f"expected 0 < low <= high <= 1, got [{low}, {high}]")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise BadValueError("ratio", f"expected 0 < low <= high, got [{self.ratio[0]}, {self.ratio[1]}]")
        return self


class Data(Section):
    """Which shards are read, how pairs are drawn from them, and how many actors decode."""

    manifest: InputPlace
    """Path or `s3://` URL of the shards' `manifest.json`, which `videomac build-shards` writes."""
    storage_options: StorageOptions = StorageOptions()
    """Access to shards on `s3://`."""
    decoder: Literal["pyav", "torchcodec"] = "pyav"
    """Library that decodes video, one for a whole run; torchcodec is an extra that needs FFmpeg's libraries."""
    allow_decoder_change: bool = False
    """Let a resumed run use a different decoder, or version, than it started with: frames may differ by rounding."""
    image_size: tuple[int, int] = (224, 224)
    """Height and width of the crops in pixels: multiples of `model.cell`."""
    gap_s: tuple[float, float] = (0.1, 0.5)
    """Range of the time between the two frames of a pair, in seconds; drawn uniformly."""
    pair_sampling: Literal["uniform", "neighbours_6fps"] = "uniform"
    """`uniform`: one time in each slot of the clip, and a gap from `gap_s`; `neighbours_6fps`: the paper's pairs, all
    neighbouring frames at 6 frames per second."""
    pairs_per_open: int = pydantic.Field(default=2, ge=1)
    """Pairs taken from a clip each time it is opened; must divide `train.batch_size` and `train.micro_batch`."""
    pairs_per_second: float = pydantic.Field(default=1.0, gt=0)
    """Pairs drawn from each second of video in one epoch."""
    augment: Augment = Augment()
    downscale_first: bool = True
    """Downscale a large frame before cropping, as far as the crop stays at least as large as the output."""
    shuffle_window: int = pydantic.Field(default=16, ge=1)
    """Shards whose samples are shuffled together; more shards mix better, but reads lie further apart."""
    bounds: Bounds = Bounds()
    max_bad_share: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Stop the run if more than this share of its rows is bad (checked from 200 rows on)."""
    actors: int = pydantic.Field(default=1, ge=1)
    """Decode actors per training worker."""
    cpus_per_actor: float = pydantic.Field(default=0.25, ge=0)
    """CPUs that Ray books for a decode actor; an actor decodes on one thread, whatever is booked."""
    block_steps: int = pydantic.Field(default=8, ge=1)
    """Micro-steps in one Ray Data block, which is one task of a decode actor."""
    window_blocks: int = pydantic.Field(default=500, ge=2)
    """Blocks in one window (one execution of Ray Data); the next window starts before it ends."""
    prefetch_batches: int = pydantic.Field(default=2, ge=1)
    """Batches that a worker keeps ready."""
    object_store_mb: int = pydantic.Field(default=256, ge=8)
    """Limit on decoded rows that wait in Ray's object store, in MiB over all workers; decoding pauses above it. Several
    actors get at least what keeps them busy: `actors * (block_steps + 4)` micro-batches for each worker."""
    start_timeout_s: float = pydantic.Field(default=60.0, gt=0)
    """Fail if the decode actors get no CPU within this time, in seconds."""
    stall_timeout_s: float = pydantic.Field(default=300.0, gt=0)
    """Fail if no batch arrives within this time, in seconds."""
    io_timeout_s: float = pydantic.Field(default=60.0, gt=0)
    """Fail if one request to the object store has not succeeded within this time, in seconds; until then it is
    retried."""
    io_attempt_s: float = pydantic.Field(default=5.0, gt=0)
    """Retry a request if the object store stays silent for this long, in seconds."""
    read_ahead_mb: int = pydantic.Field(default=32, ge=1)
    """Clips that a decode actor reads ahead, in MiB; neighbours in a shard come with one request."""
    index_cache: Place = ""
    """Folder on each node for a copy of a large index, which all processes of the node share; empty: a folder of this
    user's beside other temporary files."""
    index_cache_mb: int = pydantic.Field(default=16384, ge=1)
    """Limit on the copies of all indexes on a node, in MiB; the ones unused for longest are dropped. A copy takes about
    150 bytes a clip."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Data:
        if not 0 <= self.gap_s[0] <= self.gap_s[1]:
            raise BadValueError(
                "gap_s", f"expected 0 <= low <= high in seconds, got [{self.gap_s[0]}, {self.gap_s[1]}]"
            )
        if min(self.image_size) < 1:
            raise BadValueError("image_size", f"expected positive height and width, got {list(self.image_size)}")
        if self.pair_sampling == "neighbours_6fps" and self.pairs_per_open != 1:
            raise BadValueError("pairs_per_open", f"pair_sampling neighbours_6fps needs 1, got {self.pairs_per_open}")
        return self


class BuildShards(Section):
    """`videomac build-shards`: turn videos into WebDataset shards, a manifest and an index."""

    source: InputPlace
    """Folder of videos or of frame folders, list file (one path or URL per line), or `s3://` prefix."""
    out: OutputPlace
    """Folder or `s3://` prefix that receives `*.tar`, `manifest.json`, `index.parquet` and `rejected.jsonl`."""
    storage_options: StorageOptions = StorageOptions()
    """Access to `source` and `out` on `s3://`."""
    shard_mb: float = pydantic.Field(default=64.0, gt=0)
    """Size at which a shard is closed, in MiB."""
    segment_s: float = pydantic.Field(default=60.0, gt=0)
    """Cut longer videos at keyframes into segments of about this many seconds."""
    min_duration_s: float = pydantic.Field(default=0.5, ge=0)
    """Reject clips shorter than this, in seconds."""
    fps: float | None = pydantic.Field(default=None, gt=0)
    """Frames per second of frame folders, which do not say (DAVIS: 24; YouTube-VOS as distributed: 6)."""
    reencode: bool = False
    """Re-encode with H.264 so that seeking is cheap; otherwise bytes stay as they are."""
    short_side: int | None = pydantic.Field(default=None, ge=16)
    """With `reencode`: downscale to this short side, in pixels; smaller clips are not enlarged."""
    reencode_fps: float | None = pydantic.Field(default=None, gt=0)
    """With `reencode`: frames per second; null keeps the clip's rate."""
    keyframe_interval: int = pydantic.Field(default=8, ge=1)
    """With `reencode`: frames from one keyframe to the next."""
    crf: int = pydantic.Field(default=20, ge=0, le=51)
    """With `reencode`: constant rate factor of x264; lower means better pictures and larger files."""
    val_share: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of the source videos that goes to the validation split, chosen by a hash of the source's name."""
    bounds: Bounds = Bounds()
    parallel: int = pydantic.Field(default=0, ge=0)
    """Ray tasks that run at the same time; 0: one per CPU."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> BuildShards:
        if not self.reencode and (self.short_side or self.reencode_fps):
            key = "short_side" if self.short_side else "reencode_fps"
            raise BadValueError(key, "only re-encoding changes frames; set reencode=true with it")
        return self


class Shards(Section):
    """What every command on existing shards takes."""

    manifest: InputPlace
    """Path or `s3://` URL of `manifest.json`, or of its folder."""
    storage_options: StorageOptions = StorageOptions()
    """Access to shards on `s3://`."""


class VerifyShards(Shards):
    """`videomac verify-shards`: check that everything is there, unchanged and decodable."""


class ShowShards(Shards):
    """`videomac show-shards`: print a summary and draw frame pairs as training sees them."""

    out: OutputPlace = "shards.html"
    """Page that is written."""
    pairs: int = pydantic.Field(default=16, ge=1)
    """Pairs on the page."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of the plan whose first pairs are drawn."""


class IndexShards(Section):
    """`videomac index-shards`: write a manifest and an index for tars that others made."""

    tars: OutputPlace
    """Folder or `s3://` prefix of the tars; it receives `manifest.json`, `index.parquet` and `rejected.jsonl`."""
    storage_options: StorageOptions = StorageOptions()
    """Access to tars on `s3://`."""
