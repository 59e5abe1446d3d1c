import pytest

from shards.build import deal
from shards.sources import Source, duplicate_candidates, find_sources, printable, splits
from videomac.errors import ConfigError, DataError, MissingFileError
from videomac.storage.entries import Entry


def found_in(source, fps=None):
    return find_sources(str(source), {}, fps).sources


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (len(name) % 7 + 1))


def videos(count, size=10):
    return [Source(f"v{i:04d}.mp4", "/r", (Entry(f"v{i:04d}.mp4", size + i, ""),), "video") for i in range(count)]


def test_videos_and_frame_folders_of_a_tree(tmp_path):
    touch(tmp_path, "b/x.MP4", "a.mkv", "notes.txt", "f/1.jpg", "f/10.jpg", "f/2.jpg", ".git/z.mp4")
    found = found_in(tmp_path, fps=24.0)
    assert [(source.name, source.kind) for source in found] == [
        ("a.mkv", "video"),
        ("b/x.MP4", "video"),
        ("f", "frames"),
    ]
    assert [file.name for file in found[2].files] == ["f/1.jpg", "f/2.jpg", "f/10.jpg"]


def test_frames_without_a_rate_are_refused_with_what_to_set(tmp_path):
    touch(tmp_path, "f/1.jpg", "f/2.jpg")
    with pytest.raises(ConfigError, match=r"fps: found 1 folders of frames .* give fps=NUMBER"):
        found_in(tmp_path)


def test_annotations_are_no_frames(tmp_path):
    frames = ("JPEGImages/480p/dog/0.jpg", "JPEGImages/480p/dog/1.jpg")
    touch(
        tmp_path, *frames, "Annotations/480p/dog/0.png", "Annotations/480p/dog/1.png", "README.txt", "ImageSets/a.txt"
    )
    assert [source.name for source in found_in(tmp_path, fps=24.0)] == ["JPEGImages/480p/dog"]


def test_the_shipped_davis_sequences_are_found(sample_davis):
    found = found_in(sample_davis, fps=24.0)
    assert [source.name.rsplit("/", 1)[-1] for source in found] == ["blackswan", "dog"]
    assert [len(source.files) for source in found] == [50, 60]


def test_list_files_name_videos_and_parts(tmp_path):
    touch(tmp_path, "with space.mp4", "sub/b.mp4")
    listed = tmp_path / "list.txt"
    listed.write_text(f"# comment\nwith space.mp4\n\nsub/b.mp4 1.5 3\n{tmp_path}/sub/b.mp4,0,2.5\n")
    found = {source.name: (source.start_s, source.end_s) for source in found_in(listed)}
    assert found == {
        "with space.mp4": (None, None),
        "sub/b@1.5-3.mp4": (1.5, 3.0),
        f"{tmp_path}/sub/b@0-2.5.mp4": (0.0, 2.5),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.mp4 3 1", r"list.txt:1: start 3 s is not before end 1 s"),
        (
            "b.zip",
            r"list.txt:1: 'b.zip' does not start with a file that is named as a video; each line must be PATH_OR_URL",
        ),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, message):
    touch(tmp_path, "b.mp4")
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(ConfigError, match=message):
        found_in(tmp_path / "list.txt")


def test_a_folder_of_a_web_server_is_refused_with_what_to_give():
    with pytest.raises(ConfigError, match=r"source: https://host/clips: a web server does not list its files"):
        find_sources("https://host/clips?key=secret", {}, None)


def test_nothing_found_says_what_is_looked_for(tmp_path):
    touch(tmp_path, "a.txt/b.doc")
    with pytest.raises(
        DataError, match=r"no video and no folder of frames is there \(left out: 1 doc\); check the path"
    ):
        found_in(tmp_path)


def test_keys_are_safe_and_unique(tmp_path):
    names = ["a.b.c.mp4", "a/b.mp4", "a_b.mp4", "ä/../b.mp4", "b.mkv", "b.mp4", "x" * 200 + ".mp4"]
    keys = [Source(name, "/r", (), "video").key for name in names]
    assert len(set(keys)) == len(names)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for key in keys)
    assert max(map(len, keys)) < 64


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_splits_are_stable_and_never_empty(share):
    many = splits(videos(1000), share)
    found = sum(part == "val" for part in many.values()) / 1000
    assert found == pytest.approx(share, abs=0.04)
    more = splits(videos(1200), share)
    assert sum(more[name] != part for name, part in many.items()) <= 2, "new videos move none of the old"
    few = splits(videos(2), share)
    assert set(few.values()) == ({"train", "val"} if share else {"train"})


def test_parts_of_a_video_share_its_split():
    base = videos(40)
    parts = [
        Source(source.name.replace(".mp4", f"@{i}-{i + 1}.mp4"), "/r", (), "video", float(i), i + 1.0)
        for source in base
        for i in range(3)
    ]
    split = splits(parts, 0.4)
    by_video = {}
    for source in parts:
        by_video.setdefault(source.name.partition("@")[0], set()).add(split[source.name])
    assert all(len(found) == 1 for found in by_video.values())
    assert set(split.values()) == {"train", "val"}


def test_only_equal_sizes_can_be_duplicates():
    sources = [*videos(3), Source("w.mp4", "/r", (Entry("w.mp4", 11, ""),), "video")]
    assert [source.name for source in duplicate_candidates(sources)] == ["v0001.mp4", "w.mp4"]


@pytest.mark.parametrize("reencode", [False, True])
def test_dealing_loses_nothing_and_keeps_the_order(reencode):
    sources = videos(50, size=100_000)
    chunks = deal(sources, 2**20, reencode)
    assert [source for chunk in chunks for source in chunk] == sources
    assert all(chunks)
    assert len(chunks) > 1


def test_names_that_are_not_utf8_can_be_written():
    assert printable("a\udcff.mp4") == "a\\udcff.mp4"
    assert printable("ä.mp4") == "ä.mp4"


@pytest.mark.parametrize("source", ["no folder", "no list.txt"])
def test_a_source_that_is_not_there_is_named_without_advice_about_shards(tmp_path, source):
    with pytest.raises(MissingFileError, match=rf"{source}: does not exist; check the path, or give another") as error:
        found_in(tmp_path / source)
    assert "build-shards" not in str(error.value)
