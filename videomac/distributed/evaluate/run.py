"""`videomac evaluate`: prepare, score on Ray, put the results together, write the page."""

from __future__ import annotations

from videomac import config
from videomac.distributed.cluster import connected
from videomac.distributed.evaluate.tasks import score_clips
from videomac.evaluation.results import assemble, write_results
from videomac.evaluation.setup import prepare
from videomac.evaluation.table import print_table
from videomac.records.evaluation import Results
from videomac.report.evaluation import write_evaluation_page


def evaluate(settings: config.Evaluate) -> Results:
    """Score every candidate; write results, predictions, pictures and page into `out`.

    Clips finished under the same protocol, data and features are taken over. A clip that fails is named, the rest is
    scored, and the totals say that they are partial.

    Raises:
        ConfigError: the preset is unknown, the data set does not exist, or its split names no clips.
        EvaluationError: no candidate is named, or no clip could be scored; the message holds the first failure.
        StorageError: `out` cannot be written.
    """
    evaluation = prepare(settings)
    with connected():
        scored = score_clips(evaluation)
    results = assemble(evaluation, scored)
    write_results(evaluation.out, results)
    page = write_evaluation_page(evaluation.out, results)
    print_table(results)
    print(f"{evaluation.out}/results.json, {page}", flush=True)
    return results
