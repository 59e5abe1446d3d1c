"""What Ray Train is asked for, and how its end is told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray
import ray.exceptions
from ray.train.v2._internal.constants import ENV_VARS_TO_PROPAGATE

from tests.unit.pretrain.conftest import make_settings
from videomac.distributed.ray_internals import SHUTDOWN_TIMEOUT
from videomac.distributed.train import trainer
from videomac.errors import ClusterError


@pytest.fixture
def killed(monkeypatch):
    """Actors that were killed, in order; a cluster with an address."""
    actors = []
    monkeypatch.setattr(trainer, "end_controller", actors.append)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="1.2.3.4:5"))
    return actors


def test_a_fixed_group_looks_for_room_once_and_an_elastic_one_four_times(killed):
    fixed = trainer.environment(make_settings(workers__count=4, workers__start_timeout_s=80.0))
    elastic = trainer.environment(make_settings(workers__count=4, workers__min_count=1, workers__start_timeout_s=80.0))

    name = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
    assert (fixed[name], elastic[name]) == ("80.0", "20.0")
    assert fixed.keys() - {"RAY_ADDRESS", SHUTDOWN_TIMEOUT} <= ENV_VARS_TO_PROPAGATE, "workers get them too"


def test_workers_are_asked_for_with_their_bounds():
    fixed = trainer.scaling(make_settings(workers__count=2, workers__cpus=1.5, workers__min_count=2).workers)
    elastic = trainer.scaling(make_settings(workers__count=4, workers__min_count=1).workers)

    assert (fixed.num_workers, fixed.resources_per_worker) == (2, {"CPU": 1.5})
    assert elastic.num_workers == (1, 4)


def test_an_ending_kills_the_controller_and_raises_its_reason(killed):
    ending = trainer.Ending()
    ending.started("controller")
    ending(ClusterError("the lease was lost"))

    with pytest.raises(ClusterError, match="the lease was lost"), ending.translated():
        raise ray.exceptions.RayActorError

    assert killed == ["controller"]


def test_an_ending_before_the_controller_kills_it_when_it_comes(killed):
    ending = trainer.Ending()
    ending(ClusterError("the lease was lost"))
    assert killed == []

    ending.started("controller")

    assert killed == ["controller"]


def test_a_controller_that_dies_by_itself_is_an_error_that_says_how_to_go_on(killed):
    with pytest.raises(ClusterError, match="the same command resumes the run"), trainer.Ending().translated():
        raise ray.exceptions.RayActorError


def test_an_interrupt_ends_the_controller(killed):
    ending = trainer.Ending()
    ending.started("controller")

    with pytest.raises(KeyboardInterrupt), ending.translated():
        raise KeyboardInterrupt

    assert killed == ["controller"]
