import itertools

import numpy as np

from videomac.data import draws


def test_each_part_of_the_key_changes_the_draws():
    base = {"seed": 1, "epoch": 2, "key": "clip", "slot": 3, "purpose": "time", "attempt": 0}
    others = {"seed": 2, "epoch": 3, "key": "clip2", "slot": 4, "purpose": "crop", "attempt": 1}
    variants = [base, *({**base, name: value} for name, value in others.items())]
    drawn = [draws.generator(**variant).random() for variant in variants]
    assert len(set(drawn)) == len(variants)
    assert drawn == [draws.generator(**variant).random() for variant in variants]


def test_keys_cannot_imitate_other_fields():
    texts = [(1, 1, "1/time/x", 1), (1, 1, "x", 1), (11, 1, "x", 1), (1, 11, "x", 1), (1, 1, "x", 11)]
    drawn = [draws.generator(seed, epoch, key, slot, "time").random() for seed, epoch, key, slot in texts]
    assert len(set(drawn)) == len(texts)


def test_known_numbers_stay():
    """A resumed run must draw what it drew before: these values are part of the format."""
    assert draws.generator(0, 0, "clip", 0, "time").random(2).tolist() == [0.8423556846236219, 0.33566574387680415]
    assert draws.seed64(0, 0, "clip", 0, "drop_path") == 5534079371932784260


def test_visible_cells_are_exactly_keep_distinct_ascending_and_uniform():
    counts = np.zeros(49, int)
    for slot in range(2000):
        cells = draws.visible_cells(draws.generator(0, 0, "clip", slot, "mask"), 49, 12)
        assert cells.shape == (12,)
        assert all(a < b for a, b in itertools.pairwise(cells))
        assert len(set(cells.tolist())) == 12
        counts[cells] += 1
    expected = 2000 * 12 / 49
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_seeds_are_non_negative_int64():
    seeds = [draws.seed64(0, 0, "clip", slot, "drop_path") for slot in range(100)]
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert len(set(seeds)) == 100
