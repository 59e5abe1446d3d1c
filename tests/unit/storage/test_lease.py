"""One driver per run, on a local folder and on an S3 server that enforces conditional puts."""

from __future__ import annotations

import threading
import time

import pytest

from videomac.errors import ClusterError
from videomac.storage import lease

BEAT_S, EXPIRY_S = 0.1, 0.6


def held(folder, said=None, on_lost=lambda: None):
    say = said.append if said is not None else (lambda text: None)
    return lease.held(folder, on_lost, say, heartbeat_s=BEAT_S, expiry_s=EXPIRY_S)


@pytest.fixture(scope="module")
def bucket():
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import boto3

        boto3.client("s3").create_bucket(Bucket="runs")
        yield "s3://runs"
    server.stop()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def folder(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "run")
    return f"{request.getfixturevalue('bucket')}/{request.node.name}".replace("[", "_").replace("]", "")


def lease_file(folder):
    return lease.ObjectLeaseFile(folder) if "://" in folder else lease.LocalLeaseFile(lease.Path(folder))


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
    assert lease_file(folder).read()[1] is None


def test_a_dead_drivers_lease_is_waited_out_with_a_line_then_taken(folder):
    lease_file(folder).swap(b'{"owner": "node pid 1"}', None)  # what kill -9 leaves: a lease that nobody renews
    said, begin = [], time.monotonic()

    with held(folder, said):
        waited_s = time.monotonic() - begin

    assert waited_s >= EXPIRY_S
    assert "held by node pid 1" in said[0]
    assert "taking over" in said[1]


def test_of_two_waiters_one_gets_a_dead_drivers_lease(folder):
    lease_file(folder).swap(b"{}", None)
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
        file = lease_file(folder)
        for _ in range(50):  # between two heartbeats
            try:
                file.swap(b'{"owner": "thief"}', file.read()[1])
                break
            except lease.ChangedError:
                continue
        assert lost.wait(timeout=10)

    assert mine.lost
    assert b"thief" in lease_file(folder).read()[0]


@pytest.mark.parametrize("written", [True, False])
def test_a_beat_that_fails_is_repeated_whether_it_was_written_or_not(folder, written):
    """A storage that fails for less than the expiry costs nothing, nor does a put whose answer got lost."""
    file, failures = lease_file(folder), []
    kept = type(file).swap

    def failing(content, version):
        if not failures:
            failures.append(version)
            if written:
                kept(file, content, version)
            raise OSError("no answer")
        return kept(file, content, version)

    mine = lease.Lease(file, lambda: None, BEAT_S, EXPIRY_S)
    mine.acquire(folder, lambda text: None)
    file.swap = failing
    time.sleep(6 * BEAT_S)
    assert failures
    assert not mine.lost
    mine.release()
    assert file.read()[1] is None


def test_a_storage_that_stays_away_costs_the_lease_before_others_may_take_it(tmp_path):
    file, lost = lease_file(str(tmp_path / "run")), []
    mine = lease.Lease(file, lambda: lost.append(time.monotonic()), BEAT_S, EXPIRY_S)
    mine.acquire("run", lambda text: None)
    renewed = time.monotonic()

    def away(content, version):
        raise OSError("unreachable")

    file.swap = away
    time.sleep(2 * EXPIRY_S)

    assert lost
    assert lost[0] - renewed < EXPIRY_S + BEAT_S
    mine.release()
