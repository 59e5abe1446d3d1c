"""Which files of the target are the build's own: only these are replaced or removed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from videomac.errors import ConfigError
from videomac.records.manifest import Manifest
from videomac.storage.storage import Storage

from .chunk import forget, read_record, write_record

SHARD = re.compile(r"clips-(\d{6})-\d{3}\.tar")
"""Names of the shards that a build writes; the number is the chunk's."""
RESULTS = ("index.parquet", "rejected.jsonl")
"""What a finished build writes beside its shards, before the manifest."""


def own_files(out: Storage, manifest: Manifest | None, chunks: int) -> set[str]:
    """Return the shards that an earlier build has left, finished or not.

    Args:
        out: the target.
        manifest: of an earlier build that was finished.
        chunks: that the build which follows will write.

    Raises:
        ConfigError: the build would write over a file that no record of an earlier build names.
    """
    there = [entry.name for entry in out.list()] if out.is_folder() else []
    shards = {name: match for name in there if (match := SHARD.fullmatch(name))}
    own = {shard.name for shard in manifest.shards} if manifest else set[str]()
    own |= _recorded(out, {int(match[1]) for name, match in shards.items() if name not in own})
    foreign = [name for name, match in shards.items() if name not in own and int(match[1]) < chunks]
    if manifest is None and read_record(out, 0) is None:
        foreign += [name for name in RESULTS if name in there]
    if foreign:
        raise ConfigError(
            f"out: {out.url(foreign[0])} was not made by an earlier build into this folder, and this one would write "
            f"over it{_and_others(foreign)}; choose another folder, or move the file away"
        )
    return own.intersection(there)


def remove_stale(out: Storage, stale: Iterable[str], chunks: int) -> None:
    """Remove shards of an earlier build which the one that has ended did not write again, and what is written of them.

    Args:
        out: the target.
        stale: names of such shards.
        chunks: of the build that has ended.
    """
    numbers = set()
    for name in sorted(stale):
        out.remove(name)
        if match := SHARD.fullmatch(name):
            numbers.add(int(match[1]))
    for number in sorted(numbers):
        record = read_record(out, number)
        if number >= chunks:
            forget(out, number)
        elif record is not None:
            write_record(out, number, record.model_copy(update={"left": ()}))


def _recorded(out: Storage, numbers: Iterable[int]) -> set[str]:
    records = (read_record(out, number) for number in sorted(numbers))
    return {name for record in records if record for name in record.names}


def _and_others(names: list[str]) -> str:
    return f" (and over {len(names) - 1} more)" if len(names) > 1 else ""
