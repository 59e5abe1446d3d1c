"""Self-contained HTML pages of a run, an evaluation, a sweep, a set of shards."""
