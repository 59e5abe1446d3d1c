"""The border between data and networks."""

import jaxtyping
import numpy as np
import pytest
import torch

from videomac.data.batch import Batch

COLUMNS = {
    "frames": np.arange(3 * 2 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 2, 4, 5, 3),
    "cells": np.array([[0, 2], [1, 3], [0, 1]], np.int32),
    "g": np.array([7, 8, -1]),
    "code": np.array([0, 2, 0], np.int32),
    "seed": np.array([1, 2, 0]),
    "key": np.array(["a", "b", ""], object),
}


def test_columns_become_a_batch_and_only_good_rows_weigh():
    batch = Batch.collate(COLUMNS)
    assert len(batch) == 3
    assert batch.weight_b.tolist() == [1.0, 0.0, 0.0]
    assert batch.keys == ["a", "b", ""]
    assert (batch.cells_bk.dtype, batch.code_b.dtype) == (torch.int64, torch.int64)
    assert np.array_equal(batch.frames_b2hwc.numpy(), COLUMNS["frames"])


def test_pixels_are_not_copied():
    batch = Batch.collate(COLUMNS)
    assert np.shares_memory(batch.frames_b2hwc.numpy(), COLUMNS["frames"])
    assert not np.shares_memory(batch.g_b.numpy(), COLUMNS["g"])


def test_another_device_gets_every_tensor():
    moved = Batch.collate(COLUMNS).to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert all(tensor.is_meta for tensor in tensors)
    assert moved.keys == ["a", "b", ""]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("frames", COLUMNS["frames"].astype(np.float32)),
        ("frames", COLUMNS["frames"][:, :1]),
        ("frames", COLUMNS["frames"][..., :2]),
        ("cells", COLUMNS["cells"][:2]),
        ("g", COLUMNS["g"][:2]),
        ("seed", COLUMNS["seed"][None]),
    ],
)
def test_shapes_and_types_are_checked_in_tests(name, wrong):
    with pytest.raises((jaxtyping.TypeCheckError, RuntimeError)):
        Batch.collate(COLUMNS | {name: wrong})
