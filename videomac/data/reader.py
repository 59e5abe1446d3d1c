"""Read the bytes of samples before they are decoded: in bounded memory, neighbours in one request, all checked."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Sequence

from videomac.errors import DamagedFileError
from videomac.records.shards import Sample
from videomac.storage.checksums import check_sha256
from videomac.storage.entries import PIECE_BYTES, Patience
from videomac.storage.storage import Storage

GAP_BYTES = 128 << 10
"""Unwanted bytes between two samples that are read to save a request. A store sends about 1 MB within a request's
latency (10 ms at 100 MB/s); a tenth of that keeps the waste small on slower links."""
THREADS = 4

Place = tuple[str, int]
"""Shard and offset: they identify a sample's bytes."""
Piece = memoryview | DamagedFileError
"""A sample's bytes, or what is wrong with them."""


@dataclasses.dataclass
class Request:
    """One range of one shard and the samples in it."""

    shard: str
    start: int
    stop: int
    samples: list[Sample]


def requests_for(samples: Sequence[Sample]) -> list[Request]:
    """Return the ranges to read for these samples: neighbours share one if their gap is cheap."""
    requests: list[Request] = []
    unique = {(sample.shard, sample.offset): sample for sample in samples}
    for (shard, offset), sample in sorted(unique.items()):
        last = requests[-1] if requests else None
        end = offset + sample.size_bytes
        if (
            last is not None
            and last.shard == shard
            and offset - last.stop <= GAP_BYTES
            and end - last.start <= PIECE_BYTES
        ):
            last.stop = max(last.stop, end)
            last.samples.append(sample)
        else:
            requests.append(Request(shard, offset, end, [sample]))
    return requests


class Reader:
    """Reads samples in the order in which they are requested, a bounded number of bytes ahead."""

    def __init__(self, storage: Storage, ahead_bytes: int) -> None:
        self._storage, self._ahead_bytes = storage, ahead_bytes
        self._once = storage.with_patience(Patience(deadline_s=0, attempt_s=storage.patience.attempt_s))
        self._pool = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="read")

    def contents(self, samples: Sequence[Sample]) -> Iterator[Piece]:
        """Yield the bytes of each sample, in order; while a part is consumed, the next one is being read.

        A sample whose bytes are wrong after all retries comes as the error that says so: the others can be used.

        Raises:
            StorageError: a sample cannot be read after all retries.
        """
        parts = list(self._parts(samples))
        ahead = self._submit(parts[0]) if parts else []
        for i, part in enumerate(parts):
            current, ahead = ahead, self._submit(parts[i + 1]) if i + 1 < len(parts) else []
            ready = {place: content for future in current for place, content in future.result().items()}
            for sample in part:
                yield ready[sample.shard, sample.offset]

    def _parts(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Yield runs of samples of at most half the budget: two are in memory at a time."""
        part: list[Sample] = []
        places: set[Place] = set()
        taken = 0
        for sample in samples:
            cost = 0 if (sample.shard, sample.offset) in places else sample.size_bytes
            if part and taken + cost > self._ahead_bytes // 2:
                yield part
                part, places, taken, cost = [], set(), 0, sample.size_bytes
            part.append(sample)
            places.add((sample.shard, sample.offset))
            taken += cost
        if part:
            yield part

    def _submit(self, part: Sequence[Sample]) -> list[concurrent.futures.Future[dict[Place, Piece]]]:
        return [self._pool.submit(self._fetch, request) for request in requests_for(part)]

    def _fetch(self, request: Request) -> dict[Place, Piece]:
        try:
            return self._fetched(self._storage, request)
        except DamagedFileError as error:
            if len(request.samples) == 1:
                return {_place(request.samples[0]): error}
            return {_place(sample): self._alone(sample) for sample in request.samples}

    def _alone(self, sample: Sample) -> Piece:
        """Read one sample of a damaged range, which all retries have been spent on."""
        request = Request(sample.shard, sample.offset, sample.offset + sample.size_bytes, [sample])
        try:
            return self._fetched(self._once, request)[_place(sample)]
        except DamagedFileError as error:
            return error

    @staticmethod
    def _fetched(storage: Storage, request: Request) -> dict[Place, Piece]:
        def piece(content: bytes, sample: Sample) -> memoryview:
            start = sample.offset - request.start
            return memoryview(content)[start : start + sample.size_bytes]

        def check(content: bytes) -> None:
            for sample in request.samples:
                check_sha256(sample.sha256)(piece(content, sample))

        content = storage.read(request.shard, request.start, request.stop - request.start, check)
        return {_place(sample): piece(content, sample) for sample in request.samples}


def _place(sample: Sample) -> Place:
    return sample.shard, sample.offset
