"""Rows through Ray Data: the same for any number of workers, after crashes and kills, and across window borders."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tests.unit.data import handlers
from tests.unit.data.material import pretrain_settings, recipe_for, write_shards, write_video
from videomac.data.in_process import iterate
from videomac.data.plan import read_plan
from videomac.data.row_maker import DECODER
from videomac.data.spans import micro_steps
from videomac.data.status import Code
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.stream import BatchStream
from videomac.errors import ClusterError

pytestmark = pytest.mark.integration
CRASHING = "tests.unit.data.handlers:crashing_decoder"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Manifest of eight small clips in four shards."""
    folder = tmp_path_factory.mktemp("clips")
    videos = [write_video(folder / f"v{i}.mp4", 20 + 4 * i) for i in range(8)]
    return write_shards(folder / "shards", videos)


def settings_for(manifest, **dotted):
    base = {"data.cpus_per_actor": 0.1, "data.block_steps": 2, "data.max_bad_share": 1.0}
    return pretrain_settings(manifest, **{**base, **dotted})


def open_stream(settings, plan, stop, rank=0, world=1, known_bad=None, target=DECODER):
    """One rank's stream over the first rows of the plan, as a training worker opens it."""
    spans = micro_steps(
        0, stop, batch_size=settings.train.batch_size, micro_batch=settings.train.micro_batch,
        pairs_per_open=settings.data.pairs_per_open, rank=rank, world=world,
    )  # fmt: skip
    decoding = Decoding(plan, recipe_for(settings), settings.train.micro_batch, world, target=target)
    return BatchStream(decoding, spans, known_bad)


def collect(settings, plan, stop, world, **kwargs):
    """{g: (frames, cells, key, code, seed)} of all ranks, and their streams."""
    rows, streams = {}, []
    for rank in range(world):
        stream = open_stream(settings, plan, stop, rank, world, **kwargs)
        for batch in stream:
            for i, g in enumerate(batch.g_b.tolist()):
                if g >= 0:
                    assert g not in rows, "used twice"
                    frames, cells = batch.frames_b2hwc[i].numpy().tobytes(), batch.cells_bk[i].tolist()
                    rows[g] = (frames, cells, batch.keys[i], int(batch.code_b[i]), int(batch.seed_b[i]))
        streams.append(stream)
        stream.close()
    return rows, streams


def plain(settings, plan, stop):
    """Return the same without Ray."""
    found = {}
    for batch in iterate(plan, recipe_for(settings), 0, stop, 4):
        for i, g in enumerate(batch.g_b.tolist()):
            frames, cells = batch.frames_b2hwc[i].numpy().tobytes(), batch.cells_bk[i].tolist()
            found[g] = (frames, cells, batch.keys[i], int(batch.code_b[i]), int(batch.seed_b[i]))
    return found


