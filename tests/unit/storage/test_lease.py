"""One driver per run, on a local folder and on an S3 server that enforces conditional puts."""

from __future__ import annotations

import threading
import time

import pytest

from videomac.errors import ClusterError, StorageError
from videomac.storage import lease
from videomac.storage.entries import ChangedError
from videomac.storage.storage import Storage


def beat_s(folder):
    return 0.5 if "://" in folder else 0.1


def expiry_s(folder):
    return 4 * beat_s(folder)


def held(folder, said=None, on_lost=lambda: None):
    say = said.append if said is not None else (lambda text: None)
    return lease.held(folder, on_lost, say, heartbeat_s=beat_s(folder), expiry_s=expiry_s(folder))


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def folder(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "run")
    return f"{request.getfixturevalue('s3_bucket')}/{request.node.name}".replace("[", "_").replace("]", "")


def read(folder):
    return Storage(folder).read_version(lease.FILE)


def write(folder, content, version=None):
    return Storage(folder).swap(lease.FILE, content, version)


def test_a_second_driver_is_refused_while_the_first_lives(folder):
    with held(folder), pytest.raises(ClusterError, match="another driver is running this run"), held(folder):
        pass


def test_a_released_lease_is_free_at_once(folder):
    with held(folder):
        pass
    said = []

    with held(folder, said):
        pass

    assert said == []
    assert read(folder)[1] is None


def test_a_dead_drivers_lease_is_waited_out_with_a_line_then_taken(folder):
    write(folder, b'{"owner": "node pid 1"}')  # what kill -9 leaves: a lease that nobody renews
    said, begin = [], time.monotonic()

    with held(folder, said):
        waited_s = time.monotonic() - begin

    assert waited_s >= expiry_s(folder)
    assert "held by node pid 1" in said[0]
    assert "taking over" in said[1]


def test_of_two_waiters_one_gets_a_dead_drivers_lease(folder):
    write(folder, b"{}")
    outcomes, both_tried = [], threading.Barrier(2)

    def wait():
        try:
            with held(folder):
                outcomes.append("held")
                both_tried.wait(timeout=20)
        except ClusterError:
            outcomes.append("refused")
            both_tried.wait(timeout=20)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sorted(outcomes) == ["held", "refused"]


def test_a_driver_whose_lease_was_taken_is_told(folder):
    lost = threading.Event()

    with held(folder, on_lost=lost.set) as mine:
        for _ in range(50):  # between two heartbeats
            try:
                write(folder, b'{"owner": "thief"}', read(folder)[1])
                break
            except ChangedError:
                continue
        assert lost.wait(timeout=10)

    assert mine.lost
    assert b"thief" in read(folder)[0]


@pytest.mark.parametrize("written", [True, False])
def test_a_beat_that_fails_is_repeated_whether_it_was_written_or_not(folder, written):
    """A storage that fails for less than the expiry costs nothing, nor does a put whose answer got lost."""
    mine, failures = lease.Lease(Storage(folder), lambda: None, beat_s(folder), expiry_s(folder)), []
    swap = mine._beating.swap

    def failing(name, content, version):
        if not failures:
            failures.append(version)
            if written:
                swap(name, content, version)
            raise StorageError("no answer")
        return swap(name, content, version)

    mine._beating.swap = failing  # type: ignore[method-assign]
    mine.acquire(folder, lambda text: None)
    time.sleep(6 * beat_s(folder))
    assert failures
    assert not mine.lost
    mine.release()
    assert read(folder)[1] is None


def test_a_storage_that_stays_away_costs_the_lease_before_others_may_take_it(tmp_path):
    folder, lost = str(tmp_path / "run"), []
    mine = lease.Lease(Storage(folder), lambda: lost.append(time.monotonic()), beat_s(folder), expiry_s(folder))
    mine.acquire("run", lambda text: None)
    renewed = time.monotonic()

    def away(name, content, version):
        raise StorageError("unreachable")

    mine._beating.swap = away  # type: ignore[method-assign]
    time.sleep(2 * expiry_s(folder))

    assert lost
    assert lost[0] - renewed < expiry_s(folder), "given up before others may take it"
    mine.release()


@pytest.mark.parametrize("written", [True, False])
def test_a_first_beat_whose_answer_got_lost_is_ours(folder, written):
    mine, failures = lease.Lease(Storage(folder), lambda: None, beat_s(folder), expiry_s(folder)), []
    files = mine._storage._files
    swap, may_pass = files.swap, files.may_pass

    def failing(name, content, version):
        if not failures:
            failures.append(version)
            if written:
                swap(name, content, version)
            raise ConnectionResetError("no answer")
        return swap(name, content, version)

    files.swap, files.may_pass = failing, lambda error: isinstance(error, ConnectionResetError) or may_pass(error)
    started = time.monotonic()
    mine.acquire(folder, lambda text: None)
    assert time.monotonic() - started < expiry_s(folder), "it took its own lease for another driver's"
    assert not mine.lost
    mine.release()
    assert read(folder)[1] is None
