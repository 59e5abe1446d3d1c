"""Run decoders in a long-lived child process, so that one that crashes or hangs costs a clip and not the run.

Parent and child exchange records as JSON over a socket pair; the bytes that go with them lie in memory that both share
(a socket would cost two more copies and a switch of processes every 200 KB). Nothing is pickled. A pool of processes
from a library would not do: for every request the child sets itself two alarms, of CPU time and of wall time, whose
default action ends it even inside a library that never returns, and the operating system bounds its memory and files.

The child has a session of its own and an environment of a few names (`PASSED_ON`): a decoder that is taken over by a
clip finds no credentials there. Run as `python -m videomac.data.subprocess_worker MODULE:FUNCTION SOCKET MEMORY
MAX_MEMORY_MB MAX_FILE_MB`; socket and memory are descriptors.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import gc
import importlib
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
from typing import TypeVar

from videomac.config import Bounds
from videomac.data import process_limits
from videomac.data.status import BadClip, Code
from videomac.errors import DataError, StorageError
from videomac.records.base import Record
from videomac.records.decoding import Fault
from videomac.storage.entries import Content

A = TypeVar("A", bound=Record)
Handler = Callable[[bytes, memoryview], tuple[Record, Content]]
"""(request as JSON, its bytes) -> (answer, its bytes); raises `BadClip` for a clip that cannot be used."""

WALL_PER_CPU = 10.0
"""Wall seconds allowed per CPU second allowed: the machine may be busy."""
FAILURES_OF_A_BAD_CLIP = 2
KILLS_BEFORE_GIVING_UP = 10
START_TIMEOUT_S = 120.0
ALARMS = {signal.SIGPROF, signal.SIGALRM}
OUTSIDE_KILLS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}
"""Never the clip's fault: out of memory, a lost node, an operator."""
PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
"""What the child inherits: how file names are encoded, where torchcodec finds FFmpeg's libraries, where a relocated
interpreter finds its own, and where temporary files go. Not PATH or HOME: it starts no program and keeps nothing."""
LEAST_SHARED = 4 << 20
MOST_UNUSED = 8
"""Shared memory is given back where a request needs less than this part of it: one huge clip must not keep it."""
_HEADER = struct.Struct("<BdIQ")
"""Kind, CPU seconds allowed, bytes of the JSON text, and bytes in shared memory."""


class _Kind(enum.IntEnum):
    MESSAGE = 0
    """A request, or its answer."""
    BAD_CLIP = 1
    """A `Fault`: the handler cannot use the clip."""
    OUT_OF_MEMORY = 2
    """The clip needs more than it may have."""
    MACHINES_TROUBLE = 4
    """A line: the disk is full, a file cannot be opened: no fault of the clip's."""
    BUG = 3
    """A traceback: the handler raised anything else."""


