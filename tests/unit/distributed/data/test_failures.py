"""Errors of the data path as the training worker raises them."""

import ray.exceptions

from tests.unit.data.material import pretrain_settings
from videomac.distributed.data.failures import failure_of
from videomac.errors import ClusterError, DataError, StorageError

DATA = pretrain_settings("m", **{"data.actors": 2, "data.cpus_per_actor": 0.5, "data.start_timeout_s": 7.0}).data


def test_our_own_errors_come_out_of_any_wrapping():
    ours, wrapped = StorageError("s3://bucket: denied"), RuntimeError("wrapped by Ray")
    wrapped.__cause__ = ours
    assert failure_of(wrapped, DATA) is ours


def test_a_shortage_names_the_keys():
    error = failure_of(ray.exceptions.GetTimeoutError("x"), DATA)
    assert isinstance(error, ClusterError)
    assert "no CPU for 2 decode actors of 0.5 CPUs within data.start_timeout_s = 7 s" in str(error)


def test_others_stay_as_they_are_and_none_at_all_is_an_early_end():
    bug = KeyError("x")
    assert failure_of(bug, DATA) is bug
    assert isinstance(failure_of(None, DATA), DataError)
