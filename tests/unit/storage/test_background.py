"""Uploads beside the caller."""

from __future__ import annotations

import threading

import pytest

from videomac.errors import StorageError
from videomac.storage.background import Background


def test_uploads_run_in_order_beside_the_caller_until_they_are_waited_for():
    done, may_go = [], threading.Event()
    uploads = Background("test")
    uploads.start(lambda: may_go.wait(10))
    uploads.start(lambda: done.append("second"))
    assert done == []
    may_go.set()

    uploads.settle()

    assert done == ["second"]


def test_a_failed_upload_is_raised_once_to_who_waits():
    def fail():
        raise StorageError("no answer")

    uploads = Background("test")
    uploads.start(fail)

    with pytest.raises(StorageError, match="no answer"):
        uploads.settle()
    uploads.settle()
    assert not uploads._started
