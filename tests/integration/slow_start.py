"""A board whose class takes long to import in Ray's processes, as torch does on a cold or busy machine."""

from __future__ import annotations

import time

import ray

from videomac.distributed.train.board import BoardClient

IMPORT_S = 22.0


class SlowBoard(BoardClient):
    """The controller and every worker unpickle it when they start."""


if ray._private.worker.global_worker.mode == ray._private.worker.WORKER_MODE:
    time.sleep(IMPORT_S)
