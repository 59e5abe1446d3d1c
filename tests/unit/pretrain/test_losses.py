"""The losses against values that a reader can compute, and the laws of masking."""

from __future__ import annotations

import torch

from videomac.nn.patches import normalise_cells, patchify, unpatchify
from videomac.pretrain.losses import cell_targets, masked_cells, pair_errors


def test_masked_cells_are_the_complement_ascending():
    cells_bk = torch.tensor([[0, 3], [1, 2]])

    assert masked_cells(cells_bk, 5).tolist() == [[1, 2, 4], [0, 3, 4]]


def test_losses_equal_hand_computed_values():
    """Four cells of 2x2 px, cells 1 and 2 masked; without target normalisation every number is plain."""
    frame1 = unpatchify(torch.arange(4.0)[None, :, None].expand(1, 4, 12), 2, (2, 2))
    frame2 = torch.zeros(1, 3, 4, 4)
    online = torch.ones(1, 4, 12)
    target = torch.full((1, 4, 12), 3.0)

    errors = pair_errors(online, target, frame1, frame2, torch.tensor([[0, 3]]), cell=2, normalised=False)

    assert errors.online_b.tolist() == [(1 - 1) ** 2 + (1 - 2) ** 2]
    assert errors.target_b.tolist() == [3.0**2 + 3.0**2]
    assert errors.consistency_b.tolist() == [(1 - 3.0) ** 2 * 2]


def test_targets_are_normalised_by_the_unbiased_variance_of_their_cell():
    frame = torch.randn(1, 3, 4, 4, dtype=torch.float64).float()
    cell = patchify(frame, 2)[0, 1]

    target = cell_targets(frame, torch.tensor([[1]]), 2, normalised=True)[0, 0]

    torch.testing.assert_close(target, (cell - cell.mean()) / (cell.var(unbiased=True) + 1e-6).sqrt())
    torch.testing.assert_close(target, normalise_cells(cell[None, None])[0, 0])


def test_no_gradient_reaches_anything_through_the_target_prediction():
    online = torch.randn(2, 4, 12, requires_grad=True)
    target = torch.randn(2, 4, 12, requires_grad=True)
    frames = torch.randn(2, 2, 3, 4, 4)

    errors = pair_errors(online, target, frames[0], frames[1], torch.tensor([[0, 3], [1, 2]]), cell=2)
    (errors.online_b + errors.consistency_b).sum().backward()

    assert target.grad is None
    assert not errors.target_b.requires_grad
    assert online.grad is not None


def test_predictions_of_visible_cells_do_not_count():
    online, target = torch.randn(2, 1, 4, 12)
    frames = torch.randn(2, 1, 3, 4, 4)
    cells = torch.tensor([[0, 3]])
    spoilt = online.clone()
    spoilt[0, [0, 3]] = float("nan")

    one = pair_errors(online, target, frames[0], frames[1], cells, cell=2)
    other = pair_errors(spoilt, target, frames[0], frames[1], cells, cell=2)

    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)
