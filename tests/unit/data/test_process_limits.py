"""Whose fault a refused allocation is; that the limits hold is tested in test_subprocess_worker."""

import pytest

from videomac.data import process_limits


@pytest.mark.parametrize(
    ("overcommit", "committed_kb", "short"),
    [("2", 3_900_000, True), ("2", 1_000_000, False), ("0", 3_900_000, False), (None, 0, False)],
)
def test_memory_that_the_machine_lacks_is_not_the_clips_fault(monkeypatch, tmp_path, overcommit, committed_kb, short):
    """With 1 GiB allowed to the process, and 4 GB that the machine may hand out in all."""
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "self").mkdir()
    (tmp_path / "self/statm").write_text("1000 500 1 1 1 1 1")
    (tmp_path / "meminfo").write_text(f"CommitLimit: 4000000 kB\nCommitted_AS: {committed_kb} kB\n")
    if overcommit:
        (tmp_path / "sys/vm/overcommit_memory").write_text(f"{overcommit}\n")
    monkeypatch.setattr(process_limits, "PROC", tmp_path)
    monkeypatch.setattr(process_limits.resource, "getrlimit", lambda _: (1 << 30, 1 << 30))

    assert process_limits.is_machine_short() is short


def test_without_a_limit_of_ours_the_machine_refused(monkeypatch):
    infinite = process_limits.resource.RLIM_INFINITY
    monkeypatch.setattr(process_limits.resource, "getrlimit", lambda _: (infinite, infinite))
    assert process_limits.is_machine_short()
