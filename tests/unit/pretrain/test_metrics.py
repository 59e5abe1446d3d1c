"""What is measured about a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.unit.pretrain.conftest import make_batch, make_settings, make_state
from videomac.pretrain import metrics
from videomac.pretrain.step import train_step
from videomac.records.metrics import MetricsLine


def test_feature_std_is_near_one_for_spread_features_and_zero_for_collapsed_ones():
    torch.manual_seed(0)
    spread, one_point = torch.randn(64, 320), torch.randn(1, 320).expand(64, 320)
    scales = torch.rand(64, 1) + 0.1  # length alone is no spread

    assert metrics.feature_std(spread) == pytest.approx(1.0, abs=0.05)
    assert metrics.feature_std(one_point * scales) == pytest.approx(0.0, abs=1e-4)


class Waiting:
    """Batches that nobody takes."""

    wait_s = 0.0

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


def test_speed_waiting_and_time_left_follow_from_the_clock(monkeypatch):
    clock, waits = SimpleNamespace(now=0.0), Waiting()
    monkeypatch.setattr(metrics.time, "monotonic", lambda: clock.now)
    state = make_state(make_settings())  # 10 steps of 4 rows
    meter = metrics.Meter(state, waits)

    def step(seconds: float, waited: float) -> MetricsLine:
        report = train_step(state, iter([make_batch(range(state.rows_used, state.rows_used + 4))]))
        clock.now += seconds
        waits.wait_s += waited
        return meter.line(report)

    first = step(10.0, 8.0)
    meter.first_step_done()
    second = step(2.0, 0.5)
    third = step(2.0, 0.0)

    assert (first.pairs_per_s, first.wait_share_total) == (pytest.approx(0.4), 0.0)
    assert (second.pairs_per_s, second.step_s, second.eta_s) == pytest.approx((2.0, 2.0, 16.0))
    assert (second.wait_share, third.wait_share) == pytest.approx((0.25, 0.0))
    assert third.wait_share_total == pytest.approx(0.125)
    assert third.memory_mb > 10
