"""One way to hash content, and what an ETag says of it."""

from __future__ import annotations

import hashlib

import pytest

from videomac.storage import checksums
from videomac.storage.entries import PIECE_BYTES, Damaged

CONTENT = bytes(range(256)) * 100


def test_bytes_pieces_files_and_ranges_have_the_same_hash(tmp_path):
    (tmp_path / "file").write_bytes(b"before" + CONTENT + b"after")
    expected = hashlib.sha256(CONTENT).hexdigest()
    assert checksums.sha256_of(CONTENT) == checksums.sha256_of(memoryview(CONTENT)) == expected
    assert checksums.sha256_of_pieces([CONTENT[:100], CONTENT[100:]]) == expected
    assert checksums.sha256_of_range(tmp_path / "file", 6, 6 + len(CONTENT)) == expected
    assert checksums.sha256_of_file(tmp_path / "file") == hashlib.sha256(b"before" + CONTENT + b"after").hexdigest()
    running = checksums.Sha256(CONTENT[:7])
    running.add(CONTENT[7:])
    assert running.hex == expected


def test_a_large_file_is_hashed_in_pieces(tmp_path):
    content = b"ab" * (PIECE_BYTES // 2) + b"c"
    (tmp_path / "file").write_bytes(content)
    assert [len(piece) for piece in checksums.pieces_of_file(tmp_path / "file")] == [PIECE_BYTES, 1]
    assert checksums.sha256_of_range(tmp_path / "file", 1, len(content)) == hashlib.sha256(content[1:]).hexdigest()


def test_a_check_names_both_hashes():
    check = checksums.check_sha256(checksums.sha256_of(CONTENT))
    check(CONTENT)
    with pytest.raises(Damaged, match=r"sha256 is [0-9a-f]{12}\.\.\., expected"):
        check(CONTENT + b"x")


@pytest.mark.parametrize(
    ("etag", "says_no"),
    [
        (hashlib.md5(CONTENT).hexdigest(), False),
        (hashlib.md5(b"other").hexdigest(), True),
        (f"{hashlib.md5(hashlib.md5(CONTENT).digest()).hexdigest()}-1", False),
        (f"{hashlib.md5(hashlib.md5(b'other').digest()).hexdigest()}-1", True),
        (f"{hashlib.md5(b'other').hexdigest()}-2", False),
        ("not-a-checksum", False),
        ("", False),
    ],
)
def test_an_etag_contradicts_only_where_it_is_a_checksum(etag, says_no):
    assert checksums.contradicts_etag([CONTENT[:9], CONTENT[9:]], etag) is says_no
