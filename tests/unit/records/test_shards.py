import json

from videomac.data.index import SCHEMA
from videomac.records.shards import (
    INDEX_COLUMNS,
    SAMPLE_COLUMNS,
    ChunkRecord,
    IndexRow,
    Rejection,
    Sample,
    ShardRecord,
    sorted_json,
)

ROW = IndexRow(
    key="k", kind="video", shard="s.tar", offset=512, size=9, sha256="a", frames=2, fps=1.5, width=4, height=3,
    duration=2.0, source="ä.mp4", source_sha256="b", segment_start=0.0, segment_end=1e-7, split="train",
)  # fmt: skip


def test_rows_and_samples_have_the_columns_of_the_index():
    assert set(INDEX_COLUMNS) == set(SCHEMA.names)
    assert set(SAMPLE_COLUMNS) <= set(INDEX_COLUMNS)
    assert Sample.from_row(ROW.to_plain()) == Sample("k", "video", "s.tar", 512, 9, "a", 1.5, 2.0)


def test_a_chunk_survives_its_file():
    shard = ShardRecord(name="s.tar", bytes=10240, sha256="c", rows=(ROW,))
    rejected = (Rejection(source="x", reason="broken", detail="y"),)
    record = ChunkRecord(fingerprint="f", shards=(shard,), rejected=rejected, content_digest="d")
    assert ChunkRecord.from_json(sorted_json(record), "here") == record


def test_keys_are_sorted_and_numbers_are_written_as_python_does():
    text = sorted_json(ShardRecord(name="s", bytes=1, sha256="c", rows=(ROW,))).decode()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert '"segment_end": 1e-07' in text
    assert '"source": "\\u00e4.mp4"' in text
