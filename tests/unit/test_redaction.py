"""What counts as a secret in a text, and that errors pass through it."""

import pytest

from videomac.errors import DataError, StorageError
from videomac.redaction import redacted, remember


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:secret@bucket/a", "s3://***@bucket/a"),
        ("see https://token@host/x, please", "see https://***@host/x, please"),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("https://h/x?X-Amz-Credential=A%2F1&X-Amz-Signature=ab&n=1", "https://h/x?X-Amz-Credential=***&X-Amz-Signature=***&n=1"),
        ("'https://h/x?sig=ab' -> 1", "'https://h/x?sig=***' -> 1"),
        ("data.gap_s: expected 0 <= low", "data.gap_s: expected 0 <= low"),
    ],
)  # fmt: skip
def test_credentials_in_urls_are_masked(text, shown):
    assert redacted(text) == shown


def test_a_remembered_secret_is_masked_and_a_word_is_not():
    remember("Zq8-remembered-secret")
    remember("test")

    assert redacted("denied for Zq8-remembered-secret in a test") == "denied for *** in a test"


def test_every_error_of_ours_is_masked_when_it_is_made():
    assert str(StorageError("s3://k:s@bucket/a: denied")) == "s3://***@bucket/a: denied"
    assert DataError("a", 1).args == ("a", 1)
