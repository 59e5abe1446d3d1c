"""Small networks and batches for the tests of pretraining."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videomac import config
from videomac.data.batch import Batch
from videomac.pretrain import checkpoint
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.setup import build_state, derive_extent
from videomac.storage.copies import upload_folder

SIZE = 64


def make_settings(**changes) -> config.Pretrain:
    """A ConvNeXt V2 atto on 64 px: 4 cells, 2 of them visible; 10 steps of 4 rows. Changes: `train__steps=5`."""
    tree = {
        "run": {"name": "test", "storage": "unused"},
        "data": {"manifest": "none", "image_size": [SIZE, SIZE]},
        "model": {"encoder": {"name": "convnextv2_atto"}, "mask_ratio": 0.5, "decoder_dim": 16},
        "train": {"batch_size": 4, "micro_batch": 4, "steps": 10},
        "log": {"writers": []},
    }
    settings = config.validate(config.Pretrain, tree, "test")
    return settings.with_values(**{key.replace("__", "."): value for key, value in changes.items()})


def make_batch(rows: range, bad: tuple[int, ...] = (), size: int = SIZE, cell: int = 32, keep: int = 2) -> Batch:
    """Rows whose content depends on g alone; g < 0 are pad rows."""
    frames, cells = [], []
    for g in rows:
        rng = np.random.default_rng(g + 1000)
        frames.append(rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8) * (g >= 0 and g not in bad))
        cells.append(np.sort(rng.permutation((size // cell) ** 2)[:keep]))
    weights = [float(g >= 0 and g not in bad) for g in rows]
    return Batch(
        frames_b2hwc=torch.from_numpy(np.stack(frames)),
        cells_bk=torch.from_numpy(np.stack(cells)),
        weight_b=torch.tensor(weights),
        g_b=torch.tensor(list(rows)),
        code_b=torch.tensor([2 * (g in bad) for g in rows]),
        seed_b=torch.tensor([max(g, 0) for g in rows]),
        keys=[f"clip{g}" if g >= 0 else "" for g in rows],
    )


def make_state(settings: config.Pretrain, world: int = 1):
    """A fresh state on the CPU; an epoch has 20 rows."""
    return build_state(settings, derive_extent(settings, rows_in_epoch=20, world=world), torch.device("cpu"))


@pytest.fixture
def settings() -> config.Pretrain:
    return make_settings()


@pytest.fixture(scope="module")
def trained():
    """A state whose weights are those of no other test."""
    return make_state(make_settings(run__seed=3))


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    """Its checkpoint, in the folder of a run."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step_0000000"
    checkpoint.save(trained, folder)
    return folder


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    """Its export: the folder and the card."""
    out = tmp_path_factory.mktemp("export")
    return out, export_checkpoint(str(saved), str(out))


@pytest.fixture
def stored(saved, memory_store):
    """The run in an object store, with a later checkpoint that is damaged and one that is half there."""
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000000")
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000005")
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000009")
    damaged = "memory://bucket/run/checkpoints/step_0000005/online.safetensors"
    memory_store.objects[damaged] = memory_store.objects[damaged][:-1] + b"!"
    del memory_store.objects["memory://bucket/run/checkpoints/step_0000009/files.json"]
    return memory_store
