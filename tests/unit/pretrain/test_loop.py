"""The loop's order of things, and when it gives up on bad data."""

from __future__ import annotations

import collections
from types import SimpleNamespace

import pytest

from tests.unit.pretrain.conftest import make_batch, make_settings, make_state
from videomac.errors import DataError
from videomac.pretrain import loop


class Host:
    """Writes down what the loop asks of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def stepped(self, report) -> None:
        self.calls.append(f"step {report.step}")

    def log(self, line) -> None:
        self.calls.append(f"log {line.step}")

    def checkpoint(self, line) -> None:
        self.calls.append(f"checkpoint {line.step}")

    def draw(self, report) -> None:
        self.calls.append(f"draw {report.step}")

    def held_out(self):
        self.calls.append("held out")
        return {"held_out_loss_online": 1.0}

    def name_bad_rows(self):
        self.calls.append("bad rows")
        return collections.Counter(no_pair=4)

    def must_save_now(self):
        return self.calls[-1] == "step 4"


class Batches:
    """Rows of four, all of them bad from `bad_from` on."""

    def __init__(self, bad_from: int = 10**9) -> None:
        self.wait_s, self._next, self._bad_from = 0.0, 0, bad_from

    def __iter__(self):
        return self

    def __next__(self):
        rows = range(self._next, self._next + 4)
        self._next += 4
        return make_batch(rows, bad=tuple(g for g in rows if g >= self._bad_from))


def test_what_is_due_comes_after_its_step_and_the_end_saves():
    settings = make_settings(
        train__steps=5, log__every_steps=2, checkpoint__every_steps=3, log__pictures_every_steps=4,
        log__held_out_every_steps=4,
    )  # fmt: skip
    host = Host()

    loop.run(make_state(settings), Batches(), host)

    assert host.calls == [
        "step 1", "log 1", "step 2", "log 2", "step 3", "log 3", "checkpoint 3", "step 4", "held out", "log 4",
        "draw 4", "checkpoint 4", "step 5", "log 5", "checkpoint 5",
    ]  # fmt: skip


@pytest.fixture
def no_training(monkeypatch):
    """Steps that only count: what they compute is tested elsewhere."""

    def step(state, batches):
        batch = next(batches)
        state.step, state.rows_used = state.step + 1, state.rows_used + 4
        state.bad_rows += int((batch.weight_b == 0).sum())
        return SimpleNamespace(step=state.step)

    monkeypatch.setattr(loop, "train_step", step)
    monkeypatch.setattr(loop.Meter, "line", lambda self, report: SimpleNamespace(step=self._state.step))


def test_a_share_of_bad_rows_above_the_limit_ends_the_run_from_200_rows_on(no_training):
    settings = make_settings(train__steps=100, data__max_bad_share=0.1, checkpoint__every_steps=1000)
    host, state = Host(), make_state(settings)

    with pytest.raises(DataError, match=r"24 of 204 rows \(12%\) could not be decoded \(no_pair: 4\), more than "):
        loop.run(state, Batches(bad_from=180), host)

    assert host.calls[-1] == "bad rows", "events.jsonl names them before the run ends"


@pytest.mark.parametrize("share", [0.2, 0.02])
def test_a_share_below_the_limit_does_not(no_training, share):
    settings = make_settings(train__steps=60, data__max_bad_share=share + 0.01, checkpoint__every_steps=1000)

    state, host = make_state(settings), Host()

    loop.run(state, Batches(bad_from=round(240 * (1 - share))), host)

    assert state.finished
    assert "bad rows" not in host.calls


def test_a_short_run_without_a_single_good_row_fails_at_its_end(no_training):
    with pytest.raises(DataError, match=r"20 of 20 rows \(100%\) could not be decoded"):
        loop.run(make_state(make_settings(train__steps=5)), Batches(bad_from=0), Host())
