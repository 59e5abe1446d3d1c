"""Schedules by arithmetic that a reader can do in the head."""

from __future__ import annotations

import pytest

from videomac.config import Optim
from videomac.pretrain.schedules import learning_rate, momentum, peak_learning_rate


def test_the_peak_scales_with_the_effective_batch():
    assert peak_learning_rate(1e-3, 512) == pytest.approx(2e-3)


@pytest.mark.parametrize(("progress", "share_of_peak"), [(0.0, 0), (0.05, 0.5), (0.1, 1), (0.55, 0.5), (1.0, 0)])
def test_learning_rate_warms_up_over_a_tenth_and_falls_by_a_cosine_to_zero(progress, share_of_peak):
    assert learning_rate(progress, 2.0, 0.1) == pytest.approx(2.0 * share_of_peak, abs=1e-12)


@pytest.mark.parametrize(("rows", "expected"), [(0, 0.996), (500, 0.998), (1000, 1.0)])
def test_momentum_rises_over_the_run_not_over_the_epoch(rows, expected):
    assert momentum(rows, 1000, 100, Optim()) == pytest.approx(expected)


def test_the_published_schedule_starts_again_with_each_epoch():
    published = Optim(ema_schedule="epoch_restart")

    values = [momentum(rows, 1000, 100, published) for rows in range(0, 1000, 50)]

    assert values[0::2] == [0.996] * 10
    assert values[1::2] == pytest.approx([momentum(50, 1000, 100, Optim())] * 10)
    assert max(values) < 0.99603
