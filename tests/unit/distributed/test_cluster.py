"""Joining a cluster, and the bounded map over its tasks (on a Ray that is played here)."""

import itertools
import socket

import pytest
import ray
from ray.exceptions import RayTaskError, WorkerCrashedError

from videomac.distributed import cluster
from videomac.distributed.cluster import bounded_map, connected, visible_demand
from videomac.errors import ClusterError, DataError


@pytest.fixture
def no_ray(monkeypatch):
    def init(**_):
        raise Exception("too slow")  # the class that Ray raises

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_start_that_fails_is_an_error_with_a_way_out(no_ray):
    with (
        pytest.raises(ClusterError, match=r"Ray did not start on this machine \(too slow\).*try again.*logs"),
        connected(),
    ):
        pass


def test_a_server_that_is_no_cluster_for_this_driver_is_an_error_with_a_way_out(no_ray, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        said = r"somebody answers there, .* \(too slow\); .* set RAY_AUTH_MODE=token here.*unset RAY_ADDRESS"
        with pytest.raises(ClusterError, match=said), connected():
            pass


class PlayedRay:
    """A cluster in which a submitted task ends when `wait` is called, the newest first; a reference is (item,)."""

    def __init__(self, cpus: float = 4) -> None:
        self.cpus, self.in_flight, self.most, self.cancelled, self.outcomes = cpus, [], 0, [], {}

    def submit(self, item):
        self.in_flight.append(item)
        self.most = max(self.most, len(self.in_flight))
        return (item,)

    def wait(self, references, num_returns, timeout):
        assert [reference[0] for reference in references] == self.in_flight
        return [(self.in_flight.pop(),)], []

    def get(self, reference):
        outcome = self.outcomes.get(reference[0], reference[0])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def cancel(self, reference):
        self.cancelled.append(reference[0])

    def cluster_resources(self):
        return {"CPU": self.cpus} if self.cpus else {}

    def is_initialized(self):
        return True


@pytest.fixture
def played(monkeypatch):
    one = PlayedRay()
    monkeypatch.setattr(cluster, "ray", one)
    return one


def test_every_item_comes_back_once_and_no_more_than_the_limit_are_in_flight(played):
    found = [(item, outcome.result()) for item, outcome in bounded_map(played.submit, range(10), 3)]

    assert sorted(found) == [(i, i) for i in range(10)]
    assert found[0] == (2, 2), "in the order in which they end"
    assert played.most == 3
    assert not played.cancelled


def test_items_are_taken_only_when_there_is_room_for_them(played):
    taken = []
    endless = (taken.append(i) or i for i in itertools.count())

    found = bounded_map(played.submit, endless, 2)
    next(found)
    next(found)

    assert len(taken) == 3


def test_without_any_cpu_many_tasks_wait_so_that_an_autoscaler_sees_them(played):
    played.cpus = 0

    assert len(list(bounded_map(played.submit, range(200)))) == 200

    assert played.most == cluster.LEAST_SUBMITTED


def test_the_limit_grows_with_the_nodes_that_come(played):
    played.cpus = 1
    found = bounded_map(played.submit, range(1000))
    next(found)
    assert played.most == cluster.LEAST_SUBMITTED

    played.cpus = 100
    next(found)

    assert played.most == 200
    played.cpus = 3.5
    assert visible_demand() == cluster.LEAST_SUBMITTED
    assert visible_demand("GPU") == cluster.LEAST_SUBMITTED


def test_a_wait_in_which_nothing_ends_looks_at_the_limit_again(played, monkeypatch):
    limits, answers = itertools.chain([1], itertools.repeat(3)), itertools.chain([False], itertools.repeat(True))
    wait = played.wait
    monkeypatch.setattr(played, "wait", lambda *a, **k: wait(*a, **k) if next(answers) else ([], []))

    assert len(list(bounded_map(played.submit, range(3), lambda: next(limits)))) == 3

    assert played.most == 3


def test_a_task_that_fails_is_an_outcome_and_not_the_end(played):
    raised = DataError("this clip")
    played.outcomes = {1: RayTaskError("f", "Traceback:\n  remote line", raised), 2: WorkerCrashedError()}

    found = dict(bounded_map(played.submit, range(4), 2))

    assert (found[0].result(), found[3].result()) == (0, 3)
    with pytest.raises(DataError, match="this clip") as failed:
        found[1].result()
    assert "remote line" in str(failed.value.__cause__)
    with pytest.raises(ClusterError, match=r"without a result \(WorkerCrashedError: .*parallel=N"):
        found[2].result()


def test_leaving_early_cancels_what_is_in_flight(played):
    found = bounded_map(played.submit, range(10), 3)
    next(found)
    found.close()  # the third task's room was not filled again yet

    assert sorted(played.cancelled) == [0, 1]
