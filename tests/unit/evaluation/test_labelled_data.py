"""Labelled data is looked at before anything starts: the root, and the clips of the split."""

from __future__ import annotations

import pytest

from videomac.config import Evaluate, LabelledData
from videomac.errors import ConfigError
from videomac.evaluation.labelled_data import UNREAD_BY_PROBES, check_all_read, check_labelled_data
from videomac.facts.tasks import TASKS


def test_shipped_sequences_are_there():
    check_labelled_data(Evaluate(data=LabelledData(root="samples://davis")))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_names_the_root_that_is_not_there(task):
    evaluate = Evaluate(task=task, data=LabelledData(root="/nowhere"))

    with pytest.raises(ConfigError, match=r"^probe\.evaluate\.data\.root: '/nowhere' does not exist$"):
        check_labelled_data(evaluate, "probe.evaluate")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_refuses_a_folder_of_another_layout(task, tmp_path):
    with pytest.raises(ConfigError, match=r"^data: "):
        check_labelled_data(Evaluate(task=task, data=LabelledData(root=str(tmp_path))))


def test_clips_that_the_split_does_not_have_are_named():
    data = LabelledData(root="samples://davis", clips=("blackswan", "whiteswan"))

    with pytest.raises(ConfigError, match=r"^evaluate\.data: .*whiteswan"):
        check_labelled_data(Evaluate(data=data), "evaluate")


@pytest.mark.parametrize(
    "key", [{"parallel": 4}, {"pictures": False}, {"out": "here"}, {"model": "resnet18"}, {"baselines": ("resnet18",)}]
)
def test_a_key_that_does_nothing_is_refused(key):
    evaluate = Evaluate.model_validate({"data": LabelledData(root="d"), **key})
    with pytest.raises(ConfigError, match=rf"^probe\.evaluate\.{next(iter(key))}: nothing reads this key here"):
        check_all_read(evaluate, UNREAD_BY_PROBES, "probe.evaluate")


def test_a_section_that_was_written_down_with_its_defaults_passes():
    evaluate = Evaluate.model_validate_json(Evaluate(data=LabelledData(root="d"), stage=2).model_dump_json())
    check_all_read(evaluate, UNREAD_BY_PROBES, "probe.evaluate")
