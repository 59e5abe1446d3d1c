import pytest

from shards.verify import decoding_problems, shard_problems
from tests.unit.data.material import write_shards, write_video
from videomac.data.index import Index
from videomac.data.manifest import read_manifest
from videomac.records.shards import SAMPLE_COLUMNS, Sample
from videomac.storage.storage import Storage


@pytest.fixture
def shards(tmp_path):
    write_shards(tmp_path / "s", [write_video(tmp_path / "v" / f"{i}.mp4", 20 + i) for i in range(2)])
    return Storage(str(tmp_path / "s"))


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    (tmp_path / "v").mkdir()


def first_sample(shards):
    table = Index(shards, read_manifest(shards)).shard_rows(0, list(SAMPLE_COLUMNS))
    return Sample.from_row(table.to_pylist()[0])


def test_a_shard_as_it_was_written_has_no_problems(shards):
    assert shard_problems(shards, "manifest.json", 0) == []


def test_a_sample_that_does_not_decode_is_named(shards):
    sample = first_sample(shards)
    content = shards.read(sample.shard, sample.offset, sample.size_bytes)
    assert decoding_problems(content, sample) == []
    (problem,) = decoding_problems(content[: len(content) // 2], sample)
    assert problem.startswith(f"{sample.shard}: {sample.key}: broken: ")
