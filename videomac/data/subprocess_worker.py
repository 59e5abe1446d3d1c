"""A long-lived child process in which decoders run, so that one that crashes or hangs costs a clip and not the run.

The parent sends a JSON header over a socket pair and gets one back; the bytes that go with them lie in memory that both
share (a socket would cost two more copies and a switch of processes every 200 KB). Nothing is pickled. The child sets
itself two alarms for every request, CPU time and wall time; their default action ends the process even inside a library
that never returns. Run as `python -m videomac.data.subprocess_worker MODULE:FUNCTION SOCKET MEMORY` (two descriptors).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

from videomac.data.status import BadClip, Code
from videomac.errors import DataError
from videomac.storage.entries import Content

Handler = Callable[[dict[str, Any], memoryview], tuple[dict[str, Any], Any]]
"""(header, bytes) -> (header, bytes-like)."""

WALL_PER_CPU = 10.0
"""Wall seconds allowed per CPU second allowed: the machine may be busy."""
FAILURES_OF_A_BAD_CLIP = 2
KILLS_BEFORE_GIVING_UP = 10
START_TIMEOUT_S = 120.0
ALARMS = {signal.SIGPROF, signal.SIGALRM}
OUTSIDE_KILLS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}
"""Never the clip's fault: out of memory, a lost node, an operator."""
_HEADER = struct.Struct("<IQ")
"""Bytes of the JSON text, and of what lies in shared memory."""
LEAST_SHARED = 4 << 20
MOST_UNUSED = 8
"""Shared memory is given back where a request needs less than this part of it: one huge clip must not keep it."""


class _Died(Exception):  # noqa: N818 - a finding, always handled here
    """The child ended; `code` is None if something outside ended it."""

    def __init__(self, code: Code | None, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Child:
    """The parent's end. `target` names a function(setup: dict) -> Handler that the child imports and calls once."""

    def __init__(self, target: str, setup: dict[str, Any]) -> None:
        self._target, self._setup = target, setup
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._memory = SharedMemory.new()

    def call(
        self, header: dict[str, Any], content: Content, cpu_s: float, into: memoryview | None = None
    ) -> tuple[dict[str, Any], Content]:
        """The handler's answer. A request that something outside ended is sent again to a new child.

        The answer's bytes are received `into` a buffer where one of just that size is given.

        Raises:
            BadClip: the child failed of itself or passed its time twice on this request.
            DataError: the child cannot start, or was killed from outside ten times on this request.
        """
        failures = kills = 0
        while True:
            try:
                return self._ask({**header, "cpu_s": cpu_s}, content, cpu_s * WALL_PER_CPU + 10.0, into)
            except _Died as death:
                self.close()
                if death.code is None:
                    kills += 1
                else:
                    failures += 1
                if death.code is not None and failures >= FAILURES_OF_A_BAD_CLIP:
                    raise BadClip(death.code, death.detail) from death
                if kills >= KILLS_BEFORE_GIVING_UP:
                    raise DataError(
                        f"the decoding process was killed {kills} times on {header.get('key', 'one clip')} "
                        f"({death.detail}): out of memory? lower bounds.max_pixels or bounds.max_bytes, or give the "
                        "node more memory"
                    ) from death

    def _ask(
        self, header: dict[str, Any], content: Content, timeout_s: float, into: memoryview | None
    ) -> tuple[dict[str, Any], Content]:
        if self._process is None:
            self._start()
        answer, payload = self._exchange(header, content, timeout_s, into)
        if "bug" in answer:
            raise RuntimeError(f"in the decoding process:\n{answer['bug']}")
        return answer, payload

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(p for p in sys.path if p)
        ends = [theirs.fileno(), self._memory.descriptor]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "videomac.data.subprocess_worker", self._target, *map(str, ends)],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        theirs.close()
        self._socket = ours
        try:
            answer, _ = self._exchange(self._setup, b"", START_TIMEOUT_S)
        except _Died as death:
            if death.code is None:
                raise
            raise DataError(f"the decoding process does not start ({death.detail}); its error is above") from death
        if "bug" in answer:
            raise DataError(f"the decoding process does not start: {answer['bug'].splitlines()[-1]}")

    def _exchange(
        self, header: dict[str, Any], content: Content, timeout_s: float, into: memoryview | None = None
    ) -> tuple[dict[str, Any], Content]:
        assert self._socket is not None
        self._socket.settimeout(timeout_s)
        try:
            _send(self._socket, self._memory, header, content, trim=True)
            received = _receive(self._socket)
        except TimeoutError as error:
            self.close()
            raise _Died(Code.TIMEOUT, f"no answer within {timeout_s:.0f} s") from error
        except OSError:
            received = None
        if received is None:
            raise self._autopsy()
        answer, size = received
        found = self._memory.view(size)
        if into is None or into.nbytes != size:
            return answer, bytes(found)
        into[:] = found
        return answer, into

    def _autopsy(self) -> _Died:
        assert self._process is not None
        status = self._process.wait()
        if status >= 0:
            return _Died(Code.CRASH, f"exit status {status}")
        name = signal.Signals(-status).name
        if -status in OUTSIDE_KILLS:
            return _Died(None, name)
        return _Died(Code.TIMEOUT if -status in ALARMS else Code.CRASH, name)

    @property
    def pid(self) -> int | None:
        """Process id of the child that runs now."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """Ends the child; the next call starts another."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._socket = None

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError, OSError):  # at interpreter exit
            self.close()
            self._memory.close()


