"""What was scored, put together: totals, seeds, baselines and published values as `results.json` holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from videomac.errors import EvaluationError
from videomac.evaluation.candidates import Candidate
from videomac.evaluation.setup import Evaluation, Job
from videomac.facts.provenance import provenance
from videomac.propagation import raw, summary
from videomac.propagation.published_scores import published_values
from videomac.propagation.summary import finite
from videomac.records.evaluation import SCHEMA, Baseline, ClipRecord, DataSet, Failure, Results, TableRow
from videomac.storage.checksums import sha256_of
from videomac.storage.copies import write_file


@dataclasses.dataclass
class Scored:
    """What came of the jobs of an evaluation."""

    failures: list[Failure]
    _records: dict[tuple[str, int], dict[str, ClipRecord]] = dataclasses.field(default_factory=dict)

    def add(self, job: Job, record: ClipRecord) -> None:
        """Keep the record of a finished job."""
        self._records.setdefault((job.candidate.label, job.seed), {})[job.clip.name] = record

    def fail(self, job: Job, error: str) -> None:
        """Keep the reason why a job was not scored."""
        failure = Failure(features=job.candidate.label, clip=job.clip.name, seed=job.seed, error=error)
        self.failures.append(failure)

    def of(self, candidate: Candidate, seed: int) -> dict[str, ClipRecord]:
        """Return the records of one candidate and seed by clip."""
        return self._records.get((candidate.label, seed), {})


def assemble(evaluation: Evaluation, scored: Scored) -> Results:
    """Return what `results.json` holds.

    Raises:
        EvaluationError: not one clip was scored.
    """
    settings, preset = evaluation.settings, evaluation.preset
    tables = {candidate: _Table(evaluation, candidate, scored) for candidate in evaluation.candidates}
    rows = [table.row() for table in tables.values() if table.clips]
    if not rows:
        raise EvaluationError(f"{settings.data.root}: no clip could be scored: {scored.failures[0].error}")
    first = tables[evaluation.candidates[0]]
    origin = provenance()
    return Results(
        schema=SCHEMA,
        task=evaluation.task,
        headline=evaluation.headline,
        preset=preset.name,
        preset_hash=preset.hash(),
        dataset_hash=_dataset_hash(evaluation),
        preset_settings=preset.describe(),
        comparable=preset.comparable,
        data=DataSet(root=settings.data.root, split=settings.data.split, clips=tuple(evaluation.clips)),
        partial=bool(scored.failures),
        failures=tuple(scored.failures),
        scores=rows[0].scores if first.clips else {},
        rows=tuple(rows),
        baselines=_baselines(first, tables, evaluation.headline) if first.clips else (),
        published=published_values(evaluation.task),
        config=settings.model_dump(mode="json"),
        config_hash=settings.config_hash(),
        **origin,
    )


def write_results(out: str, results: Results) -> None:
    """Write `results.json`.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_file(f"{out}/results.json", results.to_json(indent=1))


class _Table:
    """The scores of one candidate over the clips that were scored with each of its seeds."""

    def __init__(self, evaluation: Evaluation, candidate: Candidate, scored: Scored) -> None:
        self._evaluation, self.candidate = evaluation, candidate
        self._by_seed = [scored.of(candidate, seed) for seed in candidate.seeds]
        self.clips = [clip for clip in evaluation.clips if all(clip in records for records in self._by_seed)]

    def by_clip(self) -> dict[str, dict[str, float]]:
        """Return the scores of each clip, means over seeds."""
        return {clip: summary.mean_of([records[clip].scores for records in self._by_seed]) for clip in self.clips}

    def row(self) -> TableRow:
        """Return the candidate's row."""
        candidate, preset = self.candidate, self._evaluation.preset
        facts = self._by_seed[0][self.clips[0]].facts
        totals = [
            summary.total(self._evaluation.task, {clip: records[clip].parts for clip in self.clips})
            for records in self._by_seed
        ]
        return TableRow(
            label=candidate.label,
            source=candidate.source.source,
            model=candidate.source.model,
            stage=facts.stage,
            stride=facts.stride or raw.SITE_PX,
            seeds=candidate.seeds,
            baseline=candidate.is_baseline,
            facts=facts,
            scores=_defined(summary.mean_of([scores for scores, _ in totals])),
            scores_by_seed=tuple(_defined(scores) for scores, _ in totals),
            clips=summary.defined(self.by_clip()),
            details=totals[0][1],
            seconds=summary.mean_of([record.seconds for records in self._by_seed for record in records.values()]),
            preset=preset.name,
            preset_hash=preset.hash(),
            dataset_hash=_dataset_hash(self._evaluation),
        )


def _baselines(first: _Table, tables: Mapping[Candidate, _Table], headline: str) -> tuple[Baseline, ...]:
    """Return the paired difference of the first candidate to every baseline that has scores."""
    ours = {clip: scores[headline] for clip, scores in first.by_clip().items()}
    found = []
    for candidate, table in tables.items():
        if candidate.is_baseline and table.clips and table is not first:
            theirs = {clip: scores[headline] for clip, scores in table.by_clip().items()}
            difference = summary.paired_difference(ours, theirs)
            found.append(Baseline(against=candidate.label, metric=headline, **dict(difference)))
    return tuple(found)


def _dataset_hash(evaluation: Evaluation) -> str:
    whole = "".join(clip.digest for clip in evaluation.clips.values())
    return sha256_of(whole.encode())[:12]


def _defined(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: finite(value) for name, value in scores.items()}
