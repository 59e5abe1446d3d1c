"""A cluster of two nodes in a process of its own: `python two_nodes.py (remove|drain) RUN_YAML STEP`.

Trains on both nodes; once STEP is logged, the second node is removed, or told that it will be taken away.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from videomac import config
from videomac.distributed.train.launch import pretrain

DEADLINE_S = 12


def when_logged(metrics: Path, step: int, then) -> None:
    while not metrics.is_file() or metrics.read_text().count("\n") < step:
        time.sleep(0.1)
    then()


def drain(node_id: str, address: str) -> None:
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    deadline_ms = int((time.time() + DEADLINE_S) * 1000)
    reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    GcsClient(address=address).drain_node(node_id, reason, "spot machine", deadline_ms)


def main(mode: str, run_yaml: str, step: int) -> None:
    settings = config.load(config.Pretrain, run_yaml)
    os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "1"
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "8"  # for the attempt that still counts on the lost node
    with tempfile.TemporaryDirectory(prefix="vmn", dir="/tmp", ignore_cleanup_errors=True) as folder:
        train(mode, settings, step, folder)


def train(mode: str, settings: config.Pretrain, step: int, folder: str) -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "temp_dir": folder, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)

    def remove() -> None:
        with contextlib.suppress(Exception):  # a drained node may have left by itself
            cluster.remove_node(second, allow_graceful=False)

    def announce_and_remove() -> None:
        drain(second.node_id, cluster.address)
        time.sleep(DEADLINE_S)
        remove()

    take_away = {"remove": remove, "drain": announce_and_remove}[mode]
    metrics = Path(settings.run.storage) / settings.run.name / "metrics.jsonl"
    threading.Thread(target=when_logged, args=(metrics, step, take_away), daemon=True).start()
    print(pretrain(settings).metrics["rows"], flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
