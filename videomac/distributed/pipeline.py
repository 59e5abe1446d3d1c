"""`videomac pretrain`: from shards to what people take away, a backbone that others load and the page of its run."""

from __future__ import annotations

import fsspec

from videomac.config import Export, Pretrain
from videomac.distributed.train.launch import RunResult, pretrain
from videomac.pretrain.export import export
from videomac.report.run import write_run_report


def train_backbone(settings: Pretrain) -> RunResult:
    """Trains the run to its end, then writes `export/` (as `videomac export` does) and `report.html` into its folder.

    A finished run that has both is left as it is.

    Raises:
        ExportError: the exported network's features differ from the trained one's.
        ConfigError, ClusterError, CheckpointError, DataError, StorageError, TrainingError: as `launch.pretrain`.
    """
    run = pretrain(settings)
    if not (run.was_finished and _exists(f"{run.folder}/export/card.json") and _exists(f"{run.folder}/report.html")):
        export(Export(checkpoint=run.folder, out=f"{run.folder}/export"))
        print(f"report: {write_run_report(run.folder)}", flush=True)
    return run


def _exists(url: str) -> bool:
    filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem.exists(path)
