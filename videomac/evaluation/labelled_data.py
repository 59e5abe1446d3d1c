"""Labelled data looked at before a command starts Ray: the root, and the list of clips that the split names."""

from __future__ import annotations

from videomac.config import Evaluate, check_inputs
from videomac.errors import ConfigError, EvaluationError
from videomac.propagation.tasks import clip_names

UNREAD_BY_PROBES = ("model", "features", "baselines", "out", "parallel", "pictures")
"""Keys of `Evaluate` that a probe does not read: it scores one export in one process, and keeps scores alone."""
UNREAD_BY_TRIALS = ("model", "out", "pictures")
"""Keys of `Evaluate` that a trial of a sweep sets itself."""


def check_all_read(evaluate: Evaluate, unread: tuple[str, ...], key: str) -> None:
    """Check that an evaluation inside something else sets no key that does nothing there.

    Defaults pass, because a configuration that was written down has every key.

    Args:
        evaluate: the evaluation.
        unread: keys that nothing reads.
        key: dotted key of the section, for messages.

    Raises:
        ConfigError: such a key differs from its default.
    """
    for name in unread:
        value, default = getattr(evaluate, name), Evaluate.model_fields[name].default
        if value != default:
            raise ConfigError(
                f"{key}.{name}: nothing reads this key here, so {value!r} would do nothing; remove the key"
            )


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
