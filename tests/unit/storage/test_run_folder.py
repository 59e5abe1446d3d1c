"""Files of a run, by name."""

from __future__ import annotations

import pytest

from videomac.storage.run_folder import RunFolder


@pytest.fixture(params=["local", "store"])
def folder(request, tmp_path):
    if request.param == "store":
        request.getfixturevalue("memory_store")
        return RunFolder("memory://bucket/runs/", "run")
    return RunFolder(str(tmp_path), "run")


def test_files_of_a_run_come_and_go_by_name(folder, tmp_path):
    assert folder.read("probes/a.json") is None
    assert folder.names("probes") == []
    folder.write("probes/b.json", b"b")
    (tmp_path / "a.json").write_bytes(b"a")
    folder.upload("probes/a.json", tmp_path / "a.json")
    assert folder.names("probes") == ["a.json", "b.json"]
    assert folder.read("probes/a.json") == b"a"
    folder.remove("probes/a.json")
    folder.remove("probes/a.json")
    assert folder.names("probes") == ["b.json"]
