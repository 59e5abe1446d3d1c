import numpy as np
import pytest
from PIL import Image

from tests.unit.data.material import number_of, pretrain_settings, recipe_for
from videomac.config import Augment
from videomac.data import augment, draws, pairs
from videomac.data.pairs import Slot, draw_frames, make_pairs
from videomac.data.status import Code
from videomac.records.shards import Sample


def recipe(**dotted):
    return recipe_for(pretrain_settings("manifest.json", **dotted))


def sample(duration, fps=24.0, key="clip"):
    return Sample(key, "video", "s.tar", 0, 1, "", fps, duration)


def test_times_lie_in_their_slot_and_a_gap_apart():
    times = np.arange(24 * 10) / 24
    for index in range(200):
        first, second = draw_frames(recipe(), sample(10.0), Slot(0, index, 200), times)
        assert 0.1 - 1 / 24 < times[second] - times[first] < 0.3 + 1 / 24
        low, high = index / 200 * 9.7, (index + 1) / 200 * 9.9
        assert low - 1 / 24 <= times[first] <= high


def test_every_part_of_a_clip_is_seen():
    times = np.arange(240) / 24
    firsts = [draw_frames(recipe(), sample(10.0), Slot(e, i, 20), times)[0] for e in range(20) for i in range(20)]
    assert min(firsts) < 6
    assert max(firsts) > 225
    assert len(set(firsts)) > 150


def test_frames_are_drawn_again_until_they_differ_then_the_row_is_bad():
    sparse = np.array([0.0, 0.9])
    drawn = {draw_frames(recipe(), sample(1.8), Slot(0, i, 50), sparse) for i in range(50)}
    assert drawn == {(0, 1), None}
    assert draw_frames(recipe(), sample(1.0), Slot(0, 0, 1), np.array([0.0])) is None
    assert draw_frames(recipe(), sample(0.05), Slot(0, 0, 1), np.array([0.0, 0.02])) is None


@pytest.mark.parametrize("fps", [6.0, 24.0, 30.0, 29.97])
def test_papers_pairs_are_neighbours_at_6_fps(fps):
    times = np.arange(round(2 * fps)) / fps
    settings = pretrain_settings("m", **{"data.pair_sampling": "neighbours_6fps", "data.pairs_per_open": 1})
    papers = recipe_for(settings)
    count = int(pairs.slots_of(np.array([len(times) / fps]), settings.data)[0])
    drawn = [draw_frames(papers, sample(len(times) / fps), Slot(0, i, count), times) for i in range(count)]
    assert drawn == [(int(i * fps / 6 + 1e-5), int((i + 1) * fps / 6 + 1e-5)) for i in range(count)]


@pytest.mark.parametrize(("per_second", "per_open"), [(1.0, 2), (4.0, 2), (0.3, 1), (2.0, 4)])
def test_a_clip_has_full_openings(per_second, per_open):
    durations = np.array([0.1, 0.9, 1.5, 4.0, 10.3, 60.0])
    dotted = {"data.pairs_per_second": per_second, "data.pairs_per_open": per_open}
    data = pretrain_settings("m", **{**dotted, "train.batch_size": 4 * per_open, "train.micro_batch": per_open}).data
    expected = [per_open * max(1, round(float(d) * per_second / per_open)) for d in durations]
    assert pairs.slots_of(durations, data).tolist() == expected


def test_both_frames_get_the_same_view_and_the_earlier_comes_first(small_videos):
    one = recipe()
    made = make_pairs(one, sample(2.0), small_videos[2].read_bytes(), [Slot(0, i, 8) for i in range(8)])
    assert (made.code_n == Code.GOOD).all()
    for first, second in made.frames_n2hw3:
        assert number_of(first) < number_of(second)
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    views = [pairs._view(one, sample(2.0), Slot(0, 3, 8), frame) for frame in (picture, picture.copy())]
    assert (views[0] == views[1]).all()
    other = pairs._view(one, sample(2.0), Slot(1, 3, 8), picture)
    assert (other != views[0]).any()


def test_slots_do_not_depend_on_their_company(small_videos):
    content, slots = small_videos[1].read_bytes(), [Slot(0, i, 6) for i in range(6)]
    together = make_pairs(recipe(), sample(1.5), content, slots)
    alone = [make_pairs(recipe(), sample(1.5), content, [slot]).frames_n2hw3[0] for slot in slots]
    assert (together.frames_n2hw3 == np.stack(alone)).all()


def test_a_broken_clip_has_its_code_and_no_pixels(fixtures):
    made = make_pairs(recipe(), sample(5.0), (fixtures / "decord__corrupted.mp4").read_bytes(), [Slot(0, 7, 8)])
    assert made.code_n.tolist() == [Code.BROKEN]
    assert not made.frames_n2hw3.any()


def test_crops_keep_area_and_aspect_inside_their_ranges():
    settings = Augment()
    shares, aspects = [], []
    for slot in range(500):
        box = augment.crop_box(draws.generator(0, 0, "k", slot, "crop"), 320, 240, settings)
        left, top, right, bottom = box
        assert 0 <= left < right <= 320
        assert 0 <= top < bottom <= 240
        shares.append((right - left) * (bottom - top) / (320 * 240))
        aspects.append((right - left) / (bottom - top))
    assert 0.19 < min(shares) < 0.25
    assert max(shares) > 0.85
    assert 0.74 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.35


def test_a_frame_too_long_for_any_aspect_is_cropped_in_the_middle():
    settings = Augment(scale=(1.0, 1.0))
    assert augment.crop_box(draws.generator(0, 0, "k", 0, "crop"), 1000, 100, settings) == (433, 0, 566, 100)


@pytest.mark.parametrize("size", [(64, 64), (96, 128)])
def test_resize_is_pils_bicubic_and_downscaling_first_stays_close(size):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    frame, box = np.asarray(smooth), (100, 50, 600, 450)
    expected = np.asarray(smooth.crop(box).resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    exact = augment.crop_and_resize(frame, box, False, size, downscale_first=False).astype(int)
    assert np.abs(exact - expected).max() <= 1
    assert np.abs(augment.crop_and_resize(frame, box, False, size, True).astype(int) - exact).mean() < 1
    assert (augment.crop_and_resize(frame, box, True, size, False) == exact[:, ::-1]).all()


def test_cells_are_drawn_by_key_and_slot_not_by_row():
    one = recipe()
    cells, seed = pairs.cells_and_seed(one, "k", Slot(0, 1, 4))
    assert len(cells) == one.visible_count == int(one.cell_count * 0.25)
    again, same_seed = pairs.cells_and_seed(one.model_copy(), "k", Slot(0, 1, 8))
    assert (cells == again).all()
    assert seed == same_seed
