"""Lines of metrics.jsonl: what is written is read back, and what version 66eb288 wrote is read too."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from videomac.errors import VideomacError
from videomac.records.metrics import MetricsLine, ProbeLine, is_metric, parse_line

OLD = Path(__file__).parents[2] / "fixtures/run_66eb288/metrics.jsonl"


@pytest.fixture
def line() -> MetricsLine:
    found = parse_line(OLD.read_text().splitlines()[-1], "metrics.jsonl")
    assert isinstance(found, MetricsLine)
    return found


def test_lines_of_version_66eb288_are_read_and_written_as_they_were(line):
    for content in OLD.read_text().splitlines():
        assert json.loads(parse_line(content, "metrics.jsonl").to_json()) == json.loads(content)
    assert (line.step, line.rows, line.ray_blocks, line.held_out_loss_online) == (4, 32, 4, None)


def test_nan_is_written_as_null_and_read_back_as_nan(line):
    spoilt = line.model_copy(update={"loss": math.nan})

    assert json.loads(spoilt.to_json())["loss"] is None
    read = parse_line(spoilt.to_json(), "metrics.jsonl")
    assert isinstance(read, MetricsLine)
    assert math.isnan(read.loss)


def test_figures_of_the_open_families_join_a_line_and_others_do_not(line):
    joined = line.joined({"skipped_no_pair": 3, "probe/J&F-Mean": 0.5, "held_out_loss_online": 1.0})

    assert json.loads(joined.to_json())["skipped_no_pair"] == 3
    assert joined.figures().items() >= {"probe/J&F-Mean": 0.5, "held_out_loss_online": 1.0, "loss": line.loss}.items()
    with pytest.raises(ValueError, match="los: not a metric"):
        line.joined({"los": 1.0})


def test_only_finite_numbers_are_figures_and_the_position_is_none(line):
    spoilt = line.model_copy(update={"lr": math.nan, "grad_norm": math.inf, "skipped": "nonfinite"})

    assert not {"lr", "grad_norm", "skipped", "step", "rows"} & spoilt.figures().keys()
    assert spoilt.figures()["bad_rows"] == 0.0


def test_a_line_of_a_late_probe_has_a_step_and_scores_alone():
    content = '{"step": 4, "probe/step": 2.0, "probe/J&F-Mean": 0.5}'

    line = parse_line(content, "metrics.jsonl")

    assert type(line) is ProbeLine
    assert json.loads(line.to_json()) == json.loads(content)


@pytest.mark.parametrize("content", ['{"step": 1', "[1]", '{"rows": 2}', '{"step": 1, "los": 2.0}'])
def test_anything_else_is_an_error_that_names_the_file(content):
    with pytest.raises(VideomacError, match=r"^metrics\.jsonl: not a MetricsLine record"):
        parse_line(content, "metrics.jsonl")


def test_a_reader_s_typo_is_not_a_metric():
    assert is_metric("loss_online")
    assert is_metric("probe/J&F-Mean")
    assert not is_metric("loss_onlin")
