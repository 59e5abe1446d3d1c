"""What an encoder promises: holes never read, samples independent, drop path, checkpointing, autocast, compile."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest
import torch

from tests.parity.networks import SMALL, random_cells, small_network
from tests.parity.test_backends import stages_and_gradients
from videomac.errors import ConfigError
from videomac.nn.masking import visible_sites
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.sites.neighbours import Neighbours
from videomac.nn.sites.protocol import Sites

BACKENDS = ["packed", "masked"]


def batch(rows=3, grid=(2, 3), keep=3):
    torch.manual_seed(1)
    x_bchw = torch.randn(rows, 3, grid[0] * 32, grid[1] * 32, dtype=torch.float64)
    return x_bchw, random_cells(rows, grid[0] * grid[1], keep)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", SMALL)
def test_nan_in_hidden_pixels_leaves_stages_and_gradients_bit_equal(family, backend):
    network, (x_bchw, cells_bk) = small_network(family), batch()
    visible_b1hw = visible_sites(cells_bk, (2, 3), 32).unsqueeze(1)
    holes_bchw = torch.where(visible_b1hw, x_bchw, torch.nan)
    seen, blind = (stages_and_gradients(network, backend, x, cells_bk) for x in (x_bchw, holes_bchw))
    for name, value in seen.items():
        assert torch.equal(blind[name], value), name


@pytest.mark.parametrize("family", ["convnextv2", "convnext"])
def test_a_sample_does_not_depend_on_its_batch_mates(family):
    network, (x_bchw, cells_bk) = small_network(family), batch()
    together = network(x_bchw, cells_bk)[-1]
    for i in range(len(x_bchw)):
        torch.testing.assert_close(network(x_bchw[i : i + 1], cells_bk[i : i + 1])[-1], together[i : i + 1])


def test_paper_grn_spans_the_valid_rows_of_the_batch():
    network, (x_bchw, cells_bk) = small_network("convnextv2", "paper"), batch()
    alone = network(x_bchw[:1], cells_bk[:1])[-1]
    assert (network(x_bchw, cells_bk)[-1][:1] - alone).abs().max() > 1e-3
    only_first = torch.tensor([True, False, False])
    torch.testing.assert_close(network(x_bchw, cells_bk, only_first)[-1][:1], alone)


@pytest.mark.parametrize("family", SMALL)
def test_drop_path_keeps_a_block_where_uniform_is_at_least_its_rate(family):
    network, (x_bchw, cells_bk) = small_network(family), batch()
    network.drop_path = 0.5
    uniform_bl = torch.ones(3, network.num_blocks, dtype=torch.float64)
    kept = network(x_bchw, cells_bk, None, uniform_bl)[-1]
    uniform_bl[0, -1] = 0.49
    dropped = network(x_bchw, cells_bk, None, uniform_bl)[-1]
    assert not torch.equal(dropped[0], kept[0])
    uniform_bl[0, -1] = 0.5
    assert torch.equal(network(x_bchw, cells_bk, None, uniform_bl)[-1], kept)


@pytest.mark.parametrize("family", SMALL)
def test_gradient_checkpointing_changes_nothing_but_memory(family):
    network, (x_bchw, cells_bk) = small_network(family), batch()
    other = copy.deepcopy(network)
    other.gradient_checkpointing = True
    for model in (network, other):
        model(x_bchw, cells_bk)[-1].square().mean().backward()
    for (name, value), wanted in zip(other.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(value.grad, wanted.grad, msg=name)
    for (name, value), wanted in zip(other.named_buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(value, wanted, msg=name)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_autocast_bf16_stays_near_float32_and_trains(family, checkpointing):
    network = small_network(family).float()
    network.gradient_checkpointing = checkpointing
    x_bchw, cells_bk = batch()
    wanted = network(x_bchw.float(), cells_bk)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        last = network(x_bchw.float(), cells_bk)[-1]
    last.float().square().mean().backward()
    assert (last.float() - wanted).abs().max() < 0.1 * wanted.abs().max()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


COMPILE = """
import copy, torch
from tests.parity.networks import random_cells, small_network
network = small_network("{family}").float()
x_bchw, cells_bk = torch.randn(3, 3, 64, 96), random_cells(3, 6, 3)
wanted = network(x_bchw, cells_bk)
stages = torch.compile(copy.deepcopy(network), fullgraph=True, backend="{compiler}")(x_bchw, cells_bk)
sum(stage.square().mean() for stage in stages).backward()
for stage, reference in zip(stages, wanted):
    torch.testing.assert_close(stage, reference, rtol=1e-4, atol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("family", "compiler"), [("convnextv2_as_conv", "inductor"), ("basic", "aot_eager")])
def test_compiles_without_graph_breaks_and_gives_the_same(family, compiler):
    # In a process of its own: the shape checks of the test run cannot be traced. Inductor's C++ without optimisation.
    ended = subprocess.run(
        [sys.executable, "-c", COMPILE.format(family=family, compiler=compiler)],
        env={**os.environ, "TORCHINDUCTOR_DEBUG_COMPILE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_an_image_that_is_not_a_multiple_of_the_cell_is_refused():
    with pytest.raises(ConfigError, match=r"100x64 is not a multiple of model.cell = 32; use 96x64"):
        small_network("basic")(torch.zeros(1, 3, 100, 64, dtype=torch.float64), torch.tensor([[0]]))


@pytest.mark.parametrize("cell", [16, 32])
@pytest.mark.parametrize("family", SMALL)
def test_a_site_of_the_last_stage_covers_one_cell(family, cell):
    network = small_network(family, cell=cell)
    last_bkttc = network(torch.randn(1, 3, cell, 2 * cell, dtype=torch.float64), torch.tensor([[0, 1]]))[-1]
    assert last_bkttc.shape[:4] == (1, 2, 1, 1)
    assert network.cell == network.strides[-1] == cell
    with pytest.raises(AttributeError):
        network.cell = 48 - cell


@pytest.mark.parametrize("cell", [0, 8, 64])
def test_a_cell_that_is_not_the_total_stride_is_refused(cell):
    with pytest.raises(ConfigError, match=rf"cell of {cell} px does not fit the network: .* use 32, or 16"):
        EncoderSpec(cell=cell)


def test_an_encoder_without_a_trunk_cannot_be_made():
    class Half(Encoder):
        pass

    with pytest.raises(TypeError, match="trunk"):
        Half(EncoderSpec(), (1, 1, 1, 1), (8, 8, 8, 8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_are_sites(backend):
    sites = Encoder.BACKENDS[backend](torch.tensor([[0]]), (1, 1), None)
    assert isinstance(sites, Sites)


@pytest.mark.parametrize(("t", "reach"), [(1, 3), (2, 3), (4, 1), (8, 3)])
def test_tables_agree_with_a_padded_map(t, reach):
    cells_bk = random_cells(2, 12, 5)
    neighbours = Neighbours(cells_bk, (3, 4))
    rows = 2 * 5 * t * t
    canvas_bhw = neighbours.canvas(t)
    assert torch.equal(canvas_bhw.flatten()[neighbours.sites(t)], torch.arange(rows))
    assert (canvas_bhw < rows).sum() == rows
    padded = torch.nn.functional.pad(canvas_bhw, (reach,) * 4, value=rows)
    windows = padded.unfold(1, t + 2 * reach, t).unfold(2, t + 2 * reach, t).flatten(1, 2)
    wanted = torch.stack([windows[i][cells_bk[i]] for i in range(2)]).flatten(0, 1)
    assert torch.equal(neighbours.tiles(t, reach), wanted)
