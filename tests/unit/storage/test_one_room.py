"""All bytes go through `videomac/storage`: no other module opens stores, replaces files or hashes their content."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "videomac" / "storage"
CLIENTS = {"fsspec", "s3fs", "boto3", "botocore", "aiobotocore", "aiohttp", "obstore"}
HASHING = {
    "videomac/config/base.py": "the hash of a configuration",
    "videomac/facts/presets.py": "the hash of a preset",
    "videomac/data/draws.py": "random draws from a key",
    "shards/sources.py": "names and draws of sources, not their content",
    "shards/index.py": "the name of a scratch file",
}
"""Modules that hash values in memory."""
FILES = {
    "shards/chunk.py": "scratch files beside the decoder",
    "shards/encode.py": "scratch files beside the decoder",
    "shards/index.py": "scratch files beside the decoder",
    "shards/tarball.py": "a shard that is being written, before its upload",
    "videomac/data/process_limits.py": "/proc",
    "videomac/data/pyav_clip.py": "scratch files of a build, and labelled videos, in the decoding process",
    "videomac/config/base.py": "the configuration file that is named on the command line",
    "videomac/distributed/evaluate/*.py": "an export unpacked on the node that scores it",
    "videomac/distributed/stages.py": "an old run folder moved aside as a whole",
    "videomac/pretrain/checkpoint.py": "a local folder that Ray Train uploads or has downloaded",
    "videomac/pretrain/export.py": "the folder of `copies.uploaded`",
    "videomac/pretrain/export_formats.py": "the folder of `copies.uploaded`",
    "videomac/pretrain/metrics.py": "/proc",
    "videomac/propagation/*.py": "labelled data sets, which are local folders, and exports copied to this machine",
}
"""Modules that open files of this machine, by pattern, and which."""
OPENING = {"read_text", "read_bytes", "write_text", "write_bytes", "rename"}
MOVING = {("os", "replace"), ("os", "rename"), ("shutil", "copy"), ("shutil", "copyfile"), ("shutil", "move")}


def modules() -> list[Path]:
    found = [path for room in ("videomac", "shards", "ray_jobs") for path in (ROOT / room).rglob("*.py")]
    return [path for path in found if ROOM not in path.parents]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def file_calls(tree: ast.AST) -> Iterator[str]:
    """Calls that open, replace or move files by path."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "open":
            yield "open"
        elif isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            is_path_open = called.attr == "open" and owner in ("path", "file", "folder")
            if called.attr in OPENING or is_path_open or (owner, called.attr) in MOVING:
                yield f"{owner}.{called.attr}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_leaves_bytes_to_the_storage_room(path):
    name, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text())
    libraries = set(imported(tree))
    assert not libraries & CLIENTS, f"{name} opens stores itself: use videomac.storage"
    if "hashlib" in libraries:
        assert name in HASHING, f"{name} hashes: content of files is hashed in videomac.storage.checksums"
    calls = sorted(set(file_calls(tree)))
    if calls:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in FILES), (
            f"{name} calls {calls}: use videomac.storage.copies, or say here which local files"
        )


@pytest.mark.parametrize("pattern", [*HASHING, *FILES])
def test_every_exception_is_still_needed(pattern):
    trees = [ast.parse(path.read_text()) for path in ROOT.glob(pattern)]
    if pattern in HASHING and any("hashlib" in set(imported(tree)) for tree in trees):
        return
    assert pattern in FILES
    assert any(list(file_calls(tree)) for tree in trees), f"no file of {pattern} opens files: take it off the list"


def test_s3fs_stands_in_one_file_and_hashlib_in_another():
    trees = {path.name: set(imported(ast.parse(path.read_text()))) for path in ROOM.glob("*.py")}
    assert [name for name, libraries in trees.items() if "s3fs" in libraries] == ["s3fs_internals.py"]
    assert [name for name, libraries in trees.items() if "hashlib" in libraries] == ["checksums.py"]


def test_the_check_sees_what_it_looks_for():
    text = (
        "import s3fs.core, hashlib\nfrom fsspec import asyn\nopen('x')\nos.replace('a', 'b')\n"
        "path.open()\nPath('x').write_bytes(b'')\nimage.open('x')\n"
    )
    tree = ast.parse(text)
    assert set(imported(tree)) == {"s3fs", "hashlib", "fsspec"}
    assert set(file_calls(tree)) == {"open", "os.replace", "path.open", ".write_bytes"}
