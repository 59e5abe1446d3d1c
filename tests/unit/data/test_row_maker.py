import pytest

from tests.unit.data.material import pretrain_settings, recipe_for, write_shards, write_video
from videomac.data.in_process import iterate
from videomac.data.plan import OpenPlan, read_plan
from videomac.data.row_maker import STATS, RowMaker
from videomac.data.spans import Span
from videomac.data.status import Code

CRASHING = "tests.unit.data.handlers:crashing_decoder"


@pytest.fixture(scope="module")
def settings(small_shards):
    return pretrain_settings(small_shards)


@pytest.fixture(scope="module")
def plan(settings):
    return read_plan(settings.data, settings.run.seed)


@pytest.mark.integration
def test_isolated_rows_are_those_of_this_process(settings, plan):
    recipe = recipe_for(settings)
    here = list(iterate(plan, recipe, 0, 22, 4))
    there = list(iterate(plan, recipe, 0, 22, 4, isolated=True))
    assert [batch.g_b.tolist() for batch in here][-1] == [20, 21, -1, -1]
    for one, other in zip(here, there, strict=True):
        for name in ("frames_b2hwc", "cells_bk", "weight_b", "g_b", "code_b", "seed_b"):
            assert getattr(one, name).equal(getattr(other, name)), name
        assert one.keys == other.keys


def test_pad_rows_are_black_and_weigh_nothing(settings, plan):
    (batch,) = iterate(plan, recipe_for(settings), 0, 2, 4)
    assert batch.g_b.tolist() == [0, 1, -1, -1]
    assert batch.weight_b.tolist() == [1, 1, 0, 0]
    assert batch.keys[2:] == ["", ""]
    assert not batch.frames_b2hwc[2:].any()
    assert batch.cells_bk.shape == (4, recipe_for(settings).visible_count)
    assert batch.to("cpu").g_b.equal(batch.g_b)


def test_batches_do_not_change_rows(settings, plan):
    recipe = recipe_for(settings)
    wide = next(iterate(plan, recipe, 4, 16, 12))
    narrow = list(iterate(plan, recipe, 4, 16, 2))
    for i, batch in enumerate(narrow):
        assert batch.frames_b2hwc.equal(wide.frames_b2hwc[2 * i : 2 * i + 2])
        assert batch.keys == wide.keys[2 * i : 2 * i + 2]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Two clips that crash the decoder, one that hangs it, two good ones."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [*(f"crash{i}" for i in range(2)), "good1", "good2", "hang"]
    videos = [write_video(folder / f"{name}.mp4") for name in names]
    manifest = write_shards(folder / "shards", videos, per_shard=3)
    return pretrain_settings(manifest, **{"data.bounds.decode_timeout_s": 0.5})


@pytest.mark.integration
def test_clips_that_crash_or_hang_cost_themselves_alone(hostile):
    plan, recipe = read_plan(hostile.data, 0), recipe_for(hostile)
    n = plan.rows_per_epoch
    maker = RowMaker(plan, recipe, target=CRASHING)
    columns = list(maker.batches([Span(g, 4, 4) for g in range(0, 2 * n, 4)]))
    maker.close()
    rows = [
        (int(g), str(key), int(code)) for c in columns for g, key, code in zip(c["g"], c["key"], c["code"], strict=True)
    ]
    assert [g for g, _, _ in rows] == list(range(2 * n)), "no row is lost, none moves"
    expected = {"c": Code.CRASH, "h": Code.TIMEOUT, "g": Code.GOOD}
    assert all(code == expected[key[0]] for _, key, code in rows)
    good = list(iterate(plan, recipe, 0, 2 * n, 4))
    for made, plain in zip(columns, good, strict=True):
        for i, code in enumerate(made["code"]):
            assert (made["frames"][i] == (plain.frames_b2hwc[i].numpy() if code == 0 else 0)).all()
    clips = sum(int(c["stats"][0, STATS.index("clips")]) for c in columns)
    assert clips == 2 * n // hostile.data.pairs_per_open


def test_clips_that_a_checkpoint_knows_to_be_bad_are_not_decoded(settings, plan):
    key = OpenPlan(plan).openings(0, 2)[0].sample.key
    batches = list(iterate(plan, recipe_for(settings), 0, plan.rows_per_epoch, 4, known_bad={key: Code.CRASH}))
    codes = {k: set(c) for b in batches for k, c in [(k, [int(x)]) for k, x in zip(b.keys, b.code_b, strict=True)]}
    assert codes[key] == {Code.CRASH}
    assert all(found == {Code.GOOD} for k, found in codes.items() if k not in (key, ""))


def test_a_sample_of_too_many_bytes_is_not_even_read(settings):
    small = settings.with_values(**{"data.bounds.max_bytes": 100})
    maker = RowMaker(read_plan(small.data, 0), recipe_for(small), isolated=False)
    before = maker.storage.counts["bytes"]
    (columns,) = maker.batches([Span(0, 4, 4)])
    assert columns["code"].tolist() == [Code.TOO_MANY_BYTES] * 4
    assert columns["stats"][0, STATS.index("clips")] == 0
    assert maker.storage.counts["bytes"] - before < 1e5
