from videomac.distributed.data.stats import data_figures, summed


def test_counters_of_all_workers_become_figures():
    one = {"rows": 10, "bad_rows": 2, "bad_broken": 2, "clips": 5, "bytes": 1 << 20, "decode_us": 20_000, "batches": 2}
    two = {"rows": 6, "bad_rows": 1, "bad_timeout": 1, "clips": 3, "distinct_clips": 9, "batches": 1, "retries": 4}
    figures = data_figures(summed([one, two]))
    assert figures["pairs_made"] == 13
    assert (figures["clips_read"], figures["read_mb"], figures["storage_retries"]) == (8, 1.0, 4)
    assert (figures["skipped_broken"], figures["skipped_timeout"]) == (2, 1)
    assert "skipped_rows" not in figures
    assert figures["decode_ms_per_pair"] == 20 / 16
    assert figures["clips_per_batch"] == 3


def test_nothing_counted_yet_is_no_error():
    assert data_figures({})["pairs_made"] == 0
