"""Which members of a tar are a sample, what it is called, and what a JSON beside it may say."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest

from shards.members import UnusableError, read_tar


@pytest.fixture
def content(tmp_path):
    def read(*members: str | tuple[str, bytes] | tarfile.TarInfo):
        with tarfile.open(tmp_path / "x.tar", "w") as tar:
            for member in members:
                name, text = member if isinstance(member, tuple) else (member, b"x")
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = len(text) if info.isfile() else 0
                tar.addfile(info, io.BytesIO(text))
        return read_tar(str(tmp_path / "x.tar"))

    return read


def keys(found):
    return [sample.key for sample in found.samples]


def test_keys_are_webdatasets_where_these_tell_videos_apart(content):
    assert keys(content("d.1/a.b.MP4", "c.mp4")) == ["d.1/a", "c"]
    assert keys(content("cam.10.00.mp4", "cam.11.00.mp4")) == ["cam.10.00", "cam.11.00"]
    assert keys(content("a.mp4", "b.mp4", "a.mp4")) == ["a", "b", "a~2"]


def test_every_member_is_used_or_counted(content):
    link = tarfile.TarInfo("link.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "a.mp4"
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    found = content("a.mp4", "a.txt", "._a.mp4", "a.jpg", link, folder, "x.0.jpg", "x.1.jpg", "x.0.seg.png", "README")

    assert keys(found) == ["a", "x"]
    assert found.left_out == {"txt": 1, "hidden": 1, "label image": 2, "link": 1, "folder": 1, "no suffix": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_json_counts_wherever_it_stands_and_in_any_encoding(content, encoding):
    text = json.dumps({"fps": 12, "split": "val"}).encode(encoding)
    found = content("x.0.jpg", "a.mp4", "x.1.jpg", ("a.json", text), ("x.json", text))

    assert {sample.key: sample.facts() for sample in found.samples} == {"x": (12.0, "val"), "a": (None, "val")}


@pytest.mark.parametrize(
    ("value", "rate"), [("25", 25.0), ("30000/1001", 30000 / 1001), (0.5, 0.5), (240, 240.0), (" 24 ", 24.0)]
)
def test_a_rate_is_a_number_or_text_that_is_one(content, value, rate):
    (sample,) = content("x.0.jpg", "x.1.jpg", ("x.json", json.dumps({"fps": value}).encode())).samples
    assert sample.facts()[0] == rate


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e308", "-5", "0", "true", "[25]", "null", '"fast"', '"1/0"', "1e-9"]
)
def test_any_other_rate_costs_its_sample_alone(content, value):
    found = content("x.0.jpg", "x.1.jpg", ("x.json", f'{{"fps": {value}}}'.encode()), "a.mp4")
    frames, video = found.samples
    with pytest.raises(UnusableError, match=r"fps is .*; expected a number from 0\.01 to 1000") as refused:
        frames.facts()
    assert refused.value.reason == "fps"
    assert video.facts() == (None, "train")


def test_names_longer_than_a_header_and_of_any_alphabet_are_read(content):
    name = "é" * 60 + "/" + "x" * 120
    found = content(f"{name}.0.jpg", f"{name}.1.jpg", (f"{name}.json", b'{"fps": 2}'))
    assert keys(found) == [name]


def test_a_member_with_holes_costs_its_sample_alone(tmp_path):
    holes = tmp_path / "a.mp4"
    with open(holes, "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 20)
        file.write(b"end")
    (tmp_path / "b.mp4").write_bytes(b"x")
    subprocess.run(["tar", "--sparse", "-cf", "x.tar", "a.mp4", "b.mp4"], cwd=tmp_path, check=True)

    sparse, whole = read_tar(str(tmp_path / "x.tar")).samples

    with pytest.raises(UnusableError, match="stored with holes"):
        sparse.facts()
    assert whole.facts() == (None, "train")
