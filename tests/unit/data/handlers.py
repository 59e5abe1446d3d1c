"""Child-process handlers that misbehave on request, for the tests of isolation."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import sys
import tempfile
import time
from typing import Any


def misbehaving(setup: dict[str, Any]):
    """Does what the header's `do` says; `once` names a file that marks that it was done already."""

    def handle(header: dict[str, Any], content: bytes):
        marker = header.get("once")
        if marker and pathlib.Path(marker).exists():
            return {"done": False}, content
        if marker:
            pathlib.Path(marker).touch()
        _act(header["do"])
        return {"done": True}, content

    return handle


def crashing_decoder(setup: dict[str, Any]):
    """The real decoder, but clips whose key begins with `crash` or `hang` misbehave as such."""
    from videomac.data import decode_worker as isolated  # here, so that the other handlers start quickly

    handle = isolated.decoder(setup)

    def wrapped(header: dict[str, Any], content: bytes):
        if header["key"].startswith("crash"):
            _act("segfault")
        if header["key"].startswith("hang"):
            _act("spin")
        return handle(header, content)

    return wrapped


def openings_file(seed: int) -> pathlib.Path:
    """Where `counting_decoder` counts: its recipe holds nothing else by which two tests could be told apart."""
    return pathlib.Path(tempfile.gettempdir()) / f"videomac-openings-{seed}"


def counting_decoder(setup: dict[str, Any]):
    """The real decoder; adds a byte to the run's `openings_file` for every opened clip."""
    from videomac.data import decode_worker as isolated

    handle = isolated.decoder(setup)

    def wrapped(header: dict[str, Any], content: bytes):
        with openings_file(setup["seed"]).open("ab") as file:
            file.write(b".")
        return handle(header, content)

    return wrapped


def _act(what: str) -> None:
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
    if what == "null":
        ctypes.string_at(0)
    sys.stdout.write("noise that must not disturb the protocol\n")
