"""Labels down to the grid and up again, and key points there and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from videomac.facts.presets import PRESETS
from videomac.propagation import labels


def test_down_bilinear_is_the_mean_of_the_two_middle_pixels():
    ids = np.array([[0, 0, 0, 1, 1, 1, 1, 1]] * 8, np.uint8)
    soft = labels.down(ids, 2, (1, 1), PRESETS["crw"])
    # Half-pixel centres without antialias: an 8-pixel cell reads columns 3 and 4, both label 1.
    assert soft[:, 0, 0].tolist() == [0.0, 1.0]


def test_down_nearest_takes_ids():
    ids = np.arange(16, dtype=np.uint8).reshape(4, 4) % 3
    soft = labels.down(ids, 3, (2, 2), PRESETS["dino"])
    assert soft.sum(0).eq(1).all()
    assert soft.argmax(0).numpy().tolist() == labels.resize_ids(ids, (2, 2)).tolist()


@pytest.mark.parametrize("name", ["crw", "dino", "vfs", "cropmae", "vip"])
def test_hard_labels_come_back_up(name):
    ids = np.zeros((64, 128), np.uint8)
    ids[16:48, 32:96] = 2
    preset = PRESETS[name]
    soft = labels.down(ids, 3, (8, 16), preset)
    up = labels.up(soft, (64, 128), (64, 128), 8, preset)
    assert up.shape == (64, 128)
    assert up.dtype == np.uint8
    assert (up == ids).mean() > 0.95


def test_up_goes_to_the_size_that_is_scored():
    soft = labels.one_hot(np.zeros((4, 6), np.uint8), 2)
    crw = PRESETS["crw"]
    assert labels.up(soft, (60, 90), (32, 48), 8, crw).shape == (60, 90)
    assert labels.up(soft, (60, 90), (32, 48), 8, dataclasses.replace(crw, scored_at="input")).shape == (32, 48)


def test_strongest_is_argmax_with_ties_to_the_lowest():
    soft = torch.randint(0, 3, (5, 20, 30), generator=torch.Generator().manual_seed(0)).float()
    expected = np.argmax(soft.numpy(), axis=0)  # NumPy takes the first of equal values
    assert np.array_equal(labels.strongest(soft).numpy(), expected)


def test_minmax_leaves_an_empty_channel_empty():
    soft = torch.stack([torch.zeros(3, 3), torch.arange(9.0).view(3, 3) + 1])
    scaled = labels.minmax(soft)
    assert scaled[0].eq(0).all()
    assert (scaled[1].min(), scaled[1].max()) == (0, 1)


def test_joints_read_back_near_where_they_were_drawn():
    places = np.array([[5.0, 7.0], [12.3, 3.8], [0.0, 0.0]])
    maps = labels.joint_maps(places, np.array([True, True, False]), (20, 30))
    found, exists = labels.read_joints(maps)
    assert exists.tolist() == [True, True, False]
    assert np.abs(found[:2] - places[:2]).max() < 1.0
    assert found[2].tolist() == [-1, -1]
    assert maps[0].eq((maps[1:].sum(0) == 0).double()).all(), "background is where no joint is"


def test_joint_outside_the_grid_is_not_drawn():
    maps = labels.joint_maps(np.array([[99.0, 2.0], [-50.0, 2.0]]), np.array([True, True]), (8, 8))
    assert not maps[1:].any()


def test_read_joints_weighs_the_three_strongest_cells():
    maps = torch.zeros(2, 5, 5)
    maps[1, 2, 1], maps[1, 2, 2], maps[1, 2, 3], maps[1, 0, 0] = 0.2, 0.5, 0.3, 0.1
    found, _ = labels.read_joints(maps)
    assert found[0] == pytest.approx([0.2 * 1 + 0.5 * 2 + 0.3 * 3, 2.0])
