"""What a stream of batches asks of the cluster."""

from tests.unit.data.material import pretrain_settings
from videomac.distributed.data.stream import cpus_needed


def test_cpus_for_two_windows_are_counted():
    one = pretrain_settings("m", **{"data.actors": 3, "data.cpus_per_actor": 0.5})
    assert cpus_needed(one.data, world=2) == 6.0
