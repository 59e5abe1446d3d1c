"""Work on a cluster whose head has no CPU: `python head_without_cpus.py (build|evaluate) SOURCE OUT`.

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
from videomac.distributed.evaluate.run import evaluate

ENOUGH_TASKS = 4
PATIENCE_S = 60


def demand(address: str) -> int:
    """How many tasks wait for resources, as the autoscaler is told."""
    reply = GetClusterResourceStateReply()
    reply.ParseFromString(GcsClient(address).get_cluster_resource_state())
    return sum(request.count for request in reply.cluster_resource_state.pending_resource_requests)


def build(source: str, out: str) -> None:
    build_shards(config.BuildShards(source=source, out=out, shard_mb=0.001))


def score(source: str, out: str) -> None:
    raw = [{"label": kind, "source": kind} for kind in ("raw_colour", "raw_patch")]
    tree = {"data": {"root": source}, "out": out, "features": raw, "pictures": False}
    evaluate(config.validate(config.Evaluate, tree, "test"))


def main(what: str, source: str, out: str) -> None:
    work = {"build": build, "evaluate": score}[what]
    with tempfile.TemporaryDirectory(prefix="vmn", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=cluster.address, log_to_driver=False)
        working = threading.Thread(target=work, args=(source, out), daemon=True)
        working.start()
        seen, end = 0, time.monotonic() + PATIENCE_S
        while seen < ENOUGH_TASKS and time.monotonic() < end:
            seen = max(seen, demand(cluster.address))
            time.sleep(0.2)
        cluster.add_node(num_cpus=2)  # in the main thread: it sets signal handlers
        working.join(timeout=2 * PATIENCE_S)
        print(f"demand {seen}", flush=True)
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:4])
