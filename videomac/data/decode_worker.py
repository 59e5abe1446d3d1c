"""What the decoding process runs. Separate module: it is started again whenever a clip crashes the decoder, so its
imports stay light (no storage, no index, no torch).

Each function here is a target of `subprocess_worker.Child`: it takes a setup as JSON and returns a handler.
"""

from __future__ import annotations

from collections.abc import Sequence

from videomac.config import Bounds
from videomac.data.clip import Clip, Picture
from videomac.data.open_clip import decoder_version, open_clip
from videomac.data.pairs import make_pairs
from videomac.data.pyav_clip import PyavClip
from videomac.data.recipe import Recipe
from videomac.data.subprocess_worker import Handler
from videomac.records.decoding import FramesAnswer, FramesRequest, PairsAnswer, PairsRequest
from videomac.storage.entries import Content

DECODER = "videomac.data.decode_worker:pairs_handler"
FRAME_DECODER = "videomac.data.decode_worker:frames_handler"


def pairs_handler(setup: bytes) -> Handler:
    """Return a handler that takes pairs from the clip that comes with a `PairsRequest`; `setup` is a `Recipe`."""
    recipe = Recipe.from_json(setup, origin="the decoding process")
    decoder_version(recipe.decoder)

    def handle(text: bytes, content: Content) -> tuple[PairsAnswer, memoryview]:
        request = PairsRequest.model_validate_json(text)
        pairs = make_pairs(recipe, request.sample, content, request.slots)
        codes = tuple(pairs.code_n.tolist())
        return PairsAnswer(codes=codes, decode_s=pairs.decode_s, resize_s=pairs.resize_s), pairs.frames_n2hw3.data

    return handle


def frames_handler(setup: bytes) -> Handler:
    """Return a handler that decodes the frames that a `FramesRequest` asks for; `setup` are `Bounds`.

    A file stays open until another one is asked for: long clips are asked for part by part.
    """
    bounds = Bounds.model_validate_json(setup)
    files: dict[str, Clip] = {}

    def opened(request: FramesRequest, content: Content) -> Clip:
        if request.path is None:
            return open_clip(content, request.kind, request.fps, "pyav", bounds)
        if request.path not in files:
            for other in list(files):
                files.pop(other).close()
            files[request.path] = PyavClip(request.path, bounds)
        return files[request.path]

    def handle(text: bytes, content: Content) -> tuple[FramesAnswer, Content]:
        request = FramesRequest.model_validate_json(text)
        clip = opened(request, content)
        frames = frames_up_to(clip, request.start, request.most_bytes)
        height, width, _ = frames[0].shape if frames else (0, 0, 3)
        answer = FramesAnswer(total=len(clip.times_s), count=len(frames), height=height, width=width)
        return answer, b"".join(frame.data for frame in frames)

    return handle


def frames_up_to(clip: Clip, start: int, most_bytes: int) -> Sequence[Picture]:
    """Return frames of one size from `start` on, until they take more than `most_bytes`."""
    frames: list[Picture] = []
    taken = 0
    if most_bytes:
        for _, frame in clip.pictures(range(start, len(clip.times_s))):
            if frames and frame.shape != frames[0].shape:
                break
            frames.append(frame)
            taken += frame.nbytes
            if taken > most_bytes:
                break
    return frames
