"""Self-contained HTML pages of runs, evaluations, sweeps and shards."""
