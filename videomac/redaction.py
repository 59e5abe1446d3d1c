"""Masks secrets in everything that is written down or shown: credentials in URLs, and secrets this process was given.

Standard library alone, below everything else: error messages pass through here (`videomac.errors`), and so does every
place or URL of a configuration that is written out (`videomac.config`).
"""

from __future__ import annotations

import re

MASK = "***"
SHORTEST = 6
"""Shorter secrets are masked where they stand in a configuration, but not searched for in text: `test` is a word."""

_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
_SIGNED_QUERY = re.compile(
    r"([?&](?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|GoogleAccessId|sig|token"
    r"|access_token|password|secret|key)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_known: set[str] = set()


def remember(secret: str) -> None:
    """Mask this secret in every text from now on, in this process."""
    if len(secret) >= SHORTEST:
        _known.add(secret)


def redacted(text: str) -> str:
    """Return the text with user names and passwords in URLs, signed queries and remembered secrets masked."""
    for secret in _known:
        text = text.replace(secret, MASK)
    return _SIGNED_QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(f"{MASK}@", text))
