"""Child-process handlers that misbehave on request, for the tests of isolation."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time

import numpy as np

from videomac.data.status import BadClip, Code
from videomac.records.base import Record
from videomac.records.decoding import PairsRequest

MIB = 1 << 20


class Wish(Record):
    """What a handler of these is asked for."""

    do: str = "nothing"
    """What it does."""
    once: str | None = None
    """A file that marks that it was done already."""
    size_mb: int = 0
    """How much of it."""


class Did(Record):
    """What it did."""

    done: bool = True
    """Whether it did anything."""
    told: str = ""
    """What it was asked to tell."""


def misbehaving(setup: bytes):
    """Does what the request's `do` says, unless it did so once."""

    def handle(text: bytes, content: memoryview):
        wish = Wish.model_validate_json(text)
        if wish.once and pathlib.Path(wish.once).exists():
            return Did(done=False), content
        if wish.once:
            pathlib.Path(wish.once).touch()
        return Did(told=_act(wish.do, wish.size_mb)), content

    return handle


def crashing_decoder(setup: bytes):
    """The real decoder, but clips whose key begins with `crash`, `hang` or `hog` misbehave as such."""
    from videomac.data import decode_worker  # here, so that the other handlers start quickly

    handle = decode_worker.pairs_handler(setup)

    def wrapped(text: bytes, content: memoryview):
        key = PairsRequest.model_validate_json(text).sample.key
        for name, wish in {"crash": "segfault", "hang": "spin", "hog": "allocate"}.items():
            if key.startswith(name):
                _act(wish, 1 << 20)
        return handle(text, content)

    return wrapped


def crashing_frame_decoder(setup: bytes):
    """Dies of every clip."""

    def handle(text: bytes, content: memoryview):
        _act("segfault")

    return handle


def openings_file(seed: int) -> pathlib.Path:
    """Where `counting_decoder` counts: its recipe holds nothing else by which two tests could be told apart."""
    return pathlib.Path(tempfile.gettempdir()) / f"videomac-openings-{seed}"


def counting_decoder(setup: bytes):
    """The real decoder; adds a byte to the run's `openings_file` for every opened clip."""
    from videomac.data import decode_worker

    handle = decode_worker.pairs_handler(setup)
    seed = json.loads(setup)["seed"]

    def wrapped(text: bytes, content: memoryview):
        with openings_file(seed).open("ab") as file:
            file.write(b".")
        return handle(text, content)

    return wrapped


def _act(what: str, size_mb: int = 0) -> str:
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "spin":
        while True:
            pass
    if what == "sleep":
        time.sleep(60)
    if what == "raise":
        raise KeyError("a mistake of ours")
    if what == "fill":
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"refused")
    if what == "refuse":
        raise BadClip(Code.BROKEN, "not a video")
    if what == "null":
        ctypes.string_at(0)
    if what == "allocate":
        np.ones(size_mb * MIB, np.uint8)
    if what == "write":
        with tempfile.NamedTemporaryFile() as file:
            for _ in range(size_mb):
                file.write(bytes(MIB))
    sys.stdout.write("noise that must not disturb the protocol\n")
    return _tell(what)


def _tell(what: str) -> str:
    if what == "environment":
        return json.dumps(dict(os.environ))
    if what == "session":
        return str(os.getsid(0) == os.getpid())
    if what == "core":
        return str(resource.getrlimit(resource.RLIMIT_CORE))
    return ""
