"""The decoder: mask tokens in the holes and nowhere else."""

from __future__ import annotations

import torch

from videomac.nn.networks.decoder import Decoder


def test_predicts_every_cell_of_a_non_square_grid():
    decoder = Decoder(dim_in=6, dim=8, depth=1, cell=32)
    cells_bk = torch.tensor([[0, 3, 5], [1, 2, 4]])
    pred_bnd = decoder(torch.randn(2, 3, 1, 1, 6), cells_bk, (2, 3))
    assert pred_bnd.shape == (2, 6, 32 * 32 * 3)


def test_without_blocks_hidden_cells_are_the_token_and_visible_ones_their_own_feature():
    decoder = Decoder(dim_in=6, dim=8, depth=0, cell=16)
    cells_bk = torch.tensor([[1, 4]])
    last_bkttc = torch.randn(1, 2, 1, 1, 6)
    pred_bnd = decoder(last_bkttc, cells_bk, (2, 3))
    token_d = decoder.pred.weight.flatten(1) @ decoder.mask_token + decoder.pred.bias
    hidden_nd = pred_bnd[0, [0, 2, 3, 5]]
    torch.testing.assert_close(hidden_nd, token_d.expand_as(hidden_nd))
    seen_e = decoder.proj.weight.flatten(1) @ last_bkttc[0, 1, 0, 0] + decoder.proj.bias
    torch.testing.assert_close(pred_bnd[0, 4], decoder.pred.weight.flatten(1) @ seen_e + decoder.pred.bias)
