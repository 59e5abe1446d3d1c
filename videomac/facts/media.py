"""Suffixes of the files that are taken for videos and images, in the order in which they are looked for, and what may
be done to their pictures and times."""

from __future__ import annotations

import enum

VIDEO_SUFFIXES = (
    "mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "ts", "m2ts", "mts", "wmv", "flv", "ogv", "3gp",
    "gif", "vob", "asf", "3g2", "f4v", "m2v", "m1v", "mpe", "mpv", "qt", "mjpeg", "mjpg", "mxf", "dv", "divx", "ogm",
    "h264", "264", "h265", "265", "hevc", "ivf", "nut", "rm", "rmvb",
)  # fmt: skip
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp")
NO_VIDEO_SUFFIXES = frozenset({
    "txt", "md", "rst", "html", "htm", "pdf", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "nfo",
    "srt", "vtt", "ass", "ssa", "sub", "idx", "lrc", "wav", "mp3", "flac", "aac", "m4a", "oga", "ogg", "opus", "wma",
    "npy", "npz", "pkl", "pt", "pth", "mat", "h5", "hdf5", "parquet", "arrow", "zip", "tar", "gz", "bz2", "xz", "zst",
    "7z", "rar", "py", "sh", "ipynb", "c", "h", "js", "css", "log", "db", "sqlite", "url", "lnk", "exe", "dll", "so",
    "svg", "ico", "psd", "heic", "avif", "dng", "cr2", "nef", "thm", "part", "crdownload", "torrent", "md5", "sha256",
})  # fmt: skip
"""Files that are left out unopened."""


class Treatment(str, enum.Enum):
    """What makes pictures or times of a clip other than those that its decoder gives; counted and shown by kind."""

    ROTATED = "rotated"
    FLIPPED = "flipped"
    SQUARE_PIXELS = "square_pixels"
    DEINTERLACED = "deinterlaced"
    TONE_MAPPED = "tone_mapped"
    EIGHT_BITS = "eight_bits"
    ALPHA_IGNORED = "alpha_ignored"
    OTHER_STREAM = "other_stream"
    TRIMMED = "trimmed"
    TIMES_REPAIRED = "times_repaired"
    TIMES_JOINED = "times_joined"
    NUMBERS_MISSING = "numbers_missing"

    def __str__(self) -> str:
        return self.value

    @property
    def phrase(self) -> str:
        """The treatment in words, for screen and page."""
        return _PHRASES[self]


_PHRASES = {
    Treatment.ROTATED: "rotated as their metadata say",
    Treatment.FLIPPED: "mirrored as their metadata say",
    Treatment.SQUARE_PIXELS: "resampled to square pixels",
    Treatment.DEINTERLACED: "deinterlaced",
    Treatment.TONE_MAPPED: "tone-mapped from HDR to SDR",
    Treatment.EIGHT_BITS: "scaled from 16 bits to 8, by the full range",
    Treatment.ALPHA_IGNORED: "with transparency, which is ignored",
    Treatment.OTHER_STREAM: "with cover art, stills or further videos, which are left out",
    Treatment.TRIMMED: "with frames that an edit list hides, which are left out",
    Treatment.TIMES_REPAIRED: "with missing, equal or disordered times, which are filled in",
    Treatment.TIMES_JOINED: "with times that start again, which are carried on",
    Treatment.NUMBERS_MISSING: "with gaps in the numbers of their frames",
}


def suffix_of(name: str) -> str:
    """Return what follows the last dot of a file's name, in lower case and without the dot; empty if there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""
