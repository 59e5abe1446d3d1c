"""One evaluation: its candidates, clips and protocol, made once and handed on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from videomac import config
from videomac.errors import EvaluationError
from videomac.evaluation.candidates import Candidate, find_candidates
from videomac.evaluation.labelled_data import check_labelled_data
from videomac.facts import presets
from videomac.facts.presets import Preset
from videomac.facts.tasks import TASKS
from videomac.propagation import tasks
from videomac.propagation.clips import Clip, MaskClip
from videomac.records.evaluation import SCHEMA, ClipKey, Failure


@dataclasses.dataclass(frozen=True)
class Job:
    """One clip to be scored with one candidate and seed."""

    candidate: Candidate
    seed: int
    clip: Clip
    key: ClipKey

    @property
    def place(self) -> str:
        """Where its files lie below a folder by kind: CANDIDATE/SEED/CLIP."""
        return f"{self.candidate.slug}/{self.seed}/{self.clip.name}"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and how."""

    settings: config.Evaluate
    preset: Preset
    candidates: tuple[Candidate, ...]
    clips: dict[str, Clip]
    """By name, in the order of the data set."""
    unreadable: tuple[Failure, ...] = ()
    """Clips that cannot be read."""

    @property
    def task(self) -> str:
        """Layout of the data set and its scores."""
        return self.settings.task

    @property
    def headline(self) -> str:
        """The score that ranks candidates."""
        return TASKS[self.task].headline

    @property
    def out(self) -> str:
        """Folder that receives everything."""
        return self.settings.out

    @property
    def device(self) -> str:
        """Where features are extracted and compared."""
        return device_of(self.settings)

    def jobs(self) -> Iterator[Job]:
        """Yield every clip with every candidate and seed, all of one clip in a row, long clips first.

        Long clips first makes for an even finish. One clip after the other lets its pictures be drawn, and its
        predictions be dropped, while the next ones are scored.
        """
        identity = functools.cache(Candidate.identity)
        for clip in sorted(self.clips.values(), key=lambda clip: -len(clip.frames.files)):
            for candidate in self.candidates:
                for seed in candidate.seeds:
                    key = ClipKey(
                        schema=SCHEMA,
                        task=self.task,
                        preset_hash=self.preset.hash(),
                        clip=clip.digest,
                        features=identity(candidate, seed),
                    )
                    yield Job(candidate, seed, clip, key)


def prepare(settings: config.Evaluate) -> Evaluation:
    """Find candidates and clips; needs no cluster.

    Raises:
        ConfigError: the preset is unknown, the data set does not exist, or its split names no clips.
        EvaluationError: no candidate is named or found, or no clip can be read.
    """
    preset = resolve_preset(settings)
    check_labelled_data(settings)
    candidates = find_candidates(settings)
    clips, unreadable = _read_clips(settings.task, config.with_absolute_places(settings.data))
    return Evaluation(settings, preset, candidates, clips, tuple(unreadable))


def resolve_preset(settings: config.Evaluate) -> Preset:
    """Return the protocol that the configuration asks for.

    Raises:
        ConfigError: the preset is unknown.
    """
    return presets.resolve(settings.preset, settings.task, settings.settings.model_dump())


def device_of(settings: config.Evaluate) -> str:
    """Return where features are extracted and compared."""
    return "cuda" if settings.gpu else "cpu"


def _read_clips(task: str, data: config.LabelledData) -> tuple[dict[str, Clip], list[Failure]]:
    """Read and hash every clip, so that one with an unreadable file is left out before anything is scored."""
    clips, failures = {}, []
    for name in tasks.clip_names(task, data):
        try:
            clip = tasks.read_clip(task, data, name)
            _ = clip.digest
            if isinstance(clip, MaskClip) and clip.objects.note:
                print(f"{name}: {clip.objects.note}", flush=True)
            clips[name] = clip
        except EvaluationError as error:
            failures.append(Failure(features=None, clip=name, seed=None, error=str(error)))
            print(f"{name}: not scored: {error}", flush=True)
    if not clips:
        reason = failures[0].error if failures else "the list of clips is empty"
        raise EvaluationError(f"{data.root}: no clip can be scored: {reason}")
    return clips, failures