class _Died(Exception):  # noqa: N818 - a finding, always handled here
    """The child ended, or ran out of memory; `code` is None if something outside ended it."""

    def __init__(self, code: Code | None, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Child:
    """The parent's end.

    Args:
        target: `MODULE:FUNCTION`, which the child imports and calls once with `setup`; it returns a `Handler`.
        setup: JSON.
        bounds: memory and size of files that the child may use.
    """

    def __init__(self, target: str, setup: bytes, bounds: Bounds) -> None:
        self._target, self._setup, self._bounds = target, setup, bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._memory = SharedMemory.new()

    def call(
        self,
        request: Record,
        answer: type[A],
        content: Content = b"",
        cpu_s: float | None = None,
        into: memoryview | None = None,
        what: str = "one clip",
    ) -> tuple[A, Content]:
        """Return the handler's answer. A request that something outside ended is sent again to a new child.

        Args:
            request: what is asked.
            answer: class of the answer.
            content: bytes that go with the request.
            cpu_s: CPU seconds allowed, ten times that in wall time; None: `bounds.decode_timeout_s`.
            into: receives the answer's bytes if it has just their size.
            what: names the clip in errors.

        Raises:
            BadClip: the handler cannot use the clip; or on this request the child crashed, exceeded its time limit or
                ran out of memory, twice.
            DataError: the child cannot start, or was killed from outside ten times on this request.
            StorageError: the disk is full, or the system refuses something else that has nothing to do with the clip.
        """
        cpu_s = self._bounds.decode_timeout_s if cpu_s is None else cpu_s
        text, failures, kills = request.to_json(), 0, 0
        while True:
            try:
                found, payload = self._ask(text, content, cpu_s, into)
                return answer.from_json(found, "the decoding process", DataError), payload
            except _Died as death:
                self.close()
                kills, failures = kills + (death.code is None), failures + (death.code is not None)
                if death.code is not None and failures >= FAILURES_OF_A_BAD_CLIP:
                    raise BadClip(death.code, death.detail) from death
                if kills >= KILLS_BEFORE_GIVING_UP:
                    raise DataError(
                        f"the decoding process was killed {kills} times on {what} ({death.detail}): out of memory? "
                        "lower bounds.max_memory_mb or the number of decoding processes, or give the node more memory"
                    ) from death

    def _ask(self, text: bytes, content: Content, cpu_s: float, into: memoryview | None) -> tuple[bytes, Content]:
        if self._process is None:
            self._start()
        kind, answer, payload = self._exchange(text, content, cpu_s, cpu_s * WALL_PER_CPU + 10.0, into)
        if kind is _Kind.BUG:
            raise RuntimeError(f"in the decoding process:\n{answer.decode()}")
        if kind is _Kind.MACHINES_TROUBLE:
            raise StorageError(answer.decode())
        if kind is _Kind.OUT_OF_MEMORY:
            limit_mb = self._bounds.max_memory_mb
            raise _Died(Code.TOO_MUCH_MEMORY, f"needs more than bounds.max_memory_mb = {limit_mb}")
        if kind is _Kind.BAD_CLIP:
            fault = Fault.from_json(answer, "the decoding process", DataError)
            raise BadClip(Code(fault.code), fault.detail)
        return answer, payload

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        ends = [theirs.fileno(), self._memory.descriptor]
        limits = [self._bounds.max_memory_mb, self._bounds.max_file_mb]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", __name__, self._target, *map(str, [*ends, *limits])],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        try:
            kind, answer, _ = self._exchange(self._setup, b"", 0.0, START_TIMEOUT_S)
        except _Died as death:
            if death.code is None:
                raise
            raise DataError(f"the decoding process does not start ({death.detail}); its error is above") from death
        if kind is _Kind.BUG:
            self.close()
            raise DataError(f"the decoding process does not start: {answer.decode().splitlines()[-1]}")

    def _exchange(
        self, text: bytes, content: Content, cpu_s: float, timeout_s: float, into: memoryview | None = None
    ) -> tuple[_Kind, bytes, Content]:
        """Send a message and wait for the answer: its kind, text and bytes."""
        assert self._socket is not None
        self._socket.settimeout(timeout_s)
        try:
            _send(self._socket, _Kind.MESSAGE, text, self._memory.put(content, trim=True), cpu_s)
            received = _receive(self._socket)
        except TimeoutError as error:
            self.close()
            raise _Died(Code.TIMEOUT, f"no answer within {timeout_s:.0f} s") from error
        except OSError:
            received = None
        if received is None:
            raise self._cause_of_death()
        kind, _, answer, size = received
        found = self._memory.view(size)
        if into is None or into.nbytes != size:
            return kind, answer, bytearray(found)
        into[:] = found
        return kind, answer, into

    def _cause_of_death(self) -> _Died:
        assert self._process is not None
        status = self._process.wait()
        if status >= 0:
            return _Died(Code.CRASH, f"exit status {status}")
        name = signal.Signals(-status).name
        if -status in OUTSIDE_KILLS:
            return _Died(None, name)
        return _Died(Code.TIMEOUT if -status in ALARMS else Code.CRASH, name)

    def close(self) -> None:
        """End the child; the next call starts another."""
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


def _environment() -> dict[str, str]:
    """Return what the child may know of the parent's environment."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


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


def _send(sock: socket.socket, kind: _Kind, text: bytes, size: int, cpu_s: float = 0.0) -> None:
    """Send a message whose bytes lie in shared memory already."""
    sock.sendall(_HEADER.pack(kind, cpu_s, len(text), size) + text)


def _receive(sock: socket.socket) -> tuple[_Kind, float, bytes, int] | None:
    """Return kind, CPU seconds allowed, text, and number of bytes of a message; None at the end of the stream."""
    fixed = _receive_exactly(sock, _HEADER.size)
    if fixed is None:
        return None
    kind, cpu_s, text_length, size = _HEADER.unpack(fixed)
    text = _receive_exactly(sock, text_length)
    return None if text is None else (_Kind(kind), cpu_s, bytes(text), size)


def _receive_exactly(sock: socket.socket, length: int) -> bytearray | None:
    content = bytearray(length)
    view, filled = memoryview(content), 0
    while filled < length:
        count = sock.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return content


def serve(target: str, socket_end: int, shared: int, max_memory_mb: int, max_file_mb: int) -> None:
    """Answer requests until the parent's end of the socket is closed: the child's main function."""
    process_limits.limit_files(max_file_mb)
    sock, memory = socket.socket(fileno=socket_end), SharedMemory(shared)
    first = _receive(sock)
    if first is None:
        return
    module, _, function = target.partition(":")
    try:
        handler: Handler = getattr(importlib.import_module(module), function)(first[2])
    except Exception:  # noqa: BLE001 - reported to the parent, which raises it
        _send(sock, _Kind.BUG, traceback.format_exc().encode(), 0)
        return
    _send(sock, _Kind.MESSAGE, b"", 0)
    gc.freeze()  # what the imports made stays: no need to look through it again and again
    process_limits.limit_memory(max_memory_mb)
    while (request := _receive(sock)) is not None:
        _, cpu_s, text, size = request
        _send(sock, *_answer(handler, cpu_s, text, memory, size))


def _answer(handler: Handler, cpu_s: float, text: bytes, memory: SharedMemory, size: int) -> tuple[_Kind, bytes, int]:
    """Return kind, text and number of bytes of the answer; the bytes are put into shared memory."""
    try:
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        signal.setitimer(signal.ITIMER_REAL, cpu_s * WALL_PER_CPU)
        answer, payload = handler(text, memory.view(size))
        return _Kind.MESSAGE, answer.to_json(), memory.put(payload)
    except BadClip as bad:
        return _Kind.BAD_CLIP, Fault(code=bad.code, detail=bad.detail).to_json(), 0
    except MemoryError:
        if process_limits.is_machine_short():
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel would: a full machine is not the clip's fault
        return _Kind.OUT_OF_MEMORY, b"", 0
    except Exception as error:  # noqa: BLE001 - reported to the parent, which raises it
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            detail = "would write a file larger than bounds.max_file_mb"
            return _Kind.BAD_CLIP, Fault(code=Code.TOO_MANY_BYTES, detail=detail).to_json(), 0
        if isinstance(error, OSError) and error.errno in process_limits.MACHINES_TROUBLE:
            return _Kind.MACHINES_TROUBLE, process_limits.trouble_text(error).encode(), 0
        return _Kind.BUG, traceback.format_exc().encode(), 0
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    serve(sys.argv[1], *map(int, sys.argv[2:]))
