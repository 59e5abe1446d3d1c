"""The index as a file that is read in parts."""

import threading
import time

import pytest

from tests.unit.data.material import index_row, write_index
from videomac.data import index
from videomac.data.manifest import read_manifest
from videomac.storage.storage import Storage

GROUPS = 40


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """An index of as many row groups as shards, three rows each."""
    monkeypatch.setattr(index, "ROWS_PER_GROUP", 3)
    rows = [
        [index_row(f"{shard}-{i}", f"{shard:03d}.tar", duration=shard + i / 4) for i in range(3)]
        for shard in range(GROUPS)
    ]
    write_index(tmp_path, rows)
    return Storage(str(tmp_path))


@pytest.mark.parametrize("remote", [False, True])
def test_a_scan_gives_the_groups_in_order_and_reads_ahead_over_a_network(storage, monkeypatch, remote):
    opened = index.Index(storage, read_manifest(storage, "manifest.json"))
    at_once, most, lock, read = 0, 0, threading.Lock(), storage.read_once

    def slow_read(*asked):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.001 * (asked[1] % 7))
        with lock:
            at_once -= 1
        return read(*asked)

    monkeypatch.setattr(storage, "read_once", slow_read)
    monkeypatch.setattr(storage._files, "remote", remote)
    tables = list(opened.scan(["duration"]))
    assert [table["duration"].to_pylist() for table in tables] == [[g, g + 0.25, g + 0.5] for g in range(GROUPS)]
    assert (1 < most <= index.SCAN_THREADS) if remote else most == 1
