"""Choose the decoder of a clip: PyAV by default, torchcodec by configuration, PIL for images in a tar.

Decoders are imported where they are chosen, so that one that is not installed is an error with advice.
"""

from __future__ import annotations

import io

from videomac.config import Bounds
from videomac.data.clip import Clip
from videomac.data.frames_clip import FramesClip
from videomac.errors import DataError
from videomac.storage.entries import Content


def open_clip(content: Content, kind: str, fps: float, decoder: str, bounds: Bounds) -> Clip:
    """Open a sample's bytes; `kind` and `fps` as in the index.

    Raises:
        BadClip: the clip exceeds a bound, or the bytes are not a video.
    """
    if kind == "frames":
        return FramesClip(content, fps, bounds)
    if decoder == "torchcodec":
        from videomac.data.torchcodec_clip import open_torchcodec

        return open_torchcodec(content, bounds)
    from videomac.data.pyav_clip import PyavClip

    return PyavClip(io.BytesIO(content), bounds)


def decoder_version(decoder: str) -> str:
    """Return name and version of the decoder, as checkpoints keep it.

    Raises:
        DataError: its library cannot be imported: every clip would look broken, so nothing starts.
    """
    try:
        if decoder == "torchcodec":
            import torchcodec  # pyright: ignore - an extra

            return f"torchcodec {torchcodec.__version__}"  # pyright: ignore - an extra
        import av
    except (ImportError, OSError, RuntimeError) as error:
        hint = "pip install av" if decoder == "pyav" else "pip install torchcodec, and FFmpeg's shared libraries"
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DataError(
            f"data.decoder={decoder}: cannot be imported ({first_line}); install it ({hint}) or choose another decoder"
        ) from error
    return f"pyav {av.__version__}"
