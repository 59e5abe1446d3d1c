"""Where metrics go beside metrics.jsonl: TensorBoard, MLflow and Weights & Biases, behind one interface."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from videomac.config import Pretrain
from videomac.errors import ConfigError
from videomac.storage.run_folder import RunFolder


class Writer:
    """Writes figures by step, and pictures, which are uint8 arrays (N, 2, H, W, 3) by name."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write the figures of one step."""

    def pictures(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Write the reconstructions of one step."""

    def flush(self) -> None:
        """Make everything written so far visible to readers."""

    def close(self) -> None:
        """End the run or the attempt."""


class TensorBoardWriter(Writer):
    """Writes `tensorboard/`; for an object store into a local folder that is copied at flushes."""

    def __init__(self, settings: Pretrain, folder: RunFolder) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only rank 0 needs it

        del settings
        self._folder = folder
        self._path = folder.local / "tensorboard" if folder.local else Path(tempfile.mkdtemp())
        self._writer = SummaryWriter(str(self._path), max_queue=100, flush_secs=10)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write a point of each metric's chart."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Write a strip of images by name."""
        for name, images_b2hwc in arrays.items():
            self._writer.add_images(
                f"reconstruction/{name}", images_b2hwc.reshape(-1, *images_b2hwc.shape[2:]), step, dataformats="NHWC"
            )

    def flush(self) -> None:
        """Write to disk, and to the store if the run is on one."""
        self._writer.flush()
        if not self._folder.local:
            for path in self._path.iterdir():
                self._folder.upload(f"tensorboard/{path.name}", path)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
        self.flush()


class MlflowWriter(Writer):
    """Writes one MLflow run, which later attempts continue, to the server at MLFLOW_TRACKING_URI."""

    def __init__(self, settings: Pretrain, folder: RunFolder) -> None:
        import mlflow  # pyright: ignore[reportMissingImports] - an extra

        self._mlflow = mlflow
        earlier: Any = mlflow.search_runs(filter_string=f"tags.folder = '{folder.url}'", output_format="list")
        run_id = earlier[0].info.run_id if earlier else None
        mlflow.start_run(run_id, run_name=settings.run.name, tags={"folder": folder.url})
        mlflow.log_params({"config_hash": settings.config_hash(), "encoder": settings.model.encoder.name})

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write metrics of the run."""
        self._mlflow.log_metrics(values, step=step)

    def pictures(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Write the first pair's frames, side by side."""
        for name, images_b2hwc in arrays.items():
            self._mlflow.log_image(np.concatenate(list(images_b2hwc[0]), axis=1), f"{name}_{step:07d}.png")

    def close(self) -> None:
        """Mark the run as ended."""
        self._mlflow.end_run()


class WandbWriter(Writer):
    """Writes one Weights & Biases run, which later attempts continue; the WANDB_* environment configures it."""

    def __init__(self, settings: Pretrain, folder: RunFolder) -> None:
        import wandb  # pyright: ignore[reportMissingImports] - an extra

        self._wandb = wandb
        self._run = wandb.init(
            name=settings.run.name,
            id=f"{settings.run.name}-{settings.config_hash()}",
            resume="allow",
            config=settings.plain() | {"folder": folder.url},
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write one row of the history."""
        self._run.log(values, step=step)

    def pictures(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Write the first pair's frames."""
        self._run.log(
            {name: [self._wandb.Image(image) for image in images[0]] for name, images in arrays.items()}, step=step
        )

    def close(self) -> None:
        """Upload what is left."""
        self._run.finish()


WRITERS: dict[str, Callable[[Pretrain, RunFolder], Writer]] = {
    "tensorboard": TensorBoardWriter,
    "mlflow": MlflowWriter,
    "wandb": WandbWriter,
}


def check_installed(names: Iterable[str]) -> None:
    """Raise ConfigError, on the driver and before any worker starts, if a writer's library is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"log.writers: {name} is not installed; pip install 'videomac[{name}]', or remove it from log.writers"
            )


def open_writers(settings: Pretrain, folder: RunFolder) -> list[Writer]:
    """Return the configured writers."""
    return [WRITERS[name](settings, folder) for name in settings.log.writers]
