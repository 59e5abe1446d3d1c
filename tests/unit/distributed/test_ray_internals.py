"""Every private name of Ray that the project uses does what the project expects of it."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
import ray
import ray.data
import ray.train
from ray._private.state import GlobalState
from ray.core.generated import common_pb2, gcs_pb2

from videomac.distributed import ray_internals
from videomac.distributed.data.throttle import Throttle


def test_ray_data_calls_our_callback_at_each_turn_of_its_loop():
    assert issubclass(Throttle, ray_internals.ExecutionCallback)
    assert "executor" in inspect.signature(ray_internals.ExecutionCallback.on_execution_step).parameters
    assert hasattr(ray.data.DataContext.get_current(), "custom_execution_callback_classes")


class FakeActor:
    """Stands for `ray.remote(...)(TrainController)`: keeps what it is made with; `remote` calls return their names."""

    def __init__(self) -> None:
        self.options, self.cls, self.arguments, self.calls = {}, None, {}, []
        self.run = SimpleNamespace(remote=lambda: self.calls.append("run"))
        self.get_result = SimpleNamespace(remote=lambda: SimpleNamespace(error=None))

    def make(self, **options):
        self.options = options
        return self.of

    def of(self, cls):
        self.cls = cls
        return SimpleNamespace(remote=self.start)

    def start(self, **arguments):
        self.arguments = arguments
        return self


def test_fit_hands_out_its_controller_before_it_runs(monkeypatch, tmp_path):
    """Calls Ray's own `fit`, which must make its controller where ours is made, from arguments that it takes."""
    actor = FakeActor()
    monkeypatch.setattr(ray, "remote", actor.make)
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))
    monkeypatch.setenv("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", "7")
    trainer = ray_internals.killable_trainer(
        lambda controller: actor.calls.append(controller is actor),
        {"RAY_TRAIN_COLLECTIVE_TIMEOUT_S": "5", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5"},
        lambda: None,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(storage_path=str(tmp_path)),
    )

    trainer.fit()

    assert actor.calls == [True, "run"]
    assert actor.cls.__name__ == "TrainController"
    assert actor.arguments.keys() <= inspect.signature(actor.cls.__init__).parameters.keys()
    assert actor.options["num_cpus"] == 0
    assert actor.options["label_selector"] == {"ray.io/node-id": "node"}
    environment = actor.options["runtime_env"]["env_vars"]
    assert environment["RAY_TRAIN_COLLECTIVE_TIMEOUT_S"] == "7", "what the user sets comes first"
    assert environment["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "0.5"


def test_failures_to_start_are_known_by_their_classes():
    from ray.train.v2._internal import exceptions

    for kind in (exceptions.WorkerGroupStartupFailedError, exceptions.InsufficientClusterResourcesError):
        assert ray_internals.failed_to_start(kind("no room"))
    assert ray_internals.failed_to_start(exceptions.WorkerGroupStartupTimeoutError(2))
    assert not ray_internals.failed_to_start(exceptions.WorkerHealthCheckTimeoutError("hung"))
    assert not ray_internals.failed_to_start(None)


def table_entry(**data):
    """An actor as the cluster's table has it."""
    return GlobalState()._gen_actor_info(gcs_pb2.ActorTableData(class_name="RayTrainWorker", **data))


@pytest.fixture
def table(monkeypatch):
    """The cluster's table of actors, by id; `actors()` without an id is the whole of it."""
    entries: dict[str, dict] = {}
    monkeypatch.setattr(
        ray_internals.global_state,
        "actors",
        lambda actor_id=None, job_id=None: entries if actor_id is None else entries.get(actor_id, {}),
    )
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_job_id=lambda: "01000000"))
    return entries


def actor(name: str):
    return SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: name))


def test_workers_of_a_controller_are_seen_with_what_ended_them(table):
    states = gcs_pb2.ActorTableData.ActorState
    here = common_pb2.Address(ip_address="1.2.3.4", port=5)
    died = gcs_pb2.ActorDeathCause if hasattr(gcs_pb2, "ActorDeathCause") else common_pb2.ActorDeathCause
    cause = died(actor_died_error_context={"error_message": "first line\nThe worker was killed (OOM).\n"})
    table["c"] = table_entry(address=here, state=states.ALIVE)
    table["w1"] = table_entry(owner_address=here, state=states.DEAD, death_cause=cause)
    table["w2"] = table_entry(owner_address=here, state=states.PENDING_CREATION)
    table["other"] = table_entry(owner_address=common_pb2.Address(ip_address="9.9.9.9"), state=states.ALIVE)

    assert ray_internals.actor_seen(actor("c")) == ray_internals.ActorSeen("ALIVE")
    assert ray_internals.workers_seen(actor("c")) == [
        ray_internals.ActorSeen("DEAD", "The worker was killed (OOM)."), ray_internals.ActorSeen("PENDING_CREATION")
    ]  # fmt: skip


def test_a_controller_s_places_are_given_back_once_it_is_dead(table, monkeypatch):
    states, groups = gcs_pb2.ActorTableData.ActorState, gcs_pb2.PlacementGroupTableData
    mine, other = bytes(16), bytes([1] * 16)
    table["c"] = table_entry(state=states.ALIVE)
    entries = [
        groups(placement_group_id=bytes([number] * 18), creator_actor_id=creator, state=state).SerializeToString()
        for number, (creator, state) in enumerate(
            [(mine, groups.PENDING), (mine, groups.CREATED), (mine, groups.REMOVED), (other, groups.CREATED)]
        )
    ]
    accessor = SimpleNamespace(get_placement_group_table=lambda: entries)
    monkeypatch.setattr(ray_internals.global_state.state, "_connect_and_get_accessor", lambda: accessor)
    monkeypatch.setattr(ray, "kill", lambda actor: table.update(c=table_entry(state=states.DEAD)))
    removed = []
    monkeypatch.setattr(ray_internals, "remove_placement_group", removed.append)
    controller = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: "c", binary=lambda: mine))

    ray_internals.end_controller(controller)

    assert [group.id.binary()[0] for group in removed] == [0, 1]
    assert hasattr(GlobalState, "_connect_and_get_accessor")


def test_an_actor_that_the_table_does_not_know_yet_is_pending(table):
    assert ray_internals.actor_seen(actor("new")) == ray_internals.ActorSeen("PENDING_CREATION")


def test_the_names_are_ray_s():
    from ray.train.constants import TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S
    from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
    from ray.train.v2._internal.execution.worker_group import WorkerGroup

    assert ray_internals.SHUTDOWN_TIMEOUT == TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S
    assert ray_internals.SNAPSHOT_FILE == CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
    assert WorkerGroup._worker_cls.__name__ == "RayTrainWorker"