class SharedMemory:
    """Memory of a descriptor that two processes have; either may have changed its size."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    @classmethod
    def new(cls) -> SharedMemory:
        """Nameless, gone with the last process that has it."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("videomac"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def put(self, content: Content, trim: bool = False) -> int:
        """Writes from the beginning, what was there is lost; returns the size. `trim` gives unused memory back."""
        size = memoryview(content).nbytes
        held = os.fstat(self.descriptor).st_size
        if size > held or (trim and held > max(LEAST_SHARED, MOST_UNUSED * size)):
            os.ftruncate(self.descriptor, max(size, LEAST_SHARED))
        if size:
            self.view(size)[:] = memoryview(content).cast("B")
        return size

    def view(self, size: int) -> memoryview:
        """The first `size` bytes; of use until the next `put` of either process."""
        held = os.fstat(self.descriptor).st_size
        if self._map is None or len(self._map) != held:
            self._map = mmap.mmap(self.descriptor, held) if held else None
        return memoryview(self._map or b"")[:size]

    def close(self) -> None:
        """Lets go of the descriptor."""
        os.close(self.descriptor)


def _send(sock: socket.socket, memory: SharedMemory, header: dict[str, Any], content: Any, trim: bool = False) -> None:
    text = json.dumps(header).encode()
    sock.sendall(_HEADER.pack(len(text), memory.put(content, trim)) + text)


def _receive(sock: socket.socket) -> tuple[dict[str, Any], int] | None:
    """A header, and how many bytes came with it; None at the end of the stream."""
    fixed = _receive_exactly(sock, _HEADER.size)
    if fixed is None:
        return None
    text_length, content_length = _HEADER.unpack(fixed)
    text = _receive_exactly(sock, text_length)
    return None if text is None else (json.loads(text), content_length)


def _receive_exactly(sock: socket.socket, length: int) -> bytearray | None:
    content = bytearray(length)
    view, filled = memoryview(content), 0
    while filled < length:
        count = sock.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return content


def serve(target: str, socket_end: int, shared: int) -> None:
    """The child's loop: ends when the parent's end of the socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's business
    sock, memory = socket.socket(fileno=socket_end), SharedMemory(shared)
    first = _receive(sock)
    if first is None:
        return
    module, _, function = target.partition(":")
    try:
        handler: Handler = getattr(importlib.import_module(module), function)(first[0])
    except Exception:  # noqa: BLE001 - reported to the parent, which raises it
        _send(sock, memory, {"bug": traceback.format_exc()}, b"")
        return
    _send(sock, memory, {}, b"")
    gc.freeze()  # what the imports made stays: no need to look through it again and again
    while (request := _receive(sock)) is not None:
        header, size = request
        _send(sock, memory, *_answer(handler, header, memory.view(size)))


def _answer(handler: Handler, header: dict[str, Any], content: memoryview) -> tuple[dict[str, Any], Any]:
    cpu_s = header.pop("cpu_s")
    try:
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        signal.setitimer(signal.ITIMER_REAL, cpu_s * WALL_PER_CPU)
        return handler(header, content)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel would: a full machine is not the clip's fault
        raise
    except Exception:  # noqa: BLE001 - reported to the parent, which raises it
        return {"bug": traceback.format_exc()}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
