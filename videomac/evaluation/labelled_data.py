"""Labelled data looked at before a command starts Ray: the root, and the list of clips that the split names."""

from __future__ import annotations

from videomac.config import Evaluate, check_inputs
from videomac.errors import ConfigError, EvaluationError
from videomac.propagation.tasks import clip_names


def check_labelled_data(evaluate: Evaluate, key: str = "") -> None:
    """Check that the data set of an evaluation is there and that its split names clips.

    Args:
        evaluate: the evaluation; weights of its candidates are looked for, too.
        key: dotted key of the section, for messages.

    Raises:
        ConfigError: a root or file does not exist, or the split names no clips.
    """
    check_inputs(evaluate, key)
    try:
        clip_names(evaluate.task, evaluate.data)
    except EvaluationError as error:
        raise ConfigError(f"{key}{'.' if key else ''}data: {error}") from error