@pytest.mark.timeout(300)
def test_rows_are_bit_equal_for_1_2_and_5_workers_over_window_and_epoch_borders(ray_cluster, clips):
    one = settings_for(clips)
    plan = read_plan(one.data, 0)
    stop = (plan.rows_per_epoch // 16 + 2) * 16
    expected = plain(one, plan, stop)
    for world, blocks in ((1, 5), (2, 500), (5, 500)):
        settings = one.with_values(**{"data.window_blocks": blocks})
        rows, streams = collect(settings, plan, stop, world)
        assert rows == expected, world
        assert sum(stream.counters["rows"] for stream in streams) == stop
        assert sum(stream.counters["clips"] for stream in streams) == stop // 2
        assert all(not stream.bad_clips for stream in streams)


def test_ray_datas_own_stats_reach_the_stream(ray_cluster, clips):
    settings = settings_for(clips)
    stream = open_stream(settings, read_plan(settings.data, 0), 64)
    assert stream.ray_stats() == ({}, "")
    figures, text = [(next(stream), stream.ray_stats())[1] for _ in range(8)][-1]
    last, _ = [(next(stream), stream.ray_stats())[1] for _ in range(8)][-1]
    stream.close()
    assert "MapBatches(DecodeActor)" in text
    assert 0 < figures["ray_blocks"] <= last["ray_blocks"]
    assert last["ray_task_s"] > 0
    assert last["ray_output_mb"] * 2**20 >= 64 * 2 * 64 * 64 * 3, "all pixels passed"
    assert last["ray_spilled_mb"] == 0


def test_decode_actors_load_no_torch(ray_cluster, clips):
    """Importing torch would cost each actor seconds at the start, and hundreds of MiB."""
    settings = settings_for(clips)
    stream = open_stream(settings, read_plan(settings.data, 0), 16 * 60)
    next(stream)
    (pid,) = stream.decoder_pids
    actor = psutil.Process(pid)
    mapped = [library.path for process in (actor, *actor.children()) for library in process.memory_maps()]
    stream.close()
    assert any("pyarrow" in path for path in mapped)
    assert not [path for path in mapped if "torch" in path]


def test_five_crashing_clips_in_one_block_cost_no_other_clip(ray_cluster, tmp_path):
    names = [*(f"crash{i}" for i in range(5)), "good0", "good1"]
    manifest = write_shards(tmp_path / "shards", [write_video(tmp_path / f"{name}.mp4") for name in names])
    settings = settings_for(manifest, **{"data.block_steps": 100})
    plan = read_plan(settings.data, 0)
    stop = plan.rows_per_epoch // 4 * 4
    rows, (stream,) = collect(settings, plan, stop, 1, target=CRASHING)
    expected = plain(settings, plan, stop)
    assert list(rows) == list(range(stop)), "no row is lost, none moves"
    for g, (frames, cells, key, code, seed) in rows.items():
        bad = key.startswith("crash")
        assert code == (Code.CRASH if bad else Code.GOOD)
        assert (frames == expected[g][0]) != bad
        assert (cells, key, seed) == (expected[g][1], expected[g][2], expected[g][4])
    assert len(stream.known_bad) == 5
    assert set(stream.bad_clips.values()) == {"crash"}
    again, (second,) = collect(settings, plan, stop, 1, known_bad=stream.known_bad, target=CRASHING)
    assert again == rows
    assert second.counters["clips"] == sum(key.startswith("good") for _, _, key, _, _ in rows.values()) // 2


def test_an_actor_killed_in_the_middle_of_a_row_loses_nothing(ray_cluster, clips):
    settings = settings_for(clips, **{"data.block_steps": 4})
    plan = read_plan(settings.data, 0)
    expected = plain(settings, plan, 64)
    stream = open_stream(settings, plan, 64)
    rows = {}
    for number, batch in enumerate(stream):
        if number == 1:
            (pid,) = stream.decoder_pids
            os.kill(pid, signal.SIGKILL)
        for i, g in enumerate(batch.g_b.tolist()):
            rows[g] = (batch.frames_b2hwc[i].numpy().tobytes(), int(batch.code_b[i]))
    stream.close()
    assert rows == {g: (row[0], row[3]) for g, row in expected.items()}
    assert not stream.bad_clips


def test_bad_rows_are_counted_by_reason_and_judged_elsewhere(ray_cluster, tmp_path, fixtures):
    """A rank sees its own rows only: whether the run has too many bad ones is decided on the counts of all."""
    (tmp_path / "in").mkdir()
    video = write_video(tmp_path / "in" / "good.mp4", 48)
    manifest = write_shards(tmp_path / "shards", [video])
    settings = settings_for(manifest, **{"data.gap_s": [3.0, 4.0], "data.max_bad_share": 0.5})
    stream = open_stream(settings, read_plan(settings.data, 0), 240)
    assert sum(len(batch.keys) for batch in stream) == 240
    assert (stream.counters["rows"], stream.counters["bad_rows"], stream.counters["bad_no_pair"]) == (240, 240, 240)
    ((key, reason),) = stream.bad_clips.items()
    assert key.startswith("good-")
    assert reason == "no_pair"
    stream.close()


def test_a_shortage_of_cpus_is_an_error_that_names_the_keys(ray_cluster, clips):
    settings = settings_for(clips, **{"data.cpus_per_actor": 400.0, "data.start_timeout_s": 2.0})
    plan = read_plan(settings.data, 0)
    stream = open_stream(settings, plan, 16)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=r"no CPU for 1 decode actors of 400 CPUs .* data\.cpus_per_actor"):
        next(stream)
    stream.close()
    assert time.monotonic() - begin < 30


def test_decoding_waits_for_a_slow_trainer(ray_cluster, clips, request):
    settings = settings_for(clips, **{"data.object_store_mb": 8, "run.seed": os.getpid()})
    counted = handlers.openings_file(settings.run.seed)
    values = {"train.micro_batch": 16, "data.image_size": [192, 192]}  # 3.4 MiB a batch
    settings = settings.with_values(**values)
    request.addfinalizer(lambda: counted.unlink(missing_ok=True))
    stream = open_stream(
        settings, read_plan(settings.data, 0), 16 * 60, target="tests.unit.data.handlers:counting_decoder"
    )
    next(stream)
    time.sleep(8)
    openings = counted.stat().st_size
    time.sleep(3)
    assert counted.stat().st_size == openings, "decoding stands still"
    assert openings * 2 <= 16 * 16, "a few batches ahead, of sixty"
    stream.close()
