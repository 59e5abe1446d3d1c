import hashlib
import re

import numpy as np
import pytest

from videomac.data.manifest import open_storage
from videomac.data.reader import GAP_BYTES, Reader, requests_for
from videomac.errors import DamagedFileError, MissingFileError
from videomac.records.shards import Sample
from videomac.storage.entries import PIECE_BYTES
from videomac.storage.storage import Storage


def make(shard, offset, size, content=b""):
    digest = hashlib.sha256(content[offset : offset + size]).hexdigest()
    return Sample(f"{shard}-{offset}", "video", shard, offset, size, digest, 24.0, 1.0)


def test_neighbours_share_a_request_and_far_ones_do_not():
    near = [make("a", 0, 100), make("a", 100 + GAP_BYTES, 50), make("a", 0, 100)]
    far = [make("a", 200 + 2 * GAP_BYTES + 1, 10), make("b", 0, 10)]
    requests = requests_for([*far, *near])
    assert [(r.shard, r.start, r.stop) for r in requests] == [
        ("a", 0, 150 + GAP_BYTES),
        ("a", 201 + 2 * GAP_BYTES, 211 + 2 * GAP_BYTES),
        ("b", 0, 10),
    ]
    large = [make("a", 0, PIECE_BYTES), make("a", PIECE_BYTES, 10)]
    assert len(requests_for(large)) == 2


@pytest.mark.parametrize("ahead", [1, 300, 1 << 20])
def test_contents_come_in_the_order_asked_for(tmp_path, ahead):
    rng = np.random.default_rng(0)
    shards = {name: rng.bytes(5000) for name in ("a", "b")}
    for name, content in shards.items():
        (tmp_path / name).write_bytes(content)
    places = [(("a", "b")[rng.integers(2)], int(rng.integers(4000)), int(rng.integers(1, 1000))) for _ in range(40)]
    wanted = [make(shard, offset, size, shards[shard]) for shard, offset, size in places]
    unique = list({(s.shard, s.offset): s for s in wanted}.values())
    contents = list(Reader(Storage(str(tmp_path)), ahead).contents(unique + unique[:5]))
    assert contents == [shards[s.shard][s.offset : s.offset + s.size_bytes] for s in unique + unique[:5]]


def test_at_most_two_parts_are_ever_in_memory(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100_000))
    reader = Reader(Storage(str(tmp_path)), 20_000)
    parts = list(reader._parts([make("a", i * 1000, 1000) for i in range(100)]))
    assert max(sum(s.size_bytes for s in part) for part in parts) <= 10_000
    assert sum(len(part) for part in parts) == 100


def test_changed_bytes_come_as_the_error_that_says_what_to_do_and_leave_their_neighbours_usable(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    reader = Reader(open_storage(str(tmp_path), None)[0], 1 << 20)

    changed, good, cut = reader.contents(
        [make("a", 0, 10, b"y" * 100), make("a", 20, 10, b"x" * 100), make("a", 95, 10, b"x" * 200)]
    )

    assert isinstance(changed, DamagedFileError)
    assert re.search(r"a: sha256 is .* run videomac verify-shards", str(changed))
    assert good == b"x" * 10
    assert isinstance(cut, DamagedFileError)
    assert "5 bytes came for 10" in str(cut)


def test_a_shard_that_is_not_there_ends_the_reading(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(MissingFileError, match="b: does not exist"):
        list(Reader(open_storage(str(tmp_path), None)[0], 1 << 20).contents([make("b", 0, 10, b"x" * 100)]))
