"""Laws that hold across the parts: what the masking hides stays hidden, a pair depends on nothing but itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videomac import config
from videomac.data import draws
from videomac.errors import ConfigError
from videomac.facts.grid import visible_count
from videomac.nn.masking import cells_to_visible
from videomac.nn.patches import denormalise_cells, normalise_cells, patchify, unpatchify
from videomac.pretrain.losses import pair_errors
from videomac.pretrain.model import build_model

CELL, SIDE = 32, 96
CELLS = (SIDE // CELL) ** 2


@pytest.fixture(scope="module")
def network():
    settings = config.Model(encoder=config.Encoder(name="convnextv2_atto"), decoder_dim=16)
    built = build_model(settings, seed=0).eval()
    with torch.no_grad():  # GRN starts at zero, where it cannot tell samples from batches
        for name, parameter in built.named_parameters():
            if "grn" in name:
                parameter.normal_(std=0.5)
    return built


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(1)
    frames_b2chw = torch.randn(3, 2, 3, SIDE, SIDE, generator=generator)
    cells_bk = torch.stack([torch.randperm(CELLS, generator=generator)[:4].sort().values for _ in range(3)])
    return frames_b2chw, cells_bk


def hide(frames_b2chw, cells_bk, value):
    """The same frames with `value` in every pixel that is not visible."""
    visible_bn = cells_to_visible(cells_bk, CELLS)
    patches_bnd = patchify(frames_b2chw.flatten(0, 1), CELL)
    visible_bn1 = visible_bn.repeat_interleave(2, 0)[:, :, None]
    covered = unpatchify(patches_bnd.where(visible_bn1, torch.tensor(value)), CELL, (SIDE // CELL,) * 2)
    return covered.unflatten(0, frames_b2chw.shape[:2])


@given(st.integers(2, 400), st.floats(0.01, 0.99))
def test_exactly_int_of_cells_times_one_minus_ratio_stay_visible(cells, ratio):
    expected = int(cells * (1 - ratio))
    if not 1 <= expected < cells:
        with pytest.raises(ConfigError, match=r"of .* cells keeps"):
            visible_count(cells, ratio)
        return

    cells_k = draws.visible_cells(np.random.default_rng(0), cells, visible_count(cells, ratio))

    assert len(set(cells_k.tolist())) == expected
    assert (np.diff(cells_k) > 0).all()


def test_every_cell_is_visible_equally_often():
    drawn = [draws.visible_cells(draws.generator(0, 0, "clip", slot, "mask"), 9, 4) for slot in range(3000)]

    share_n = np.bincount(np.concatenate(drawn), minlength=9) / len(drawn)
    assert np.abs(share_n - 4 / 9).max() < 0.05  # five standard deviations


def test_nan_in_hidden_pixels_changes_no_bit_of_what_the_networks_say(network, pairs):
    frames_b2chw, cells_bk = pairs
    hidden_b2chw = hide(frames_b2chw, cells_bk, float("nan"))

    with torch.no_grad():
        seen, blind = (
            [
                *network.encoder(frames[:, 0], cells_bk),
                (first := network(frames[:, 0], cells_bk)[0]),
                (second := network(frames[:, 1], cells_bk)[0]),
                pair_errors(first, second, frames_b2chw[:, 0], frames_b2chw[:, 1], cells_bk, CELL).consistency_b,
            ]
            for frames in (frames_b2chw, hidden_b2chw)
        )

    assert all(torch.equal(a, b) for a, b in zip(seen, blind, strict=True))
    assert all(torch.isfinite(b).all() for b in blind)


def test_visible_pixels_do_change_the_prediction(network, pairs):
    frames_b2chw, cells_bk = pairs

    with torch.no_grad():
        before = network(frames_b2chw[:, 0], cells_bk)[0]
        after = network(frames_b2chw[:, 0] + 1.0, cells_bk)[0]

    assert not torch.allclose(before, after)


def test_a_sample_does_not_depend_on_its_batch_mates(network, pairs):
    frames_b2chw, cells_bk = pairs

    with torch.no_grad():
        together = network(frames_b2chw[:, 0], cells_bk)[0]
        alone = network(frames_b2chw[1:2, 0], cells_bk[1:2])[0]

    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)


def test_errors_are_taken_where_the_cells_are_hidden(pairs):
    frames_b2chw, cells_bk = pairs
    truth_bnd = normalise_cells(patchify(frames_b2chw[:, 0], CELL))
    wrong_where_visible_bnd = truth_bnd + 100.0 * cells_to_visible(cells_bk, CELLS)[:, :, None]

    errors = pair_errors(wrong_where_visible_bnd, truth_bnd, frames_b2chw[:, 0], frames_b2chw[:, 1], cells_bk, CELL)

    assert errors.online_b.abs().max() == 0
    assert errors.consistency_b.abs().max() == 0


def test_patches_hold_rows_then_columns_then_channels():
    x_bchw = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)

    x_bnd = patchify(x_bchw, 2)

    cell_0 = [x_bchw[0, c, y, x].item() for y in (0, 1) for x in (0, 1) for c in range(3)]
    assert x_bnd.shape == (2, 6, 12)
    assert x_bnd[0, 0].tolist() == cell_0
    assert x_bnd[0, 1, 0] == x_bchw[0, 0, 0, 2]
    assert x_bnd[0, 3, 0] == x_bchw[0, 0, 2, 0]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4]))
def test_unpatchify_inverts_patchify(b, rows, columns, cell):
    x_bchw = torch.randn(b, 3, rows * cell, columns * cell)

    assert torch.equal(unpatchify(patchify(x_bchw, cell), cell, (rows, columns)), x_bchw)


def test_pictures_undo_the_normalisation():
    x_bnd = torch.rand(2, 4, 12, dtype=torch.float64)

    torch.testing.assert_close(denormalise_cells(normalise_cells(x_bnd), x_bnd), x_bnd)
