"""How Customer.io signs a reporting webhook: HMAC-SHA256 over `v0:<timestamp>:<raw body>`, in hexadecimal.

The key is used as text, not decoded. Source: the specification of reporting webhooks; its published vectors
are in the tests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

TIMESTAMP_HEADER = "X-CIO-Timestamp"
"""Unix seconds at which the request was signed."""

SIGNATURE_HEADER = "X-CIO-Signature"
"""The signature, in lower-case hexadecimal digits."""


def sign(key: str, timestamp: int, body: bytes) -> str:
    """The signature of a body.

    Args:
        key: the signing key of the webhook, as Customer.io shows it.
        timestamp: unix seconds.
        body: the raw bytes of the request.

    Returns:
        64 lower-case hexadecimal digits.
    """
    # half a surrogate pair, which no real key holds, makes another key and not an error
    secret = key.encode("utf-8", "surrogatepass")
    return hmac.new(secret, b"v0:%d:" % timestamp + body, hashlib.sha256).hexdigest()


def is_signed(keys: Iterable[str], timestamp: int, body: bytes, signature: str) -> bool:
    """Whether one of the keys made the signature.

    Every key is tried, and compared in constant time: how long it takes tells nothing about them.
    """
    given = signature.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(sign(key, timestamp, body).encode(), given) for key in keys]
    return any(matches)
