"""Build shards on a cluster whose head has no CPU: `python head_without_cpus.py SOURCE OUT`.

A node comes only when several tasks wait for one, as an autoscaler would have it. Prints the largest demand seen.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time

import ray
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import GetClusterResourceStateReply

from shards.build import build_shards
from videomac import config

ENOUGH_TASKS = 4
PATIENCE_S = 60


def demand(address: str) -> int:
    """How many tasks wait for resources, as the autoscaler is told."""
    reply = GetClusterResourceStateReply()
    reply.ParseFromString(GcsClient(address).get_cluster_resource_state())
    return sum(request.count for request in reply.cluster_resource_state.pending_resource_requests)


def main(source: str, out: str) -> None:
    settings = config.BuildShards(source=source, out=out, shard_mb=0.001)
    with tempfile.TemporaryDirectory(prefix="vmn", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=cluster.address, log_to_driver=False)
        build = threading.Thread(target=build_shards, args=(settings,), daemon=True)
        build.start()
        seen, end = 0, time.monotonic() + PATIENCE_S
        while seen < ENOUGH_TASKS and time.monotonic() < end:
            seen = max(seen, demand(cluster.address))
            time.sleep(0.2)
        cluster.add_node(num_cpus=2)  # in the main thread: it sets signal handlers
        build.join(timeout=2 * PATIENCE_S)
        print(f"demand {seen}", flush=True)
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
