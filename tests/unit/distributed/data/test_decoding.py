"""What decoding asks of the cluster."""

from tests.unit.data.material import pretrain_settings
from videomac.distributed.data.dataset import BATCHES_OF_A_TASK, least_waiting
from videomac.distributed.data.decoding import cpus_needed


def test_cpus_for_two_windows_are_counted():
    settings = pretrain_settings("m", **{"data.actors": 3, "data.cpus_per_actor": 0.5})
    assert cpus_needed(settings.data, world=2) == 6.0


def test_batches_of_all_actors_may_wait_for_the_one_whose_block_is_taken():
    one, three = (pretrain_settings("m", **{"data.actors": n, "data.block_steps": 8}).data for n in (1, 3))
    assert least_waiting(one) == 1 + BATCHES_OF_A_TASK
    assert least_waiting(three) == 3 * (8 + BATCHES_OF_A_TASK)
